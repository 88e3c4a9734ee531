/**
 * Whole batches beside interactive callers, in virtual time: the runner, the job store (whose calls are slow, fail, and lose their
 * outcome), and a provider with real limits and faults. Each item has one result, callers wait no longer than without the batch, and the
 * remaining capacity is used.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { StoreFailure } from '../../src/store/backend.ts';
import type { JobStore } from '../../src/store/jobs/job-store.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { createManualClock, type ManualClock } from '../../src/testing/manual-clock.ts';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import type { ProviderBehaviour, ProviderCall } from '../../src/testing/simulated-provider.ts';
import { createSimulation } from '../../src/testing/simulation.ts';
import { generateLoad } from '../../src/testing/workload.ts';
import { quantile } from './observed.ts';

const PER_MINUTE = 1_200;
const BURST = 0.05;
const MINUTE_MS = 60_000;
/** With a burst of a twentieth of a minute's limit. */
const REFILL_MS = MINUTE_MS / PER_MINUTE;

type Calls = { readonly [M in keyof JobStore]: (...args: never[]) => Promise<unknown> };

/** Every `everyMs` the disk stops for `forMs`, and the calls of that time end together. */
interface Stalls {
  readonly everyMs: number;
  readonly forMs: number;
}

/** Each call takes up to 20 ms, and one in a hundred fails: half of these after they have done their work. */
function flaky(jobs: JobStore, clock: ManualClock, seed: number, stalls: Stalls | null): JobStore {
  const random = createSeededRandom(seed);
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => void clock.schedule(ms, resolve));
  const stalledMs = (): number => (stalls === null ? 0 : Math.max(0, stalls.forMs - (clock.now() % stalls.everyMs)));
  return new Proxy(jobs, {
    get(target, name: keyof JobStore) {
      const method = (target as unknown as Calls)[name];
      if (name === 'close') return () => target.close();
      return async (...args: never[]) => {
        await sleep(random.next() * 20 + stalledMs());
        const draw = random.next();
        if (draw < 0.005) throw new StoreFailure('io_error', 'the disk failed');
        const outcome = await method.apply(target, args);
        if (draw < 0.01) throw new StoreFailure('io_error', 'the outcome is lost');
        return outcome;
      };
    },
  });
}

