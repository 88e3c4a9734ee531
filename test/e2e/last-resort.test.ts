/** A local model is the last resort, not spare capacity, in virtual time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { chatResponse, chatError, silence } from '../../src/testing/simulated-chat.ts';
import type { SimulatedResponse } from '../../src/testing/simulated-upstream.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualOptions, VirtualSeen, VirtualWorld } from './virtual.ts';

const SECOND = 1_000;
const answer = () => chatResponse({ headersAfterMs: 2 * SECOND });
const deadline = (ms: number) => ({ 'x-breakwater-deadline-ms': String(ms) });

/** Providers elsewhere, and below them a model on this machine that answers one request at a time, in 50 ms. */
function start(
  t: TestContext,
  scripts: VirtualOptions['providers'],
  { limits, ...more }: Partial<VirtualOptions> = {},
): Promise<VirtualWorld> {
  const names = Object.keys(scripts);
  const provider = (name: string) => ({
    protocol: 'openai' as const,
    baseUrl: `http://${name}/v1`,
    apiKey: 'k',
    ...(limits && { limits }),
  });
  return startVirtualWorld(t, {
    providers: { ...scripts, '127.0.0.1': () => chatResponse({ headersAfterMs: 50 }) },
    configured: {
      ...Object.fromEntries(names.map((name) => [name, provider(name)])),
      ollama: { baseUrl: 'http://127.0.0.1:11434/v1', limits: { concurrency: 1 } },
    },
    models: { fast: [...names.map((name) => `${name}/small`), 'ollama/m'] },
    ...more,
  });
}

