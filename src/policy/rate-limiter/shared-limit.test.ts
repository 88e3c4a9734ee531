/** Two instances call one provider; what it reports to one of them applies at the other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Need } from '../../core/resource.ts';
import type { AdvertisedValue } from './advertised-limit.ts';
import { LearnedRate } from './learned-rate.ts';
import type { LearnedRateOptions } from './learned-rate.ts';
import type { SharedLimit } from './shared-limit.ts';

const MINUTE = 60_000;
const ONE: Need = { requests: 1, inputTokens: 0, outputTokens: 0 };

function make(options: Partial<LearnedRateOptions> = {}): LearnedRate {
  const usual = { id: 'p', kind: 'requests', enforce: 'bucket', startsCarefully: false, isConfigured: false, configured: [] } as const;
  return new LearnedRate({ ...usual, ...options });
}

const value = (limit: number | null, remaining: number | null, more: Partial<AdvertisedValue> = {}): AdvertisedValue => ({
  family: 0,
  counts: 'all',
  windowMs: MINUTE,
  limit,
  remaining,
  ...more,
});
const shared = (limit: number, remaining: number | null, more: Partial<SharedLimit> = {}): SharedLimit => ({
  family: 0,
  counts: 'all',
  windowMs: MINUTE,
  limit,
  isGuess: false,
  remaining,
  startedAgoMs: 0,
  agoMs: 0,
  ...more,
});
const availableOf = (rate: LearnedRate, now: number): number => rate.known(now)[0]!.available;
const isAbout = (actual: number, expected: number, within = 1): void =>
  assert.ok(Math.abs(actual - expected) <= within, `${actual} instead of ${expected}`);
/** What the rate has for other instances after it has received this report. */
function report(rate: LearnedRate, now: number, remaining: number, limit = 100): SharedLimit[] {
  rate.advertise(now, now, value(limit, remaining));
  return rate.hasNews ? rate.takeNews(now) : [];
}

test('an unknown limit is added with its level, and with the refill since the report', () => {
  const rate = make();
  rate.adopt(MINUTE, shared(100, 40, { startedAgoMs: 6_000, agoMs: 6_000 }));
  assert.deepEqual(
    rate.known(MINUTE).map(({ source, limit, windowMs }) => [source, limit, windowMs]),
    [['reported', 100, MINUTE]],
  );
  isAbout(availableOf(rate, MINUTE), 50);
});

test('less is always trusted, more raises nothing', () => {
  const rate = make();
  rate.advertise(0, 0, value(100, 60));
  rate.adopt(1_000, shared(100, 20));
  isAbout(availableOf(rate, 1_000), 20);
  rate.adopt(1_100, shared(100, 90));
  isAbout(availableOf(rate, 1_100), 20);
});

test('starts that the report does not contain yet stay counted', () => {
  const rate = make();
  rate.advertise(0, 0, value(100, 100));
  for (let i = 0; i < 30; i++) rate.reserve(10_000, ONE);
  rate.adopt(10_200, shared(100, 50, { startedAgoMs: 400, agoMs: 400 }));
  isAbout(availableOf(rate, 10_200), 20);
});

test('starts that were still on their way when the provider reported stay counted', () => {
  const rate = make();
  rate.advertise(0, 0, value(100, 100));
  for (let i = 0; i < 30; i++) rate.reserve(10_000, ONE);
  rate.adopt(10_060, shared(100, 50));
  isAbout(availableOf(rate, 10_060), 20);
});

test('starts that the report may contain are not counted twice', () => {
  const rate = make();
  rate.advertise(0, 0, value(100, 100));
  for (let i = 0; i < 30; i++) rate.reserve(10_000, ONE);
  rate.adopt(11_000, shared(100, 60, { startedAgoMs: 2_000, agoMs: 100 }));
  isAbout(availableOf(rate, 11_000), 60);
});

