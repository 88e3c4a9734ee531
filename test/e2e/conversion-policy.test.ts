/** `policy.conversion`: what happens to a request of which a target of another protocol would not get everything. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import type { SimulatedResponse } from '../../src/testing/simulated-upstream.ts';
import { headStep, wholeAnswer, WIRES } from './dialect-wires.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualWorld } from './virtual.ts';

type Models = NonNullable<ConfigInput['models']>;

const DOWN: SimulatedResponse = { steps: [headStep(false, 503), { do: 'send', bytes: '{"error":{"message":"down"}}' }] };

function start(
  t: TestContext,
  models: Models,
  conversion?: 'strict' | 'drop',
  gpt: SimulatedResponse = wholeAnswer(WIRES.openai, false),
): Promise<VirtualWorld> {
  return startVirtualWorld(t, {
    providers: { claude: () => wholeAnswer(WIRES.anthropic, false), gpt: () => gpt },
    configured: {
      claude: { protocol: 'anthropic', baseUrl: 'http://claude', apiKey: 'sk-c' },
      gpt: { protocol: 'openai', baseUrl: 'http://gpt/v1', apiKey: 'sk-g' },
    },
    models,
    ...(conversion !== undefined && { config: { policy: { conversion } } }),
  });
}

describe('policy.conversion', () => {
  it('by default lets fields be dropped, and names them', async (t) => {
    const world = await start(t, { fast: ['claude/m'] });
    const { status, headers } = await world.answerTo({ seed: 7 });
    assert.equal(status, 200);
    assert.equal(headers.get('x-breakwater-dropped'), 'seed');
  });

  it('strict: a target that would not get a field is not asked, and the next one is', async (t) => {
    const world = await start(t, { fast: ['claude/m', 'gpt/m'] }, 'strict');
    const { status, headers } = await world.answerTo({ seed: 7 });
    assert.equal(status, 200);
    assert.equal(headers.get('x-breakwater-target'), 'gpt/m');
    assert.equal(headers.get('x-breakwater-dropped'), null);
    assert.equal(world.callsTo('claude'), 0);
    assert.equal((await world.answerTo()).headers.get('x-breakwater-target'), 'claude/m');
  });

  it('strict: where no target gets everything, the caller gets the name of the field, and nobody is asked', async (t) => {
    const world = await start(t, { fast: ['claude/m'] }, 'strict');
    const { status, text } = await world.answerTo({ seed: 7 });
    assert.equal(status, 400);
    const { error } = JSON.parse(text) as { error: { code: string; param: string; message: string } };
    assert.deepEqual([error.code, error.param], ['capability_unsupported', 'seed']);
    assert.match(error.message, /policy\.conversion is strict.*claude\/m/);
    assert.equal(world.upstream.calls.length, 0);
  });

  it('strict: a fallback that would not get a field is left out when its turn comes', async (t) => {
    const world = await start(t, { fast: ['gpt/m', 'claude/m'] }, 'strict', DOWN);
    const { status } = await world.answerTo({ seed: 7 });
    assert.equal(status, 503);
    assert.equal(world.callsTo('claude'), 0);
  });

  it('strict: a slow target keeps its time where no fallback can carry the request', async (t) => {
    const slow: SimulatedResponse = { steps: [{ do: 'wait', ms: 25_000 }, ...wholeAnswer(WIRES.openai, false).steps] };
    const world = await start(t, { fast: { targets: ['gpt/m', 'claude/m'], policy: { deadline: '30s' } } }, 'strict', slow);
    const { status, headers } = await world.answerTo({ seed: 7 });
    assert.equal(status, 200);
    assert.equal(headers.get('x-breakwater-target'), 'gpt/m');
    assert.deepEqual([world.callsTo('gpt'), world.callsTo('claude')], [1, 0]);
  });

  it('may be set for one model', async (t) => {
    const world = await start(t, { fast: { targets: ['claude/m'], policy: { conversion: 'strict' } }, deep: ['claude/m'] });
    assert.equal((await world.answerTo({ seed: 7 })).status, 400);
    assert.equal((await world.answerTo({ model: 'deep', seed: 7 })).status, 200);
  });
});
