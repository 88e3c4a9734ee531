/**
 * A thousand requests with every fault, short deadlines and callers who leave in every phase. Whatever happened to each
 * of them: at the end nothing is held, nothing waits, nothing runs, and every story has one end.
 */
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { test } from 'node:test';
import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/gateway/system-clock.ts';
import type { Caller } from '../../src/pipeline/request/caller.ts';
import { FAULT_NAMES } from '../../src/storm/fault-names.ts';
import type { StormFault } from '../../src/storm/index.ts';
import { createSeededRandom } from '../../src/testing/index.ts';
import { chatBody } from './harness.ts';
import { eventually, startWorld } from './world.ts';
import type { World } from './world.ts';

const REQUESTS = 1000;
const CONCURRENCY = 12;
const SEED = 20;
/** Share of the upstream calls that a fault strikes. */
const FAULTY = 0.32;

/** The system's clock, counting the timers that are neither run nor cancelled. */
function createCountingClock(): { clock: Clock; pending: () => number } {
  const pending = new Set<object>();
  const clock: Clock = {
    now: () => systemClock.now(),
    epochMs: () => systemClock.epochMs(),
    schedule(delayMs, task) {
      const token = {};
      pending.add(token);
      const timer = systemClock.schedule(delayMs, () => {
        pending.delete(token);
        task();
      });
      return {
        cancel() {
          pending.delete(token);
          timer.cancel();
        },
      };
    },
  };
  return { clock, pending: () => pending.size };
}

/** Every kind, each the same small share of the calls; those that name a time name a short one. */
function everyFault(): StormFault[] {
  const probability = 1 - (1 - FAULTY) ** (1 / FAULT_NAMES.length);
  return FAULT_NAMES.map((kind) => {
    const fault: StormFault = { kind, probability };
    if (kind === 'status') fault.status = 418;
    if (kind === '429-retry') fault.retryAfter = '0.2';
    if (kind === '429-date' || kind === '429-text') fault.ms = 200;
    if (kind === 'drip') fault.ms = 3;
    return fault;
  });
}

interface Wish {
  readonly body: Record<string, unknown>;
  readonly headers: Record<string, string>;
  readonly inProcess: boolean;
  /** Milliseconds after which the caller leaves; null: it stays. */
  readonly leavesAfterMs: number | null;
  /** Milliseconds for which it reads nothing of its answer. */
  readonly readsAfterMs: number;
}

function createWishes(seed: number): () => Wish {
  const random = createSeededRandom(seed);
  const pick = <T>(...items: readonly T[]): T => items[Math.floor(random.next() * items.length)]!;
  const chance = (share: number) => random.next() < share;
  return () => ({
    body: {
      model: pick('fast', 'fast', 'fast', 'fast', 'solo', 'solo', 'solo', 'nobody-knows'),
      stream: chance(0.6),
      max_tokens: pick(5, 40, 200, 5000),
      temperature: 1,
    },
    headers: {
      'x-breakwater-priority': pick('high', 'normal', 'low'),
      'x-breakwater-deadline-ms': pick('30', '120', '400', '2000', '8000'),
      'x-breakwater-fallback': pick('on', 'on', 'off'),
    },
    inProcess: chance(0.4),
    leavesAfterMs: chance(0.35) ? random.next() ** 2 * 300 : null,
    readsAfterMs: chance(0.1) ? 300 : 0,
  });
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function askInProcess(world: World, wish: Wish): Promise<void> {
  const caller = new AbortController();
  const leave = wish.leavesAfterMs === null ? undefined : setTimeout(() => caller.abort(), wish.leavesAfterMs);
  try {
    const headers = { 'content-type': 'application/json', ...wish.headers };
    const init = { method: 'POST', headers, body: JSON.stringify(chatBody(wish.body)), signal: caller.signal };
    const response = await world.fetch('http://breakwater/v1/chat/completions', init);
    if (wish.readsAfterMs > 0) await sleep(wish.readsAfterMs);
    await response.text();
  } catch {
    // It left, or its answer broke off: the gateway's side of that is what counts here.
  } finally {
    clearTimeout(leave);
  }
}

function askBySocket(world: World, wish: Wish): Promise<void> {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/json', ...wish.headers };
    const ask = httpRequest(`${world.url}/v1/chat/completions`, { method: 'POST', headers, agent: false });
    const leave = wish.leavesAfterMs === null ? undefined : setTimeout(() => ask.destroy(), wish.leavesAfterMs);
    ask.on('error', () => {});
    ask.on('close', () => {
      clearTimeout(leave);
      resolve();
    });
    ask.on('response', (response) => {
      response.on('error', () => {});
      setTimeout(() => response.resume(), wish.readsAfterMs);
    });
    ask.end(JSON.stringify(chatBody(wish.body)));
  });
}

async function sendAll(world: World): Promise<void> {
  const nextWish = createWishes(SEED);
  const asked: Promise<void>[] = [];
  for (let i = 0; i < REQUESTS; i++) {
    const wish = nextWish();
    asked.push(wish.inProcess ? askInProcess(world, wish) : askBySocket(world, wish));
    if (i % 4 === 0) await sleep(18);
    // Or the first spent key would end the use of its provider for ten minutes.
    if (i % 10 === 0) for (const { target } of world.gateway.targets()) world.gateway.reset(target);
  }
  await Promise.all(asked);
}