test('a busy instance, whose history of starts is shorter than the call of the report, still applies it', () => {
  const rate = make();
  rate.advertise(0, 0, value(10_000, 10_000));
  for (let i = 0; i < 500; i++) rate.reserve(10_000 + i, ONE);
  rate.adopt(11_000, shared(10_000, 100, { startedAgoMs: 5_000, agoMs: 100 }));
  assert.ok(availableOf(rate, 11_000) < 1_000, `${availableOf(rate, 11_000)}`);
});

test('what others have used of a sliding window leaves it one window after the report', () => {
  const rate = make({ enforce: 'sliding' });
  rate.adopt(MINUTE, shared(100, 10, { startedAgoMs: 20_000, agoMs: 20_000 }));
  isAbout(availableOf(rate, MINUTE), 10);
  isAbout(availableOf(rate, MINUTE + 39_000), 10);
  isAbout(availableOf(rate, MINUTE + 40_200), 100);
  rate.adopt(3 * MINUTE, shared(100, 0, { startedAgoMs: 70_000, agoMs: 70_000 }));
  isAbout(availableOf(rate, 3 * MINUTE), 100);
});

test('a later report of another limit replaces the known one, an earlier one does not', () => {
  const rate = make();
  rate.advertise(10_000, 10_000, value(100, 100));
  rate.adopt(11_000, shared(50, 50, { startedAgoMs: 5_000, agoMs: 5_000 }));
  assert.equal(rate.known(11_000)[0]!.limit, 100);
  assert.equal(rate.adopt(12_000, shared(200, 150)).hasOpened, true);
  assert.equal(rate.known(12_000)[0]!.limit, 200);
  isAbout(availableOf(rate, 12_000), 150, 2);
});

test('the first limit ends a cold start and an inferred rate', () => {
  const rate = make({ startsCarefully: true });
  for (let i = 0; i < 16; i++) rate.reserve(0, ONE);
  assert.ok(rate.earliest(0, ONE) > 0);
  assert.equal(rate.adopt(0, shared(100, 90)).hasOpened, true);
  assert.equal(rate.earliest(0, ONE), 0);
});

test('a disproved limit and a report that is older than a limit is kept are ignored', () => {
  const rate = make();
  rate.adopt(20 * MINUTE, shared(100, 10, { startedAgoMs: 16 * MINUTE, agoMs: 16 * MINUTE }));
  assert.deepEqual(rate.known(20 * MINUTE), []);
  rate.advertise(20 * MINUTE, 20 * MINUTE, value(1, 1));
  rate.served(20 * MINUTE + 10, 20 * MINUTE, { ...ONE, requests: 10 });
  rate.adopt(21 * MINUTE, shared(1, 0));
  assert.deepEqual(rate.known(21 * MINUTE), []);
});

test('a limit is news once when it is learned, then with each twentieth of it that is used beyond the refill', () => {
  const rate = make();
  assert.deepEqual(
    report(rate, 0, 90).map(({ limit, remaining }) => [limit, remaining]),
    [[100, 90]],
  );
  assert.deepEqual(report(rate, 0, 86), []);
  assert.equal(report(rate, 10, 84).length, 1);
  // 10 are refilled: the others expect 94.
  assert.deepEqual(report(rate, 6_010, 90), []);
  assert.equal(report(rate, 6_020, 88).length, 1);
  assert.deepEqual(report(rate, 6_040, 100), [], 'a higher amount raises nothing');
});

test('near zero every fiftieth is news', () => {
  const rate = make();
  report(rate, 0, 9);
  assert.equal(report(rate, 10, 6.9).length, 1);
  assert.equal(report(rate, 20, 5.5).length, 0);
  assert.equal(report(rate, 30, 0).length, 1);
  assert.equal(report(rate, 40, 0).length, 0);
});

test('a limit that a configured one covers is no news until others use up what it allows', () => {
  const configured = { limit: 100, windowMs: MINUTE, counts: (need: Need) => need.requests, available: () => 50 };
  const rate = make({ configured: [configured] });
  assert.deepEqual(report(rate, 0, 60), []);
  assert.deepEqual(
    report(rate, 10, 30).map(({ remaining }) => remaining),
    [30],
  );
});

