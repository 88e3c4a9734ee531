import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CONTRACT_NEED, testResourceContract } from '../../core/resource.contract.ts';
import type { Need } from '../../core/resource.ts';
import { LearnedRate } from './learned-rate.ts';
import type { LearnedRateOptions } from './learned-rate.ts';
import type { AdvertisedValue } from './advertised-limit.ts';

const MINUTE = 60_000;
const ONE: Need = { requests: 1, inputTokens: 0, outputTokens: 0 };
const tokens = (input: number, output = 0): Need => ({ requests: 1, inputTokens: input, outputTokens: output });

function make(options: Partial<LearnedRateOptions> = {}): LearnedRate {
  const kind = options.kind ?? 'requests';
  return new LearnedRate({
    id: `p:${kind}`,
    kind,
    enforce: 'bucket',
    startsCarefully: false,
    isConfigured: false,
    configured: [],
    ...options,
  });
}

const word = (limit: number | null, remaining: number | null, more: Partial<AdvertisedValue> = {}): AdvertisedValue => ({
  family: 0,
  counts: 'all',
  windowMs: MINUTE,
  limit,
  remaining,
  ...more,
});

/** A rate whose provider has just advertised limits. */
function advertised(now: number, options: Partial<LearnedRateOptions>, ...words: readonly AdvertisedValue[]): LearnedRate {
  const rate = make(options);
  for (const one of words) rate.advertise(now - 1, now - 1, one);
  return rate;
}

/** Consecutive calls, each as soon as it may start; the real limit refuses those that find its bucket empty. */
function drive(rate: LearnedRate, perMinute: number, fromMs: number, untilMs: number, state = { level: perMinute, at: fromMs }) {
  let [now, served, refused] = [fromMs, 0, 0];
  for (;;) {
    now = Math.max(now + 1, rate.earliest(now + 1, ONE));
    if (now >= untilMs) return { served, refused, state };
    const ticket = rate.reserve(now, ONE);
    state.level = Math.min(perMinute, state.level + ((now - state.at) * perMinute) / MINUTE);
    state.at = now;
    if (state.level >= 1) {
      state.level -= 1;
      served++;
      rate.served(now + 20, now, ONE);
    } else {
      refused++;
      rate.refused(now + 20, now, ONE);
      now += 500; // its cooldown
    }
    rate.settle(now + 20, ticket, ONE, { usage: null, health: 'neutral' });
  }
}

testResourceContract('a learned rate of which nothing is known', () => make());
testResourceContract('an advertised request limit', (now) => advertised(now, {}, word(20, 20)));
testResourceContract('an advertised token limit', (now) => advertised(now, { kind: 'tokens' }, word(5000, 5000)));
testResourceContract('limits on input, output and both, over a minute and a day', (now) =>
  advertised(
    now,
    { kind: 'tokens' },
    word(4000, 3000, { family: 1, counts: 'input' }),
    word(900, 900, { family: 2, counts: 'output' }),
    word(100_000, 60_000, { family: 3, windowMs: 1440 * MINUTE }),
  ),
);
testResourceContract('an advertised limit over a sliding window', (now) => advertised(now, { enforce: 'sliding' }, word(200, 200)));
testResourceContract('a target that starts carefully', () => make({ startsCarefully: true }));
testResourceContract('an inferred rate', (now) => {
  const rate = make();
  for (let at = now - 60_000; at < now; at += 1_000) {
    rate.reserve(at, ONE);
    rate.served(at + 5, at, ONE);
    rate.reserve(at + 10, ONE);
    rate.refused(at + 50, at + 10, ONE);
  }
  assert.equal(rate.known(now)[0]?.source, 'inferred');
  return rate;
});

test('nothing is limited before anything is known', () => {
  const rate = make();
  for (let i = 0; i < 10_000; i++) rate.reserve(0, ONE);
  assert.equal(rate.earliest(0, ONE), 0);
  assert.deepEqual(rate.known(0), []);
});

test('a cold start admits a few calls, more each second, and all after the first response', () => {
  const rate = make({ startsCarefully: true });
  const startsAt = (now: number): number => {
    let count = 0;
    for (; count < 1000 && rate.earliest(now, ONE) <= now; count++) rate.reserve(now, ONE);
    return count;
  };
  assert.equal(startsAt(0), 16);
  assert.equal(startsAt(1000), 16);
  assert.ok(rate.served(1200, 0, ONE), 'other requests may start now');
  assert.equal(startsAt(1200), 1000);
});