/** Counts events of one kind by what they are about. */
function countBy<T>(events: readonly T[], keyOf: (event: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const event of events) counts.set(keyOf(event), (counts.get(keyOf(event)) ?? 0) + 1);
  return counts;
}

function assertOneEndEach(world: World): void {
  const received = countBy(world.eventsOf('received'), (event) => event.requestId);
  const finished = countBy(world.eventsOf('finished'), (event) => event.requestId);
  assert.deepEqual(finished, received, 'one end for every request');
  assert.ok([...received.values()].every((count) => count === 1));
  const begun = countBy(world.eventsOf('attempt'), (event) => `${event.requestId} ${event.attempt} ${event.target}`);
  const ended = countBy(world.eventsOf('attempt_end'), (event) => `${event.requestId} ${event.attempt} ${event.target}`);
  assert.deepEqual(ended, begun, 'one end for every attempt');
  assert.ok([...begun.values()].every((count) => count === 1));
  for (const { requestId, attempts, outcome } of world.eventsOf('finished')) {
    const made = world.eventsOf('attempt').filter((event) => event.requestId === requestId).length;
    assert.equal(made, attempts, outcome);
    assert.ok(attempts <= 4);
  }
}

function assertNothingHeld(world: World, callers: readonly Caller[], pendingTimers: number): void {
  const queue = world.gateway.queue();
  assert.deepEqual([queue.waiting, queue.inFlight, queue.heldBytes], [0, 0, 0]);
  for (const target of world.gateway.targets()) {
    assert.equal(target.inFlight, 0, target.target);
    const free = target.limits.find((limit) => limit.kind === 'concurrency')!;
    assert.equal(free.available, CONCURRENCY);
    for (const limit of target.limits) assert.ok(limit.available <= limit.limit, `${limit.kind}: ${limit.available}`);
  }
  assert.equal(callers.filter((caller) => caller.onLeave !== null).length, 0, 'no listener is left');
  assert.equal(pendingTimers, 1, 'only the timer that saves the state');
}

for (const hedges of [false, true]) {
  test(`a thousand requests of every fate leave nothing behind${hedges ? ', with a second attempt beside each slow one' : ''}`, async (t) => {
    const { clock, pending } = createCountingClock();
    const callers: Caller[] = [];
    const limits = { concurrency: CONCURRENCY, requestsPerMinute: 60_000, tokensPerMinute: 60_000_000 };
    const timing = { plainMs: { min: 5, max: 60 }, firstTokenMs: { min: 1, max: 40 }, tokensPerSecond: 800, eventsPerPacket: 3 };
    const world = await startWorld(t, {
      storms: { a: { seed: 1, timing, faults: everyFault() }, b: { seed: 2, timing, faults: everyFault() } },
      providers: { a: { limits }, b: { limits } },
      models: { fast: ['a/m', 'b/m'], solo: ['a/m'] },
      clock,
      onRequest: (request) => callers.push(request.caller),
      config: {
        policy: {
          timeouts: { headers: '250ms', firstContent: '250ms', idle: '200ms' },
          retry: { baseDelay: '10ms', maxDelay: '80ms', budget: hedges ? { ratio: 1, minPerSecond: 10 } : {} },
          breaker: { openFor: '40ms', maxOpenFor: '200ms' },
          queue: { maxSize: 40 },
          hedge: { enabled: hedges, delay: '25ms', budget: 1 },
        },
      },
    });
    await sendAll(world);

    const [a, b] = [world.storms['a']!, world.storms['b']!];
    await eventually(() => a.stats().running + b.stats().running === 0, 'the end of the last call');
    await eventually(() => world.gateway.queue().inFlight === 0, 'the end of the last request');
    const isFull = () => world.gateway.targets().every((target) => target.limits.every((limit) => limit.available >= limit.limit));
    await eventually(isFull, 'all that was taken from the limits');
    await eventually(() => pending() <= 1, 'the end of all timers');

    assertNothingHeld(world, callers, pending());
    assertOneEndEach(world);
    assert.deepEqual(world.eventsOf('warning'), [], 'no internal error');
    const outcomes = countBy(world.eventsOf('finished'), (event) => event.outcome);
    assert.deepEqual(
      [...outcomes.keys()].toSorted(),
      ['cancelled', 'failed', 'interrupted', 'refused', 'success'],
      'every kind of end was seen',
    );
    const attempts = world.eventsOf('attempt').length;
    const calls = a.stats().calls + b.stats().calls;
    const cancelled = world.eventsOf('attempt_end').filter((end) => end.verdict === 'cancelled' || end.phase === 'connect').length;
    assert.equal(
      world.eventsOf('attempt').some(({ race }) => race === 'hedge'),
      hedges,
    );
    assert.ok(calls <= attempts && calls >= attempts - cancelled, `${calls} calls for ${attempts} attempts`);
  });
}
