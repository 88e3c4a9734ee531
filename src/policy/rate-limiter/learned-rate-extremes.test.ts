/** Extreme values and idle periods must not damage a learned rate. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Need } from '../../core/resource.ts';
import { LearnedRate } from './learned-rate.ts';
import type { LearnedRateOptions } from './learned-rate.ts';
import type { AdvertisedValue } from './advertised-limit.ts';

const MINUTE = 60_000;
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

function word(limit: number, remaining: number): AdvertisedValue {
  return { family: 0, counts: 'all', windowMs: MINUTE, limit, remaining };
}

/** A rate whose provider has just advertised a limit. */
function advertised(now: number, options: Partial<LearnedRateOptions>, one: AdvertisedValue): LearnedRate {
  const rate = make(options);
  rate.advertise(now - 1, now - 1, one);
  return rate;
}

test('a call above a proven limit is tried after a quarter of an hour without confirmation, one at a time', () => {
  const rate = advertised(0, { kind: 'tokens' }, word(1000, 0));
  rate.refused(20, 10, tokens(500));
  const large = tokens(2000);
  assert.equal(rate.earliest(30, large), Infinity);
  assert.equal(rate.earliest(14 * MINUTE, large), Infinity);
  assert.equal(rate.earliest(16 * MINUTE, large), 16 * MINUTE);
  rate.reserve(16 * MINUTE, large);
  assert.equal(rate.earliest(16 * MINUTE, large), Infinity);
  rate.advertise(16 * MINUTE + 50, 16 * MINUTE, word(5000, 3000));
  rate.served(16 * MINUTE + 50, 16 * MINUTE, large);
  assert.equal(rate.earliest(17 * MINUTE, large), 17 * MINUTE);
});

test('one call above a minute’s amount blocks later ones for a minute, not for hours', () => {
  const rate = make({ kind: 'tokens' });
  for (let at = 0; at <= 20_000; at += 1000) {
    rate.reserve(at, tokens(500));
    rate.served(at, at, tokens(500));
    rate.reserve(at + 10, tokens(500));
    rate.refused(at + 100, at + 10, tokens(500));
  }
  assert.equal(rate.known(21_000)[0]!.source, 'inferred');
  const at = rate.earliest(30_000, tokens(100, 10_000_000));
  rate.reserve(at, tokens(100, 10_000_000));
  const next = rate.earliest(at, tokens(500));
  assert.ok(next > at && next <= at + MINUTE + 5000, `${next - at} ms`);
});

test('in a cold start one call of any size blocks later ones for at most a minute', () => {
  const rate = make({ kind: 'tokens', startsCarefully: true });
  const ticket = rate.reserve(0, tokens(100, 10_000_000));
  const next = rate.earliest(1, tokens(500));
  assert.ok(next > 1000 && next <= MINUTE + 2000, `${next} ms`);
  rate.cancel(2, ticket, tokens(100, 10_000_000));
  assert.equal(rate.earliest(3, tokens(500)), 3);
});

test('an unchanged advertised limit is saved unchanged, however much time has passed', () => {
  for (const enforce of ['bucket', 'sliding'] as const) {
    const rate = advertised(0, { enforce }, word(100, 40));
    const EPOCH = 1_800_000_000_000;
    const first = rate.save(2 * MINUTE, EPOCH + 2 * MINUTE);
    assert.deepEqual(rate.save(5 * MINUTE, EPOCH + 5 * MINUTE + 3), first); // clocks drift
    const later = make({ enforce });
    later.restore(MINUTE, EPOCH + 6 * MINUTE, first!);
    assert.equal(later.known(MINUTE)[0]!.available, 100);
  }
});