/** The same store with other jobs. */
function withJobs(store: Store, jobs: JobStore): Store {
  return new Proxy(store, {
    get(target, name: keyof Store) {
      if (name === 'jobs') return jobs;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

interface Played {
  /** Of callers, in milliseconds. */
  readonly waits: readonly number[];
  readonly failedCallers: number;
  readonly calls: readonly ProviderCall[];
  readonly results: readonly string[];
  readonly state: string;
  readonly violations: number;
}

interface Scene {
  readonly seed: number;
  readonly limits: object;
  readonly items: number;
  readonly callers: boolean;
  readonly minutes: number;
  readonly faults?: ProviderBehaviour['faults'];
  readonly stalls?: Stalls;
}

async function play({ seed, limits, items, callers, minutes, faults = [], stalls }: Scene): Promise<Played> {
  const clock = createManualClock();
  const memory = await openStore('memory:', { clock, onWarning: () => {} });
  await memory.jobs!.listFiles({ client: 'batch', limit: 1 }); // opened in real time
  const jobs = flaky(memory.jobs!, clock, seed, stalls ?? null);
  const config: ConfigInput = {
    providers: { a: { protocol: 'openai', baseUrl: 'http://a.invalid/v1', apiKey: 'k', limits } },
    models: { fast: ['a/m'] },
    clients: ['web', 'batch'].map((name) => ({ name, key: `${name}-key-0123456789` })),
  };
  const calls: ProviderCall[] = [];
  const behaviour = { limits, faults, outputTokens: { p50: 60, p95: 150 } };
  const simulation = await createSimulation({
    config,
    providers: { a: behaviour },
    seed,
    clock,
    store: withJobs(memory, jobs),
    onCall: (_provider, call) => calls.push(call),
  });
  const waits: number[] = [];
  let failedCallers = 0;
  simulation.events.on('finished', ({ requestId, outcome, queueMs }) => {
    if (!received.has(requestId)) return;
    waits.push(queueMs);
    if (outcome !== 'success') failedCallers++;
  });
  const received = new Set<string>();
  simulation.events.on('received', ({ client, requestId }) => void (client === 'web' && received.add(requestId)));
  const batch = items === 0 ? null : await createBatch(simulation, items);
  const kind = { model: 'fast', stream: 0, inputTokens: { p50: 150, p95: 400 }, outputBound: 200, weight: 1, client: 'web' };
  const load = {
    durationMs: minutes * MINUTE_MS,
    requestsPerMinute: PER_MINUTE / 10,
    kinds: [{ ...kind, deadlineMs: { p50: 60_000, p95: 120_000 } }],
  };
  if (callers) await simulation.play(generateLoad(load, createSeededRandom(seed + 0.25)));
  let state = 'none';
  const results: string[] = [];
  if (batch !== null) {
    const gateway = simulation.gateway.jobs!;
    await simulation.until(() => gateway.open.length === 0 && calls.length > 0, 600_000);
    const ended = (await memory.jobs!.getJob('batch', batch))!;
    state = ended.state;
    for (const item of await memory.jobs!.readResults(batch, null, -1, 1e9)) results.push(`${item.customId} ${item.succeeded}`);
    for (let after = results.length - 1; results.length < ended.total; after = results.length - 1) {
      const more = await memory.jobs!.readResults(batch, null, after, 1e9);
      if (more.length === 0) break;
      for (const item of more) results.push(`${item.customId} ${item.succeeded}`);
    }
  }
  const violations = [...simulation.providers.values()].reduce((sum, provider) => sum + provider.count.violations, 0);
  let isClosed = false;
  void simulation.close().finally(() => (isClosed = true));
  await simulation.until(() => isClosed);
  return { waits, failedCallers, calls, results, state, violations };
}

async function createBatch({ gateway, clock }: Awaited<ReturnType<typeof createSimulation>>, items: number): Promise<string> {
  const { files, batches } = gateway.jobs!;
  /** Operations that fail because of the store are repeated, as a client would. */
  const insist = async <T>(act: () => Promise<T>): Promise<T> => {
    for (;;) {
      let settled: { value: T } | { failed: true } | null = null;
      act().then((value) => (settled = { value }), () => (settled = { failed: true })); // prettier-ignore
      await clock.runUntil(() => settled !== null, clock.now() + MINUTE_MS);
      if (settled !== null && 'value' in (settled as object)) return (settled as { value: T }).value;
    }
  };
  const lines = Array.from({ length: items }, (_, n) => {
    const body = { model: 'fast', user: `item ${n}`, max_tokens: 200, messages: [{ role: 'user', content: 'x'.repeat(600) }] };
    return JSON.stringify({ custom_id: `c${n}`, method: 'POST', url: '/v1/chat/completions', body });
  });
  const file = await insist(async () => {
    const upload = await files.begin('batch');
    await upload.write(Buffer.from(lines.join('\n')));
    return upload.finish({ purpose: 'batch', filename: 'in', expiresAtMs: clock.epochMs() + 30 * 86_400_000 });
  });
  const wish = { input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' };
  const { id } = (await insist(() => batches.create('batch', wish, 'job', 'key'))) as { id: string };
  return id;
}

/** Each item has one result, and was called once. */
function assertOneEach({ results, calls, state }: Played, items: number): void {
  assert.equal(state, 'completed');
  assert.deepEqual(new Set(results), new Set(Array.from({ length: items }, (_, n) => `c${n} true`)));
  assert.equal(results.length, items);
  const callCounts = new Map<string, number>();
  for (const { request, fate } of calls) if (fate === null) callCounts.set(request.id, (callCounts.get(request.id) ?? 0) + 1);
  for (let n = 0; n < items; n++) assert.equal(callCounts.get(`item ${n}`), 1, `item ${n}`);
}

/** The used share of the limit within these minutes. */
function shareUsed(calls: readonly ProviderCall[], fromMinute: number, toMinute: number): number {
  const within = calls.filter(({ at }) => at >= fromMinute * MINUTE_MS && at < toMinute * MINUTE_MS);
  return within.length / (PER_MINUTE * (toMinute - fromMinute));
}

const requests = { requestsPerMinute: PER_MINUTE, burst: BURST };
const faults = [{ kind: 'server_error', probability: 0.03 }, { kind: 'reset', probability: 0.01 }] as const; // prettier-ignore

const MINUTES = 3;

test('a disk that stalls releases no burst of calls: the limit of the provider holds', async (t) => {
  const items = PER_MINUTE;
  const stalls = { everyMs: 20_000, forMs: 6_000 };
  const played = await play({ seed: 1, limits: requests, items, callers: false, minutes: 2, stalls });
  assertOneEach(played, items);
  t.diagnostic(`${played.calls.length} calls for ${items} items, ${played.violations} above the limit`);
  assert.equal(played.violations, 0);
});

for (const seed of [1]) {
  test(`a batch alone uses the limit, despite faults of provider and store (seed ${seed})`, async (t) => {
    const items = MINUTES * PER_MINUTE;
    const played = await play({ seed, limits: requests, items, callers: false, minutes: MINUTES, faults });
    assertOneEach(played, items);
    const share = shareUsed(played.calls, 0.5, MINUTES - 0.5);
    t.diagnostic(`${(share * 100).toFixed(1)} % of the limit, ${played.calls.length} calls for ${items} items`);
    assert.ok(share >= 0.95, `${share}`);
    assert.equal(played.violations, 0);
  });

  for (const [name, limits] of [
    ['a limit of requests', requests],
    ['a concurrency limit', { concurrency: 20 }],
  ] as const) {
    test(`beside a batch callers wait no longer, and the remaining capacity is used, with ${name} (seed ${seed})`, async (t) => {
      const minutes = MINUTES;
      const items = minutes * PER_MINUTE;
      const alone = await play({ seed, limits, items: 0, callers: true, minutes });
      const beside = await play({ seed, limits, items, callers: true, minutes, faults });
      assertOneEach(beside, items);
      const [before, after] = [quantile(alone.waits, 0.95), quantile(beside.waits, 0.95)];
      const share = shareUsed(beside.calls, 0.5, MINUTES - 0.5);
      t.diagnostic(`p95 of callers ${before.toFixed(1)} ms alone, ${after.toFixed(1)} ms beside; ${(share * 100).toFixed(1)} % used`);
      assert.ok(after - before <= Math.max(50, REFILL_MS), `${after - before} ms longer`);
      assert.equal(beside.failedCallers, 0);
      assert.equal(beside.violations, 0);
      if ('requestsPerMinute' in limits) assert.ok(share >= 0.85, `${share}`);
    });
  }
}