test('the first request may have any size', () => {
  const rate = make({ kind: 'tokens', startsCarefully: true });
  assert.equal(rate.earliest(0, tokens(1_000_000)), 0);
  rate.reserve(0, tokens(1_000_000));
  assert.ok(rate.earliest(0, tokens(10)) > 0);
});

test('limit and level are those of the headers', () => {
  const rate = make();
  rate.reserve(0, ONE);
  rate.advertise(500, 0, word(120, 100));
  assert.deepEqual(
    rate.known(500).map(({ source, limit, windowMs }) => [source, limit, windowMs]),
    [['reported', 120, MINUTE]],
  );
  let starts = 0;
  for (; rate.earliest(500, ONE) <= 500; starts++) rate.reserve(500, ONE);
  assert.ok(starts >= 99 && starts <= 100, `${starts}`);
});

test('a lower remaining amount is always applied', () => {
  const rate = advertised(0, {}, word(120, 120));
  rate.reserve(100, ONE);
  rate.updateRemaining(200, 100, 0, 40);
  assert.ok(rate.known(200)[0]!.available <= 40.5);
});

test('a higher remaining amount is applied as far as uncounted calls do not explain it', () => {
  const rate = advertised(0, { kind: 'tokens' }, word(10_000, 10_000));
  rate.reserve(100, tokens(6000));
  rate.reserve(200, tokens(3000));
  assert.ok(rate.known(300)[0]!.available <= 1100);
  rate.updateRemaining(300, 200, 0, 9000); // the first used almost nothing: it was cached
  const { available } = rate.known(300)[0]!;
  assert.ok(available >= 5900 && available <= 9100, `${available}`);
});

test('in a sliding window nothing returns within a window, except at once what was never taken', () => {
  const rate = advertised(0, { enforce: 'sliding', kind: 'tokens' }, word(1000, 1000));
  rate.reserve(0, tokens(600));
  rate.reserve(500, tokens(300));
  rate.updateRemaining(1000, 500, 0, 800); // the first used almost nothing: it was cached
  assert.ok(rate.known(1000)[0]!.available >= 499, `${rate.known(1000)[0]!.available}`);
  assert.ok(rate.known(59_000)[0]!.available <= 501, 'the second still counts');
  assert.ok(rate.known(61_500)[0]!.available >= 999);
});

test('usage of a sliding window by others returns after a window', () => {
  const rate = advertised(0, { enforce: 'sliding' }, word(100, 100));
  rate.reserve(0, ONE);
  rate.updateRemaining(500, 0, 0, 10);
  assert.ok(rate.known(59_000)[0]!.available <= 11);
  assert.ok(rate.known(61_500)[0]!.available >= 99);
});

test('what a sliding window has regained since a call started does not count as usage by others', () => {
  const rate = advertised(0, { enforce: 'sliding' }, word(100, 100));
  for (let i = 0; i < 99; i++) rate.reserve(1000, ONE);
  rate.reserve(60_000, ONE);
  rate.updateRemaining(63_000, 60_000, 0, 0);
  assert.ok(rate.known(63_000)[0]!.available >= 98, `${rate.known(63_000)[0]!.available}`);
});

test('property: an advertised sliding window is never exceeded, and is used completely', () => {
  fc.assert(
    fc.property(fc.integer({ min: 3, max: 300 }), fc.array(fc.nat(3000), { minLength: 20, maxLength: 400 }), (limit, gaps) => {
      const rate = advertised(0, { enforce: 'sliding' }, word(limit, limit));
      const starts: number[] = [];
      let now = 0;
      for (const gapMs of gaps) {
        now += gapMs;
        for (; rate.earliest(now, ONE) <= now; starts.push(now)) rate.reserve(now, ONE);
        const inWindow = starts.filter((at) => at > now - MINUTE).length;
        assert.ok(inWindow <= limit, `${inWindow} of ${limit}`);
        const at = rate.earliest(now, ONE);
        assert.ok(at > now && at <= now + MINUTE * 1.02 + 1000);
      }
    }),
  );
});

test('an outdated value changes nothing', () => {
  const rate = advertised(0, {}, word(1000, 1000));
  for (let at = 0; at < 300; at++) rate.reserve(at, ONE);
  const before = rate.known(300)[0]!.available;
  rate.updateRemaining(300, 10, 0, 5);
  assert.equal(rate.known(300)[0]!.available, before);
});

test('a changed limit applies at once, with the usage of the old one', () => {
  const rate = advertised(0, {}, word(100, 40));
  rate.advertise(10, 10, word(200, null));
  const [known, ...others] = rate.known(10);
  assert.equal(others.length, 0);
  assert.equal(known!.limit, 200);
  assert.ok(known!.available > 138 && known!.available < 142, `${known!.available}`);
});

