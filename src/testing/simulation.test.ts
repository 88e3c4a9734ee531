import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfigInput } from '../gateway/config/index.ts';
import type { SimulatedCaller } from './simulated-caller.ts';
import { SIMULATED_FAULT_KINDS } from './simulated-faults.ts';
import type { ProviderBehaviour } from './simulated-provider.ts';
import { createSimulation } from './simulation.ts';
import type { SimulatedRequest } from './workload.ts';

const config: ConfigInput = {
  providers: { a: { baseUrl: 'http://a.invalid/v1', apiKey: 'sk-a' }, b: { baseUrl: 'http://b.invalid/v1', apiKey: 'sk-b' } },
  models: { fast: ['a/m', 'b/m'] },
};

function request(more: Partial<SimulatedRequest> = {}): SimulatedRequest {
  const asked = { id: 'r1', atMs: 0, model: 'fast', client: null, priority: null, deadlineMs: null, stream: true };
  return { ...asked, inputTokens: 100, outputBound: 50, leavesAfterMs: null, ...more };
}

/** Sends one request; returns its caller once everything has ended, and the number of calls per provider. */
async function sendOne(providers: Record<string, ProviderBehaviour>, more: Partial<SimulatedRequest> = {}) {
  const simulation = await createSimulation({ config, providers });
  let seen: SimulatedCaller | null = null;
  await simulation.play([request(more)], (caller) => (seen = caller));
  const atMs = simulation.clock.now();
  await simulation.pass(1_000);
  await simulation.close();
  const [a, b] = ['a', 'b'].map((name) => simulation.providers.get(name)!.count);
  return { caller: seen as unknown as SimulatedCaller, a: a!, b: b!, atMs };
}

test('a response takes the time of the network, the first token and the tokens, streaming or not', async () => {
  const a = { networkMs: 20, firstTokenMs: 500, tokensPerSecond: 50, outputTokens: 25 };
  for (const stream of [true, false]) {
    const { caller, a: count, atMs } = await sendOne({ a }, { stream });
    assert.deepEqual([caller.status, caller.responseEnd, caller.faultOfResponse()], [200, 'ended', null]);
    assert.equal(Math.round(atMs), 20 + 500 + 500 + 20);
    assert.equal(Math.round(caller.firstByteAt!), stream ? 20 + 500 + 20 : atMs);
    assert.deepEqual([count.calls, count.completed, count.outputTokens, count.running], [1, 1, 25, 0]);
  }
});

for (const kind of SIMULATED_FAULT_KINDS) {
  test(`a failure at one provider is served by the next, or reported as broken: ${kind}`, async () => {
    for (const stream of [true, false]) {
      const { caller, a, b } = await sendOne({ a: { faults: [{ kind }] } }, { stream });
      const isCommitted = stream && (kind === 'cut' || kind === 'stall');
      assert.equal(caller.faultOfResponse(), null);
      assert.equal(caller.errorCode(), isCommitted ? (kind === 'cut' ? 'stream_interrupted' : 'stream_stalled') : null);
      assert.deepEqual([a.faults > 0, a.completed, b.completed], [true, kind === 'empty' ? a.calls : 0, isCommitted ? 0 : 1]);
      assert.equal(a.running + b.running, 0);
    }
  });
}

test('a provider above its knee slows down for all calls, then rejects new ones', async () => {
  const simulation = await createSimulation({
    config: { ...config, models: { fast: ['a/m'] }, policy: { maxAttempts: 1 } },
    providers: {
      a: { knee: { concurrency: 2, refuseAbove: 4 }, firstTokenMs: 1_000, networkMs: 0, outputTokens: 1, tokensPerSecond: 1_000 },
    },
  });
  const seen: [status: number, ms: number][] = [];
  const requests = [1, 2, 3, 4, 5].map((i) => request({ id: `r${i}`, stream: false }));
  await simulation.play(requests, (caller) => seen.push([caller.status, Math.round(simulation.clock.now())]));
  assert.deepEqual(seen, [
    [503, 0],
    [200, 1_001],
    [200, 1_001],
    [200, 1_502],
    [200, 2_002],
  ]);
  assert.equal(simulation.providers.get('a')!.count.overloaded, 1);
});

test('limits unknown to the gateway are exceeded, and counted by the provider', async () => {
  const limits = { requestsPerMinute: 3 };
  const requests = Array.from({ length: 6 }, (_, i) => request({ id: `r${i}`, atMs: i }));
  const violationsWith = async (known: object): Promise<number> => {
    const a = { baseUrl: 'http://a.invalid/v1', apiKey: 'sk-a', ...known };
    const simulation = await createSimulation({ config: { providers: { a }, models: { fast: ['a/m'] } }, providers: { a: { limits } } });
    await simulation.play(requests);
    return simulation.providers.get('a')!.count.violations;
  };
  assert.ok((await violationsWith({})) >= 3);
  assert.equal(await violationsWith({ limits }), 0);
});

test('a client of the config is known by its name, whatever its key; an invalid config is rejected with its faults', async () => {
  const clients = [{ name: 'web', keyHash: `sha256:${'0'.repeat(64)}` }];
  const simulation = await createSimulation({ config: { ...config, clients } });
  const statuses: number[] = [];
  await simulation.play([request({ client: 'web' }), request({ id: 'r2', client: 'nobody' })], (caller) => statuses.push(caller.status));
  assert.deepEqual(
    statuses.toSorted((x, y) => x - y),
    [200, 401],
  );
  await assert.rejects(createSimulation({ config: { ...config, models: { fast: ['nowhere/m'] } } }), /the config is not valid[^]*nowhere/);
});

test("a caller that disconnects gets nothing more, and the provider's call is aborted", async () => {
  const { caller, a } = await sendOne({ a: { firstTokenMs: 5_000 } }, { leavesAfterMs: 1_000 });
  assert.deepEqual([caller.responseEnd, caller.text, a.aborted, a.completed, a.running], ['left', '', 1, 0, 0]);
});

test('requests that never end are reported', async () => {
  const simulation = await createSimulation({ config });
  simulation.gateway.handle = () => new Promise(() => {});
  await assert.rejects(simulation.play([request()]), /1 requests have not ended/);
});

test('quality checks of the config do not apply to simulated content', async () => {
  const quality = { minLength: 100_000, mustMatch: ['the moon'], check: './no-such-check.mjs' };
  const models = { fast: { targets: ['a/m', 'b/m'], quality: { ...quality, check: { model: 'fast', instruction: 'Is it good?' } } } };
  const simulation = await createSimulation({ config: { ...config, models, policy: { quality } } });
  await simulation.play([request({ stream: false })]);
  await simulation.pass(1_000);
  const [a, b] = ['a', 'b'].map((name) => simulation.providers.get(name)!.count.calls);
  assert.deepEqual([a, b], [1, 0]);
  await simulation.close();
});
