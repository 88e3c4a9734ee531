/**
 * What one instance learns of a provider applies at the others, which have no traffic of their own, and after a restart: whole gateways over
 * one virtual store, in virtual time.
 */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { EventBus } from '../../src/core/events.ts';
import { parseConfig } from '../../src/gateway/config/index.ts';
import { createGateway } from '../../src/gateway/create-gateway.ts';
import type { Gateway } from '../../src/gateway/gateway.ts';
import { createApp } from '../../src/server/app.ts';
import { createFetch } from '../../src/server/fetch.ts';
import { createFaultyDisk, openFaultyStore } from '../../src/testing/faulty-store.ts';
import { createManualClock } from '../../src/testing/manual-clock.ts';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import { chatError, chatResponse, silence } from '../../src/testing/simulated-chat.ts';
import { createSimulatedUpstream, type SimulatedCall, type SimulatedResponse } from '../../src/testing/simulated-upstream.ts';
import { createVirtualFleetStore } from '../../src/testing/virtual-shared-store.ts';
import { chatBody } from './harness.ts';
import { drive } from './virtual.ts';

type Script = (call: SimulatedCall) => SimulatedResponse;

interface Instance {
  readonly gateway: Gateway;
  /** Status, and how long it took. */
  send(headers?: Record<string, string>): Promise<number>;
  ask(headers?: Record<string, string>): Promise<{ status: number; ms: number }>;
  close(): Promise<void>;
}

/** Two providers, `a` before `b`, behind instances that share a store. */
function stage(t: TestContext, { a, isShared = true }: { a: Script; isShared?: boolean }) {
  const clock = createManualClock();
  const random = createSeededRandom(1);
  const disk = createFaultyDisk({ clock, random });
  const fleet = createVirtualFleetStore(clock);
  const script = { a };
  const upstream = createSimulatedUpstream(clock, (call) => (call.request.origin.includes('a.test') ? script.a(call) : chatResponse()));
  const provider = (name: string) => ({ protocol: 'openai' as const, baseUrl: `http://${name}.test/v1`, apiKey: `sk-of-${name}` });
  const parsed = parseConfig(
    { providers: { a: provider('a'), b: provider('b') }, models: { fast: ['a/m', 'b/m'], alone: ['a/m'] } },
    { source: 'library' },
  );
  assert.ok(parsed.ok);
  const { config } = parsed;
  const join = async (): Promise<Instance> => {
    const store = await drive(clock, openFaultyStore({ clock, disk }));
    const events = new EventBus((error) => {
      throw error;
    });
    if (isShared) Object.assign(store, { shared: fleet.connect() });
    const gateway = await drive(clock, createGateway({ config, clock, random, store, events, transport: upstream }));
    let closing: Promise<void> | null = null;
    const close = (): Promise<void> => (closing ??= drive(clock, gateway.close()));
    t.after(close);
    const fetch = createFetch(createApp({ gateway, random }));
    const send = async (headers: Record<string, string> = {}): Promise<number> => {
      const { model = 'fast', ...others } = headers;
      const init = {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...others },
        body: JSON.stringify(chatBody({ model })),
      };
      const response = await fetch('http://breakwater/v1/chat/completions', init);
      await response.text();
      return response.status;
    };
    return {
      gateway,
      close,
      send,
      async ask(headers = {}) {
        const startedAt = clock.now();
        const status = await drive(clock, send(headers));
        return { status, ms: clock.now() - startedAt };
      },
    };
  };
  return { clock, script, join, fleet, callsToA: () => upstream.callsTo('http://a.test') };
}

/** A provider with so many requests a minute that has served nothing before. `seen` counts its calls. */
function limited(perMinute = 60, afterMs = 0, seen = { served: 0, refused: 0 }): Script {
  let [level, at] = [perMinute, 0];
  return (call) => {
    level = Math.min(perMinute, level + ((call.at - at) * perMinute) / 60_000);
    at = call.at;
    const isRefused = level < 1;
    if (isRefused) seen.refused++;
    else seen.served++;
    if (!isRefused) level -= 1;
    const headers = {
      'x-ratelimit-limit-requests': String(perMinute),
      'x-ratelimit-remaining-requests': String(Math.floor(level)),
    };
    if (isRefused) return chatError(429, { code: 'rate_limit_exceeded' }, headers);
    const steps = [...chatResponse({ headersAfterMs: afterMs }).steps].map((step) =>
      step.do === 'head' ? { ...step, headers: { ...step.headers, ...headers } } : step,
    );
    return { steps };
  };
}

const learnedAt = ({ gateway }: Instance) => gateway.targets().find(({ target }) => target === 'a/m')!.learned.limits;