test('where only remaining amounts are sent, the largest is the limit, and a larger request still starts', () => {
  const rate = advertised(0, { kind: 'tokens' }, word(null, 5000));
  assert.equal(rate.known(0)[0]!.limit, 5000);
  assert.equal(rate.earliest(0, tokens(9000)), 0);
  rate.updateRemaining(10, 10, 0, 8000);
  assert.equal(rate.known(10)[0]!.limit, 8000);
});

test('a limit without confirmation for a quarter of an hour expires', () => {
  const rate = advertised(0, {}, word(10, 0));
  assert.ok(rate.earliest(0, ONE) > 0);
  rate.served(14 * MINUTE, 14 * MINUTE, ONE);
  assert.equal(rate.known(14 * MINUTE).length, 1);
  rate.served(16 * MINUTE, 16 * MINUTE, ONE);
  assert.equal(rate.known(16 * MINUTE).length, 0);
});

test('settling returns the excess of the reservation', () => {
  const rate = advertised(0, { kind: 'tokens' }, word(10_000, 10_000));
  const need = tokens(4000, 1000);
  const ticket = rate.reserve(100, need);
  rate.settle(100, ticket, need, { usage: { inputTokens: 500, cachedInputTokens: 0, outputTokens: 200 }, health: 'success' });
  assert.ok(Math.abs(rate.known(100)[0]!.available - 9300) < 20);
});

test('reservations from before the first headers count against the limit, and are returned to it', () => {
  const rate = make({ kind: 'tokens' });
  const ticket = rate.reserve(0, tokens(100, 1000));
  rate.advertise(100, 0, word(5000, 3900));
  const before = rate.known(100)[0]!.available;
  assert.ok(before > 3880 && before < 3920, `${before}`);
  rate.settle(100, ticket, tokens(100, 1000), { usage: { inputTokens: 1, cachedInputTokens: 0, outputTokens: 1 }, health: 'success' });
  assert.ok(rate.known(100)[0]!.available > before + 1000);
});

test('property: whenever headers come, no call exceeds the limit of a provider that counts it at its start', () => {
  const step = fc.record({ gapMs: fc.nat(1500), answersMs: fc.integer({ min: 10, max: 20_000 }) });
  fc.assert(
    fc.property(fc.integer({ min: 5, max: 200 }), fc.array(step, { minLength: 5, maxLength: 300 }), (limit, steps) => {
      const rate = advertised(0, {}, word(limit, limit));
      let [now, level] = [0, limit];
      const answers: { at: number; startedAt: number; remaining: number }[] = [];
      for (const { gapMs, answersMs } of steps) {
        now += gapMs;
        level = Math.min(limit, level + (gapMs * limit) / MINUTE);
        const due = answers.filter(({ at }) => at <= now && at > now - gapMs).sort((a, b) => a.at - b.at);
        for (const answer of due) rate.updateRemaining(answer.at, answer.startedAt, 0, answer.remaining);
        for (; rate.earliest(now, ONE) <= now; level -= 1) {
          assert.ok(level >= 1 - 1e-6, `${level} left at ${now}`);
          rate.reserve(now, ONE);
          answers.push({ at: now + answersMs, startedAt: now, remaining: Math.floor(level - 1) });
        }
      }
    }),
    { numRuns: 200 },
  );
});

/** A provider that reports the remaining amount, called as often as the limit allows, at most every `gapMs`. */
function driveAdvertised(rate: LearnedRate, limit: number, gapMs: number, minutes: number, enforce: 'sliding' | { burst: number }) {
  let [now, served, refused, level] = [0, 0, 0, enforce === 'sliding' ? 0 : limit * enforce.burst];
  const starts: number[] = [];
  for (let at = 0; ; at = now) {
    now = Math.max(now + gapMs, rate.earliest(now + gapMs, ONE));
    if (now >= minutes * MINUTE) return { served, refused };
    let remaining: number;
    if (enforce === 'sliding') remaining = limit - starts.filter((start) => start > now - MINUTE).length;
    else remaining = level = Math.min(limit * enforce.burst, level + ((now - at) * limit) / MINUTE);
    const ticket = rate.reserve(now, ONE);
    const isServed = remaining >= 1;
    if (isServed) {
      starts.push(now);
      level -= 1;
      served++;
    } else refused++;
    rate.advertise(now + 5, now, word(limit, Math.floor(Math.max(0, remaining - 1))));
    if (isServed) rate.served(now + 5, now, ONE);
    else rate.refused(now + 5, now, ONE);
    rate.settle(now + 5, ticket, ONE, { usage: null, health: 'neutral' });
  }
}

