/** Files and containers that one account holds: requests that name them go there, and nowhere else. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/simulated-upstream.ts';
import { askMessages, bodyOf, keyIn, messageAnswer, refusal } from './signing-provider.ts';
import type { Message } from './signing-provider.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualWorld } from './virtual.ts';
import { errorOf } from './world.ts';

const KEYS = ['sk-first-key-0001', 'sk-second-key-0002', 'sk-third-key-0003'];
const HOLDER = KEYS[1]!;

interface Stage extends VirtualWorld {
  readonly down: Set<string>;
  keys(): string[];
}

/** `claude` with three keys, of which one holds `file_1`; `other` holds nothing. Each makes containers of its own. */
async function stage(t: TestContext): Promise<Stage> {
  const down = new Set<string>();
  const answer = (call: SimulatedCall): SimulatedResponse => {
    const key = keyIn(call);
    const body = bodyOf(call);
    if (down.has(key)) return refusal('slow', 529, 'overloaded_error');
    if (call.body.includes('file_1') && key !== HOLDER) return refusal('File not found: file_1', 404, 'not_found_error');
    const container = body['container'];
    if (typeof container === 'string' && container !== `container_${key.slice(-4)}`)
      return refusal(`Container ${container} not found`, 404, 'not_found_error');
    const whole = messageAnswer(body.model, [{ type: 'text', text: 'yes' }]);
    const [head, send] = whole.steps as [never, { do: 'send'; bytes: string }];
    return { steps: [head, { ...send, bytes: send.bytes.replace('"id":', `"container":{"id":"container_${key.slice(-4)}"},"id":`) }] };
  };
  const world = await startVirtualWorld(t, {
    providers: { claude: answer, other: answer },
    configured: {
      claude: { protocol: 'anthropic', baseUrl: 'http://claude/v1', apiKeys: KEYS },
      other: { protocol: 'anthropic', baseUrl: 'http://other/v1', apiKey: 'sk-fourth-key-0004' },
    },
    models: { any: ['claude/m', 'other/m'], other: ['other/m'] },
  });
  return { ...world, down, keys: () => world.upstream.calls.map(keyIn) };
}

const withFile: Message[] = [{ role: 'user', content: [{ type: 'document', source: { type: 'file', file_id: 'file_1' } }] }];
const plain: Message[] = [{ role: 'user', content: 'hi' }];

describe('what one account holds', { concurrency: 4 }, () => {
  it('is looked for at the keys of its provider once, and then asked for where it was found', async (t) => {
    const world = await stage(t);
    for (let i = 0; i < 8; i++) {
      const { status, text } = await askMessages(world, { model: 'any', messages: withFile }, { 'session-id': `s${i}` });
      assert.equal(status, 200, text);
      if (i === 0) assert.ok(world.upstream.calls.length <= KEYS.length);
    }
    const first = world.keys().indexOf(HOLDER);
    assert.deepEqual(
      world.keys().slice(first),
      Array.from({ length: 8 }, () => HOLDER),
    );
  });

  it('is waited for, and not asked for elsewhere', async (t) => {
    const world = await stage(t);
    await askMessages(world, { model: 'any', messages: withFile });
    const before = world.upstream.calls.length;
    world.down.add(HOLDER);
    const { status } = await askMessages(world, { model: 'any', messages: withFile });
    assert.equal(status, 529);
    assert.deepEqual([...new Set(world.keys().slice(before))], [HOLDER]);
  });

  it('is known from a response', async (t) => {
    const world = await stage(t);
    const first = await askMessages(world, { model: 'any', messages: plain });
    const { container } = JSON.parse(first.text) as { container: { id: string } };
    for (let i = 0; i < 6; i++)
      await askMessages(world, { model: 'any', messages: plain, container: container.id }, { 'session-id': `s${i}` });
    assert.equal(new Set(world.keys()).size, 1);
  });

  it('makes a request impossible for a model that has another account, which is said', async (t) => {
    const world = await stage(t);
    await askMessages(world, { model: 'any', messages: withFile });
    const before = world.upstream.calls.length;
    const { status, text } = await askMessages(world, { model: 'other', messages: withFile });
    assert.equal(status, 400);
    assert.match(errorOf(text).message, /other\/m does not hold the file_id of the request/);
    assert.equal(world.upstream.calls.length, before);
  });
});
