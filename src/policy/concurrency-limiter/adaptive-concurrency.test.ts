import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testResourceContract } from '../../core/resource.contract.ts';
import { AdaptiveConcurrency } from './adaptive-concurrency.ts';

/** Reproducible noise, nearly normal. */
function noiseOf(seed: number): () => number {
  let state = seed;
  const next = (): number => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647;
  return () => next() + next() + next() + next() + next() + next() - 3;
}

interface Play {
  readonly limiter: AdaptiveConcurrency;
  readonly wanted: number;
  readonly minutes: number;
  /** Time to first content by running calls and kind of prompt. */
  readonly firstMs: (running: number, kind: number) => number;
  readonly kinds?: readonly number[];
  readonly spread?: number;
  readonly fromMs?: number;
}

/** Keeps as many calls running as wanted and allowed, each for about three seconds; returns how many ran, once a second. */
function play({ limiter, wanted, minutes, firstMs, kinds = [10], spread = 0.4, fromMs = 0 }: Play): number[] {
  const noise = noiseOf(7);
  const ran: number[] = [];
  let running: { ticket: number; startedAt: number; begins: number; ends: number; kind: number; running: number; begun: boolean }[] = [];
  const STEP_MS = 50;
  for (let now = fromMs; now < fromMs + minutes * 60_000; now += STEP_MS) {
    for (const call of running) {
      if (call.begun || call.begins > now) continue;
      call.begun = true;
      limiter.served(now, call.startedAt);
      limiter.began(now, call.startedAt, call.kind, call.running, call.begins - call.startedAt);
    }
    for (const call of running) if (call.ends <= now) limiter.settle(now, call.ticket);
    running = running.filter(({ ends }) => ends > now);
    for (let starts = 0; starts < 10 && running.length < wanted && limiter.earliest(now) === now; starts++) {
      const ticket = limiter.reserve(now);
      const kind = kinds[(running.length + starts) % kinds.length]!;
      const ms = firstMs(limiter.inUse, kind) * Math.exp(spread * noise());
      running.push({ ticket, startedAt: now, begins: now + ms, ends: now + ms + 2500, kind, running: limiter.inUse, begun: false });
    }
    if (now % 1000 === 0) ran.push(limiter.inUse);
  }
  for (const { ticket } of running) limiter.cancel(fromMs + minutes * 60_000, ticket);
  return ran;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;
const knee = (at: number) => (running: number, kind: number) => (kind > 12 ? 2500 : 400) * Math.max(1, running / at);

testResourceContract('a concurrency of which nothing is known', () => new AdaptiveConcurrency('p'));
testResourceContract('a concurrency that was refused', (now) => {
  const limiter = new AdaptiveConcurrency('p');
  for (let i = 0; i < 8; i++) limiter.refused(now - 900 + i * 100, now - 850 + i * 100, 10);
  return limiter;
});

test('sets no limit without a sign of overload, however many calls run', () => {
  const limiter = new AdaptiveConcurrency('p');
  const ran = play({ limiter, wanted: 300, minutes: 10, firstMs: () => 400 });
  assert.equal(limiter.limit, Infinity);
  assert.equal(median(ran), 300);
});

test('settles at the knee of a target that slows down under load, within three minutes', () => {
  const limiter = new AdaptiveConcurrency('p');
  const settled = median(play({ limiter, wanted: 80, minutes: 8, firstMs: knee(20) }).slice(180));
  assert.ok(settled >= 15 && settled <= 25, `${settled}`);
});

test('a mixture of short and long prompts settles at the same limit', () => {
  const at = (kinds: readonly number[]) =>
    median(play({ limiter: new AdaptiveConcurrency('p'), wanted: 80, minutes: 8, firstMs: knee(20), kinds }).slice(180));
  const [short, mixed] = [at([10]), at([10, 10, 10, 17])];
  assert.ok(Math.abs(mixed - short) <= Math.max(2, 0.1 * short), `${short} and ${mixed}`);
});

test('a shift to long prompts is no sign of overload', () => {
  const limiter = new AdaptiveConcurrency('p');
  play({ limiter, wanted: 40, minutes: 3, firstMs: knee(1000) });
  play({ limiter, wanted: 60, minutes: 3, firstMs: knee(1000), kinds: [10, 17], fromMs: 180_000 });
  assert.equal(limiter.limit, Infinity);
});

test('a target that becomes slower for another reason is not limited for long', () => {
  const limiter = new AdaptiveConcurrency('p');
  play({ limiter, wanted: 40, minutes: 5, firstMs: () => 400 });
  const ran = play({ limiter, wanted: 40, minutes: 12, firstMs: () => 1200, fromMs: 300_000 });
  assert.ok(median(ran.slice(-120)) >= 36, `${median(ran.slice(-120))}`);
});

test('a refusal lowers the limit by a fifth, and refusals of calls that ran at the time lower it no further', () => {
  const limiter = new AdaptiveConcurrency('p');
  for (let i = 0; i < 50; i++) limiter.reserve(0);
  for (let i = 0; i < 10; i++) limiter.refused(100 + i, 0, 50);
  assert.equal(limiter.limit, 40);
  assert.equal(limiter.earliest(200), 1000, 'except for one a second');
});

test('a single refusal at low load hardly limits a target', () => {
  const limiter = new AdaptiveConcurrency('p');
  limiter.refused(100, 50, 1);
  assert.equal(limiter.limit, 8);
});

test('grows back fast to near the refusal, and only while requests wait', () => {
  const limiter = new AdaptiveConcurrency('p');
  limiter.refused(0, -1, 100);
  limiter.served(10, 1);
  assert.equal(limiter.limit, 80, 'no request waits');
  for (let i = 0; i < 80; i++) limiter.reserve(20);
  for (let i = 0; i < 10; i++) limiter.served(30 + i, 20);
  assert.ok(limiter.limit >= 85 && limiter.limit <= 90, `${limiter.limit}`);
});

test('without a sign or a waiting request the limit expires after ten minutes', () => {
  const limiter = new AdaptiveConcurrency('p');
  limiter.refused(0, -1, 10);
  limiter.served(11 * 60_000, 10 * 60_000);
  assert.equal(limiter.limit, Infinity);
});

test('survives a restart for a while', () => {
  const limiter = new AdaptiveConcurrency('p');
  limiter.refused(0, -1, 50);
  const saved = limiter.save(1_000_000)!;
  const again = new AdaptiveConcurrency('p');
  again.restore(0, 1_060_000, saved);
  assert.equal(again.limit, 40);
  const late = new AdaptiveConcurrency('p');
  late.restore(0, 5_000_000, saved);
  assert.equal(late.limit, Infinity);
});

test('a dip ends in time, even without further observations', () => {
  const limiter = new AdaptiveConcurrency('p');
  const room = (now: number): number => {
    const taken: number[] = [];
    while (limiter.earliest(now) === now && taken.length < 1000) taken.push(limiter.reserve(now));
    for (const ticket of taken) limiter.cancel(now, ticket);
    return taken.length;
  };
  play({ limiter, wanted: 60, minutes: 4, firstMs: knee(20) });
  let now = 240_000;
  const isDipping = (): boolean => limiter.limit !== Infinity && room(now) < limiter.limit;
  for (; now < 300_000 && !isDipping(); now += 1000) limiter.began(now, now - 450, 10, limiter.limit, 450);
  assert.ok(isDipping());
  assert.equal(room(now + 6000), limiter.limit);
});

/** Starts this many calls at once that never end and whose first content comes after `firstMs`. */
function startLong(limiter: AdaptiveConcurrency, now: number, count: number, firstMs: (running: number) => number): void {
  for (let i = 0; i < count; i++) {
    limiter.reserve(now);
    const running = limiter.running(now);
    const ms = firstMs(running);
    limiter.served(now + ms, now, running);
    limiter.began(now + ms, now, 10, running, ms);
  }
}

/** Long calls, ten at once: up to 200 of them the target slows down in proportion, up to `slowestMs`. */
function slowedDown(slowestMs: number): AdaptiveConcurrency {
  const limiter = new AdaptiveConcurrency('p');
  for (let now = 0; now < 20_000 && limiter.earliest(now) === now; now += 1000) {
    startLong(limiter, now, 10, (running) => Math.max(20, (slowestMs * running) / 200));
  }
  return limiter;
}

test('a rise of the time to first content is no sign of overload while it stays under a second', () => {
  assert.equal(slowedDown(900).limit, Infinity);
  assert.ok(slowedDown(4000).limit < 200);
});

test('one call a second is admitted regardless of the limit', () => {
  const limiter = slowedDown(4000);
  const start = limiter.earliest(20_000);
  limiter.reserve(start);
  assert.equal(limiter.earliest(start), start + 1000);
  assert.equal(limiter.earliest(start + 1000), start + 1000);
});

test('fast trials at the concurrency of the sign disprove it; the next sign is ignored for a while', () => {
  const limiter = slowedDown(4000);
  const { limit, inUse } = limiter;
  assert.ok(limit < inUse, `${limit} of ${inUse}`);
  let now = 30_000;
  for (let trials = 0; trials < 3; trials++, now += 1000) startLong(limiter, now, 1, () => 20);
  assert.equal(limiter.limit, Infinity);
  for (; now < 60_000; now += 1000) startLong(limiter, now, 10, (running) => 20 * running);
  assert.equal(limiter.limit, Infinity);
});

test('an overload of a trial confirms the limit and does not lower it', () => {
  const limiter = new AdaptiveConcurrency('p');
  for (let i = 0; i < 50; i++) limiter.reserve(0);
  limiter.refused(100, 0, 50);
  limiter.reserve(1200);
  limiter.refused(1300, 1200, limiter.running(1200));
  assert.equal(limiter.limit, 40);
});

test('the limit is at least the number of calls that were served at once', () => {
  const limiter = new AdaptiveConcurrency('p');
  for (let i = 0; i < 50; i++) limiter.reserve(0);
  limiter.refused(100, 0, 50);
  limiter.reserve(1200);
  limiter.served(1300, 1200, limiter.running(1200));
  assert.equal(limiter.limit, 51);
});

test('where a limit is configured neither latency nor silence is a sign, but an overload is', () => {
  const limiter = new AdaptiveConcurrency('p');
  limiter.configure(true);
  for (let now = 0; now < 20_000; now += 1000) startLong(limiter, now, 10, (running) => 20 * running);
  limiter.refused(20_100, 20_000, 200, true);
  assert.equal(limiter.limit, Infinity);
  limiter.refused(20_200, 20_100, 200);
  assert.equal(limiter.limit, 160);
});

test('a limit inferred from latency is dropped when the config sets one', () => {
  const limiter = slowedDown(4000);
  limiter.configure(true);
  assert.equal(limiter.limit, Infinity);
});

test('a limit without a new sign expires after ten minutes, even while calls wait and none starts', () => {
  const limiter = new AdaptiveConcurrency('p');
  for (let i = 0; i < 50; i++) limiter.reserve(0);
  limiter.refused(100, 0, 50);
  assert.ok(limiter.earliest(500) > 500);
  assert.equal(limiter.earliest(601_000), 601_000);
  for (let i = 0; i < 50; i++) limiter.reserve(601_000);
  assert.equal(limiter.limit, Infinity);
});

test('a call whose caller reads nothing does not count after five seconds, until it reads again or ends', () => {
  const limiter = new AdaptiveConcurrency('p');
  const tickets = Array.from({ length: 50 }, () => limiter.reserve(0));
  limiter.refused(100, 0, 50);
  const unread = tickets.slice(0, 20);
  for (const ticket of unread) limiter.setUnread(200, ticket, true);
  assert.equal(limiter.running(5100), 50);
  assert.equal(limiter.running(5200), 30);
  assert.equal(limiter.earliest(5200), 5200);
  limiter.setUnread(5300, unread[0]!, false);
  limiter.settle(5300, unread[1]!);
  assert.equal(limiter.running(5300), 31);
  for (const ticket of tickets.filter((each) => each !== unread[1])) limiter.settle(6000, ticket);
  assert.equal(limiter.running(6000), 0);
});