test('what was adopted is not sent again, nor a report that the others expect after it', () => {
  const rate = make();
  rate.adopt(0, shared(100, 40));
  assert.equal(rate.hasNews, false);
  assert.deepEqual(report(rate, 100, 39), []);
  assert.equal(report(rate, 200, 30).length, 1);
});

test('a limit that is reported without change is confirmed to the others every five minutes', () => {
  const rate = make();
  assert.equal(report(rate, 0, 100).length, 1);
  assert.deepEqual(report(rate, 4 * MINUTE, 100), []);
  assert.equal(report(rate, 6 * MINUTE, 100).length, 1);
  const other = make();
  other.adopt(0, shared(100, 100));
  other.adopt(14 * MINUTE, shared(100, 100));
  other.responded(16 * MINUTE);
  assert.equal(other.known(16 * MINUTE).length, 1);
});

test('of the refill each of several instances counts on its part, and on the rest once a report shows it', () => {
  const members = { count: 4 };
  const rate = make({ instances: () => members.count });
  rate.advertise(0, 0, value(100, 0));
  isAbout(availableOf(rate, 24_000), 10);
  rate.advertise(24_000, 23_900, value(100, 40));
  isAbout(availableOf(rate, 24_000), 40);
  members.count = 1;
  rate.reserve(24_000, ONE);
  isAbout(availableOf(rate, 30_000), 49);
});

test('a limit that is configured too is divided there', () => {
  const configured = { limit: 100, windowMs: MINUTE, counts: (need: Need) => need.requests, available: () => 50 };
  const rate = make({ instances: () => 4, configured: [configured] });
  rate.advertise(0, 0, value(100, 0));
  isAbout(availableOf(rate, 24_000), 40);
});

/** Calls of two instances to one provider, each with its instant, and when its response arrives. */
const calls = fc.array(
  fc.record({ at: fc.integer({ min: 0, max: 30_000 }), tookMs: fc.integer({ min: 20, max: 5_000 }), isOurs: fc.boolean() }),
  { minLength: 1, maxLength: 150 },
);

test('property: reports of the other instance never leave more than the provider has, nor less than it has without calls on their way', () => {
  fc.assert(
    fc.property(calls, fc.integer({ min: 0, max: 250 }), (made, delayMs) => {
      const [limit, ratePerMs, guardMs] = [200, 200 / MINUTE, 100];
      const rate = make();
      let [level, at] = [limit, 0];
      const advance = (now: number): void => void ((level = Math.min(limit, level + (now - at) * ratePerMs)), (at = now));
      const steps: { at: number; run: (now: number) => void }[] = [];
      const recent: number[] = [];
      for (const call of made) {
        steps.push({
          at: call.at,
          run(now) {
            advance(now);
            level -= 1;
            if (!call.isOurs) return;
            rate.reserve(now, ONE);
            recent.push(now);
          },
        });
        if (call.isOurs) continue;
        const endsAt = call.at + call.tookMs;
        steps.push({
          at: endsAt,
          run(now) {
            advance(now);
            const remaining = level;
            steps.push({ at: now + delayMs, run: (then) => adopt(then, remaining, then - call.at, delayMs) });
            steps.sort((a, b) => a.at - b.at);
          },
        });
      }
      const adopt = (now: number, remaining: number, startedAgoMs: number, agoMs: number): void => {
        advance(now);
        const { by } = rate.adopt(now, shared(limit, remaining, { startedAgoMs, agoMs }));
        const known = availableOf(rate, now);
        // The refill while the call ran may have come after the report.
        assert.ok(known <= remaining + startedAgoMs * ratePerMs + 0.01 * limit, `${known} of ${remaining}`);
        const unsure = recent.filter((start) => now - start <= agoMs + guardMs).length;
        if (by < 0) assert.ok(known >= level - unsure - 0.01 * limit, `${known} of ${level}`);
      };
      steps.sort((a, b) => a.at - b.at);
      for (let step = steps.shift(); step !== undefined; step = steps.shift()) step.run(step.at);
    }),
    { seed: 7, numRuns: 200 },
  );
});