test('one refusal shows that an advertised limit is a sliding window; all of it is used, without further refusals', () => {
  for (const gapMs of [20, 400]) {
    const rate = make();
    const { served, refused } = driveAdvertised(rate, 120, gapMs, 10, 'sliding');
    assert.ok(refused <= 2, `${refused}`);
    assert.ok(served >= 0.95 * 1200, `${served}`);
  }
});

test('a bucket smaller than its limit is not mistaken for a sliding window', () => {
  for (const burst of [1, 0.1, 0.02]) {
    const { served, refused } = driveAdvertised(make(), 120, 20, 10, { burst });
    assert.ok(refused <= 0.01 * served + 2, `${refused}`);
    assert.ok(served >= 0.93 * 1200, `${served} of 1200 with a burst of ${burst}`);
  }
});

test('without headers: few refusals after two minutes, and nearly all of the limit used', () => {
  for (const perMinute of [30, 120, 1000]) {
    const rate = make();
    const { state } = drive(rate, perMinute, 0, 2 * MINUTE);
    const { served, refused } = drive(rate, perMinute, 2 * MINUTE, 22 * MINUTE, state);
    const share = refused / (served + refused);
    assert.ok(share < 0.02, `${(share * 100).toFixed(2)} % refused at ${perMinute} a minute`);
    assert.ok(served >= 0.9 * 20 * perMinute, `${served} of ${20 * perMinute}`);
  }
});

test('a limit that no longer exists is outgrown within minutes', () => {
  const rate = make();
  drive(rate, 60, 0, 4 * MINUTE);
  assert.equal(rate.known(4 * MINUTE)[0]!.source, 'inferred');
  drive(rate, 1_000_000, 4 * MINUTE, 20 * MINUTE);
  assert.deepEqual(rate.known(20 * MINUTE), []);
});

test('a single refusal, or a series without a response, sets no limit', () => {
  const rate = make();
  rate.served(100, 0, ONE);
  for (let i = 0; i < 100; i++) rate.refused(200 + i, 150 + i, ONE);
  assert.deepEqual(rate.known(300), []);
  rate.served(400, 350, ONE);
  rate.refused(3 * MINUTE, 3 * MINUTE - 10, ONE);
  assert.deepEqual(rate.known(3 * MINUTE), []);
});

test('beside a configured or advertised limit refusals infer no rate', () => {
  for (const rate of [make({ isConfigured: true }), advertised(0, {}, word(100, 50))]) {
    for (const at of [100, 1000, 2000]) {
      rate.served(at, at, ONE);
      rate.refused(at + 50, at + 20, ONE);
    }
    assert.ok(rate.known(3000).every(({ source }) => source === 'reported'));
  }
});

test('a random refusal does not turn a configured bucket into a sliding window', () => {
  for (const isSame of [true, false]) {
    const limit = { limit: 60, windowMs: MINUTE, counts: (need: Need) => need.requests, available: () => 60 };
    const rate = advertised(0, { isConfigured: isSame, configured: isSame ? [limit] : [] }, word(60, 60));
    let now = 0;
    for (let i = 0; i < 62; i++) {
      now = Math.max(now, rate.earliest(now, ONE));
      rate.reserve(now, ONE);
      if (i < 61) rate.served(now, now, ONE);
      rate.updateRemaining(now, now, 0, Math.max(0, 59 - i));
    }
    rate.refused(now + 1, now, ONE);
    const waitMs = rate.earliest(now + 1, ONE) - now;
    assert.ok(isSame ? waitMs < 2000 : waitMs > 50_000, `${waitMs}`);
  }
});

test('learned limits survive a restart, refilled, unless they are too old', () => {
  const rate = advertised(0, {}, word(60, 10));
  const saved = rate.save(0, 1_000_000)!;
  const again = make({ startsCarefully: true });
  again.restore(500, 1_010_000, saved);
  const [known] = again.known(500);
  assert.ok(known!.limit === 60 && known!.available > 19 && known!.available < 21.5, `${known!.available}`);
  const late = make();
  late.restore(500, 1_000_000 + 60 * MINUTE, saved);
  assert.deepEqual(late.known(500), []);
});

test('a reset drops everything learned', () => {
  const rate = advertised(0, {}, word(60, 0));
  rate.reset();
  assert.equal(rate.earliest(0, CONTRACT_NEED), 0);
  assert.equal(rate.save(0, 0), null);
});