const targetsOf = (seen: readonly VirtualSeen[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { status, headers } of seen) {
    const name = status === 200 ? headers.get('x-breakwater-target')! : String(status);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
};

const askMany = (world: VirtualWorld, count: number, deadlineMs: number): Promise<VirtualSeen[]> =>
  world.until(
    Promise.all(Array.from({ length: count }, () => world.ask({}, { 'x-breakwater-priority': 'low', ...deadline(deadlineMs) }).done)),
  );

describe('a local tier below healthy providers', () => {
  it('serves none of a hundred requests that the providers can serve in time', async (t) => {
    const world = await start(t, { alpha: answer, beta: answer }, { limits: { concurrency: 4 } });
    const seen = await askMany(world, 100, 300 * SECOND);
    assert.deepEqual(Object.keys(targetsOf(seen)).toSorted(), ['alpha/small', 'beta/small']);
    assert.equal(world.upstream.calls.length, 100);
    assert.ok(Math.max(...seen.map(({ endAtMs }) => endAtMs)) <= 28 * SECOND);
  });

  it('serves those that the providers cannot serve in time, at its pace', async (t) => {
    const world = await start(t, { alpha: answer, beta: answer }, { limits: { concurrency: 4 } });
    const seen = await askMany(world, 100, 12 * SECOND);
    const counts = targetsOf(seen);
    assert.deepEqual(Object.keys(counts).toSorted(), ['alpha/small', 'beta/small', 'ollama/m'], JSON.stringify(counts));
    assert.ok(counts['alpha/small']! + counts['beta/small']! >= 32, JSON.stringify(counts));
    for (const { endAtMs } of seen) assert.ok(endAtMs <= 12 * SECOND, `${endAtMs}`);
  });

  it('serves as spare capacity if patience is configured', async (t) => {
    const models = { fast: { targets: ['alpha/small', 'beta/small', 'ollama/m'], patience: '1s' } };
    const world = await start(t, { alpha: answer, beta: answer }, { limits: { concurrency: 4 }, models });
    const counts = targetsOf(await askMany(world, 100, 300 * SECOND));
    assert.ok(counts['ollama/m']! >= 80, JSON.stringify(counts));
  });

  it('serves at once if every better tier has failed the request, or is open', async (t) => {
    const world = await start(t, { alpha: () => chatError(500), beta: () => chatError(500) });
    for (let i = 0; i < 8; i++) {
      const seen = await world.answerTo({}, deadline(60 * SECOND));
      assert.equal(seen.headers.get('x-breakwater-target'), 'ollama/m');
      assert.ok(seen.endAtMs < SECOND, `${seen.endAtMs}`);
    }
    assert.deepEqual([world.callsTo('alpha'), world.callsTo('beta')], [5, 5]);
  });

  it('is not used while a busy better tier has not failed the request', async (t) => {
    const world = await start(t, { alpha: () => chatError(500), beta: answer }, { limits: { concurrency: 1 } });
    const seen = await askMany(world, 4, 60 * SECOND);
    assert.deepEqual(targetsOf(seen), { 'beta/small': 4 });
  });

  it('waits for a rate limit that ends in time, and not for one that does not', async (t) => {
    const world = await start(t, { alpha: answer }, { limits: { requestsPerMinute: 1 } });
    await world.answerTo();
    const [late, early] = await world.until(
      Promise.all([world.ask({}, deadline(120 * SECOND)).done, world.ask({}, deadline(30 * SECOND)).done]),
    );
    assert.equal(late.headers.get('x-breakwater-target'), 'alpha/small');
    assert.equal(early.headers.get('x-breakwater-target'), 'ollama/m');
    assert.ok(early.endAtMs < SECOND, `${early.endAtMs}`);
  });

  it('takes over from a silent provider with a tenth of the deadline left', async (t) => {
    for (const stream of [false, true]) {
      const world = await start(t, { alpha: silence });
      const seen = await world.answerTo({ stream }, deadline(40 * SECOND));
      assert.equal(seen.status, 200);
      assert.match(seen.text, /one/);
      assert.ok(seen.endAtMs >= 36 * SECOND - 1 && seen.endAtMs <= 36 * SECOND + 100, `${seen.endAtMs}`);
      assert.deepEqual([world.callsTo('alpha'), world.upstream.aborted], [1, 1]);
    }
  });

  it('leaves a slow provider its time', async (t) => {
    const world = await start(t, { alpha: () => chatResponse({ headersAfterMs: 35 * SECOND }) });
    const seen = await world.answerTo({}, deadline(40 * SECOND));
    assert.equal(seen.headers.get('x-breakwater-target'), 'alpha/small');
    assert.equal(seen.headers.get('x-breakwater-attempts'), '1');
  });

  it('takes over before queue.maxWait is over', async (t) => {
    const config = { policy: { queue: { maxWait: '10s' } } } as const;
    const slow = (): SimulatedResponse => chatResponse({ headersAfterMs: 20 * SECOND });
    const world = await start(t, { alpha: slow }, { limits: { concurrency: 1 }, config });
    const busy = world.ask();
    await world.clock.advanceAsync(1);
    const seen = await world.answerTo({}, deadline(300 * SECOND));
    assert.equal(seen.headers.get('x-breakwater-target'), 'ollama/m');
    assert.ok(seen.endAtMs >= 9 * SECOND - 1 && seen.endAtMs <= 9.1 * SECOND, `${seen.endAtMs}`);
    await world.until(busy.done);
  });
});

describe('a server on this machine', () => {
  const models = { fast: ['alpha/small', 'ollama/m'] };
  const providersOf = (ollama: string) => ({
    alpha: { protocol: 'openai' as const, baseUrl: 'http://alpha.test/v1', apiKey: 'k', limits: { concurrency: 1 } },
    ollama: { preset: 'ollama' as const, baseUrl: ollama },
  });

  it('of a known local kind is also a last resort; elsewhere it is an ordinary tier', async (t) => {
    for (const [baseUrl, expected] of [
      ['http://127.0.0.1:11434/v1', 'alpha/small'],
      ['http://gpu.example.com/v1', 'ollama/m'],
    ] as const) {
      const world = await startVirtualWorld(t, {
        providers: { 'alpha.test': () => chatResponse({ headersAfterMs: 5 * SECOND }), [new URL(baseUrl).hostname]: () => chatResponse() },
        configured: providersOf(baseUrl),
        models,
      });
      const busy = world.ask();
      await world.clock.advanceAsync(1);
      assert.equal((await world.answerTo()).headers.get('x-breakwater-target'), expected);
      await world.until(busy.done);
    }
  });
});