test('an instance without traffic keeps to what remains of the limit that another one has learned and used', async (t) => {
  const { clock, join, callsToA } = stage(t, { a: limited() });
  const [first, second] = [await join(), await join()];
  for (let i = 0; i < 58; i++) assert.equal((await first.ask({ model: 'alone' })).status, 200);
  await clock.advanceAsync(300);
  const [limit] = learnedAt(second);
  assert.deepEqual([limit!.limit, limit!.source], [60, 'reported']);
  assert.ok(limit!.available < 4, `${limit!.available} available`);
  const before = callsToA();
  const answers = [];
  for (let i = 0; i < 8; i++) answers.push(await second.ask({ model: 'alone', 'x-breakwater-deadline-ms': '900' }));
  assert.ok(callsToA() - before <= 4, `${callsToA() - before} calls`);
  assert.ok(
    answers.some(({ status }) => status === 429),
    'a request that can not start before its deadline is refused',
  );
});

test('four instances with more load than a learned limit allows use it, and hardly any call is refused', async (t) => {
  const seen = { served: 0, refused: 0 };
  const { clock, join } = stage(t, { a: limited(600, 800, seen) });
  const all = [await join(), await join(), await join(), await join()];
  const random = createSeededRandom(5);
  const shares = [0.7, 0.2, 0.08, 0.02];
  const asked: Promise<number>[] = [];
  const until = clock.now() + 5 * 60_000;
  while (clock.now() < until) {
    let [at, i] = [random.next(), 0];
    while (i < shares.length - 1 && at > shares[i]!) at -= shares[i++]!;
    asked.push(all[i]!.send({ model: 'alone', 'x-breakwater-deadline-ms': '20000' }));
    await clock.advanceAsync((-Math.log(1 - random.next()) * 60_000) / (1.2 * 600));
  }
  await drive(clock, Promise.all(asked));
  t.diagnostic(`${seen.served} served, ${seen.refused} refused`);
  // A full bucket and what is refilled in five minutes.
  assert.ok(seen.served >= 0.95 * 6 * 600, `${seen.served} served`);
  assert.ok(seen.refused <= 0.002 * seen.served, `${seen.refused} refused`);
});

test('an instance that joins later has the limit and the latencies, and rescues a hung call as the others do', async (t) => {
  const { clock, script, join } = stage(t, { a: limited() });
  const first = await join();
  script.a = () => chatResponse({ headersAfterMs: 100 });
  for (let i = 0; i < 60; i++) await first.ask();
  const second = await join();
  await clock.advanceAsync(3_000);
  script.a = silence;
  const rescued = await second.ask();
  assert.deepEqual([rescued.status, rescued.ms], [200, 10_000], 'not after the 30.5 s for a target of which nothing is known');
});

test('an instance that was there before has the latencies within seconds', async (t) => {
  const { clock, script, join } = stage(t, { a: () => chatResponse({ headersAfterMs: 100 }) });
  const [first, second] = [await join(), await join()];
  for (let i = 0; i < 60; i++) await first.ask();
  await clock.advanceAsync(5_100);
  script.a = silence;
  assert.equal((await second.ask()).ms, 10_000);
});

test('without a store that answers, requests run as before', async (t) => {
  const { clock, join, fleet } = stage(t, { a: limited() });
  const [first, second] = [await join(), await join()];
  fleet.isGone = true;
  for (let i = 0; i < 10; i++) assert.equal((await first.ask()).status, 200);
  assert.deepEqual(learnedAt(second), []);
  fleet.isGone = false;
  await clock.advanceAsync(3_000);
  assert.equal(learnedAt(second)[0]!.limit, 60);
});

for (const isShared of [true, false]) {
  test(`latencies outlive a restart${isShared ? ' of a whole fleet' : ''}`, async (t) => {
    const { clock, script, join } = stage(t, { a: () => chatResponse({ headersAfterMs: 3_000 }), isShared });
    const before = await join();
    for (let i = 0; i < 60; i++) await before.ask();
    await before.close();
    await clock.advanceAsync(60_000);
    const after = await join();
    script.a = silence;
    const rescued = await after.ask();
    // Five times the 99th percentile, in steps of 10 %.
    assert.ok(rescued.ms >= 15_000 && rescued.ms <= 16_600, `${rescued.ms} ms`);
  });
}

test('latencies are saved every five seconds, so a killed process loses no more', async (t) => {
  const { clock, script, join } = stage(t, { a: () => chatResponse({ headersAfterMs: 100 }), isShared: false });
  const before = await join();
  for (let i = 0; i < 60; i++) await before.ask();
  await clock.advanceAsync(6_500);
  const after = await join();
  script.a = silence;
  assert.equal((await after.ask()).ms, 10_000);
});

test('a reset clears the latencies of a target, also after a restart', async (t) => {
  const { script, join } = stage(t, { a: () => chatResponse({ headersAfterMs: 100 }), isShared: false });
  const before = await join();
  for (let i = 0; i < 60; i++) await before.ask();
  assert.ok(before.gateway.reset('a/m'));
  await before.close();
  const after = await join();
  script.a = silence;
  assert.equal((await after.ask()).ms, 30_500);
});
