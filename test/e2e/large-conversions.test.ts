/** Large requests between the dialects, which are converted in a thread of their own. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/gateway/system-clock.ts';
import { createSimulatedUpstream } from '../../src/testing/simulated-upstream.ts';
import type { SimulatedResponse, SimulatedUpstream } from '../../src/testing/simulated-upstream.ts';
import { askBy, CALLERS } from './dialect-callers.ts';
import type { CallerName } from './dialect-callers.ts';
import { headStep, TEXT, wholeAnswer, WIRES } from './dialect-wires.ts';
import { startGateway } from './harness.ts';
import type { TestGateway } from './harness.ts';
import { eventually } from './world.ts';

const IMAGE = 'iVBORw0K'.repeat(400_000);

async function start(t: TestContext, target: CallerName): Promise<{ gateway: TestGateway; upstream: SimulatedUpstream }> {
  const upstream = createSimulatedUpstream(systemClock, () => wholeAnswer(WIRES[target], false));
  const baseUrl = target === 'openai' ? 'http://a/v1' : 'http://a';
  const gateway = await startGateway(
    { providers: { a: { protocol: target, baseUrl, apiKey: 'sk-a' } }, models: { fast: ['a/m'] } },
    { transport: upstream },
  );
  t.after(() => gateway.close());
  return { gateway, upstream };
}

function imageFor(caller: CallerName): object {
  return caller === 'openai'
    ? { type: 'image_url', image_url: { url: `data:image/png;base64,${IMAGE}` } }
    : { type: 'image', source: { type: 'base64', media_type: 'image/png', data: IMAGE } };
}

for (const caller of CALLERS) {
  const target = caller === 'openai' ? 'anthropic' : 'openai';
  describe(`a request of some megabytes of a caller that speaks ${caller}`, () => {
    const messages = [{ role: 'user', content: [imageFor(caller), { type: 'text', text: 'What is this?' }] }];

    it(`arrives whole at a target that speaks ${target}, and what is dropped is named`, async (t) => {
      const { gateway, upstream } = await start(t, target);
      const extra = caller === 'openai' ? { seed: 1 } : { top_k: 1 };
      const all = await Promise.all(
        [0, 1, 2].map(() => askBy(caller, gateway.url, fetch, { stream: false, body: { messages, ...extra } })),
      );
      for (const heard of all) {
        assert.equal(heard.error, null, heard.raw);
        assert.equal(heard.text, TEXT);
        assert.equal(heard.headers.get('x-breakwater-dropped'), Object.keys(extra)[0]!);
      }
      assert.equal(upstream.calls.length, 3);
      for (const { body } of upstream.calls) {
        assert.ok(body.includes(IMAGE));
        assert.ok(body.includes('What is this?'));
        assert.equal((JSON.parse(body) as { model: string }).model, 'm');
      }
    });

    it('is refused where the target has no place for a field', async (t) => {
      const { gateway, upstream } = await start(t, target);
      const extra = caller === 'openai' ? { n: 2 } : { container: 'c' };
      const { error } = await askBy(caller, gateway.url, fetch, { stream: false, body: { messages, ...extra } });
      assert.equal(error?.status, 400);
      assert.match(error.message, new RegExp(`'${Object.keys(extra)[0]!}' can't be converted`));
      assert.equal(upstream.calls.length, 0);
    });

    it('gets an answer when the gateway closes meanwhile', async (t) => {
      const { gateway } = await start(t, target);
      const asked = askBy(caller, 'http://breakwater', gateway.fetch, { stream: false, body: { messages } });
      await gateway.gateway.close();
      const { error, text } = await asked;
      assert.ok(text === TEXT || error?.status === 503, String(error?.message));
    });
  });
}

const IMAGES = [{ role: 'user', content: [imageFor('openai'), { type: 'text', text: 'What is this?' }] }];
const FAILS: SimulatedResponse = { steps: [headStep(false, 503), { do: 'send', bytes: '{"error":{"message":"down"}}' }] };

/** Targets of both dialects, the caller's first. */
async function startBoth(
  t: TestContext,
  first: 'serves' | 'fails',
  tiers: 'apart' | 'together' = 'apart',
): Promise<{ gateway: TestGateway; upstream: SimulatedUpstream }> {
  const upstream = createSimulatedUpstream(systemClock, ({ request }) => {
    if (request.origin === 'http://claude') return wholeAnswer(WIRES.anthropic, false);
    return first === 'serves' ? wholeAnswer(WIRES.openai, false) : FAILS;
  });
  const gateway = await startGateway(
    {
      providers: {
        gpt: { protocol: 'openai', baseUrl: 'http://gpt/v1', apiKey: 'sk-g' },
        claude: { protocol: 'anthropic', baseUrl: 'http://claude', apiKey: 'sk-c' },
      },
      models: { fast: tiers === 'apart' ? ['gpt/m', 'claude/m'] : [['gpt/m', 'claude/m']] },
      policy: { retry: { baseDelay: '1ms', maxDelay: '2ms' } },
    },
    { transport: upstream },
  );
  t.after(() => gateway.close());
  return { gateway, upstream };
}

describe('a large request whose first target speaks its dialect', () => {
  it('is sent without waiting for the conversion that a fallback would need', async (t) => {
    const { gateway, upstream } = await startBoth(t, 'serves');
    const heard = await askBy('openai', gateway.url, fetch, { stream: false, body: { messages: IMAGES } });
    assert.equal(heard.text, TEXT);
    assert.deepEqual(
      upstream.calls.map(({ request }) => request.origin),
      ['http://gpt'],
    );
  });

  it('reaches a fallback of another dialect whole', async (t) => {
    const { gateway, upstream } = await startBoth(t, 'fails');
    const heard = await askBy('openai', gateway.url, fetch, { stream: false, body: { messages: IMAGES } });
    assert.equal(heard.error, null, heard.raw);
    const [sent] = upstream.calls.filter(({ request }) => request.origin === 'http://claude');
    assert.ok(sent!.body.includes(IMAGE));
  });

  it('reaches either target of one tier whole', async (t) => {
    const { gateway, upstream } = await startBoth(t, 'serves', 'together');
    const heard = await Promise.all(
      Array.from({ length: 6 }, () => askBy('openai', gateway.url, fetch, { stream: false, body: { messages: IMAGES } })),
    );
    for (const { error, raw, text } of heard) assert.equal(error === null ? text : raw, TEXT);
    assert.equal(upstream.calls.length, 6);
    assert.ok(upstream.calls.every(({ body }) => body.includes(IMAGE)));
  });

  it('ends with the error of its first target where no fallback can carry it', async (t) => {
    const { gateway, upstream } = await startBoth(t, 'fails');
    const { error } = await askBy('openai', gateway.url, fetch, { stream: false, body: { messages: IMAGES, n: 2 } });
    assert.equal(error?.status, 503);
    assert.ok(upstream.calls.every(({ request }) => request.origin === 'http://gpt'));
  });
});

describe('a caller who leaves while its large request is converted', () => {
  it('causes no upstream call, and leaves nothing behind', async (t) => {
    const { gateway, upstream } = await start(t, 'anthropic');
    const leave = new AbortController();
    const asked = gateway
      .fetch('http://breakwater/v1/chat/completions', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'fast', messages: IMAGES }),
        signal: leave.signal,
      })
      .catch((error: unknown) => error);
    await new Promise((resolve) => setImmediate(resolve));
    leave.abort();
    await asked;
    await eventually(() => gateway.gateway.queue().inFlight === 0, 'the end of the request');
    assert.equal(upstream.calls.length, 0);
  });
});
