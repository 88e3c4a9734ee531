/** Rate-limit headers may be wrong or malicious: traffic must continue. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Need } from '../../core/resource.ts';
import { CachedCount } from '../../policy/rate-limiter/cached-count.ts';
import { LearnedRate } from '../../policy/rate-limiter/learned-rate.ts';
import { RATE_LIMIT_FAMILIES } from '../../wire/rate-limit-headers.ts';
import { LimitLearner } from './limit-learner.ts';

const MINUTE_MS = 60_000;
const NEED: Need = { requests: 1, inputTokens: 400, outputTokens: 200 };
const EPOCH_MS = 1_800_000_000_000;

function learner(enforce: 'bucket' | 'sliding' | 'perSecond' = 'bucket'): LimitLearner {
  const rate = (kind: 'requests' | 'tokens'): LearnedRate =>
    new LearnedRate({ id: `p:${kind}`, kind, enforce, configured: [], startsCarefully: true, isConfigured: false });
  return new LimitLearner(rate('requests'), rate('tokens'), new CachedCount(true), { windowOf: () => 'minute', bareIsSecond: false });
}

/** Sequential calls, each as early as allowed, all successful, with these headers; returns the longest wait and the number of calls. */
function play(all: LimitLearner, headersOf: (call: number) => Record<string, string>, minutes: number): { waitMs: number; calls: number } {
  let [now, waitMs, calls] = [0, 0, 0];
  while (now < minutes * MINUTE_MS && calls < 2000) {
    const at = Math.max(now, ...all.resources.map((resource) => resource.earliest(now, NEED)));
    assert.ok(Number.isFinite(at), `call ${calls} would never start`);
    waitMs = Math.max(waitMs, at - now);
    now = at;
    const tickets = all.resources.map((resource) => resource.reserve(now, NEED));
    const startedAt = now;
    now += 500;
    all.read(now, EPOCH_MS + now, startedAt, headersOf(calls++), false);
    all.served(now, startedAt, NEED);
    all.resources.forEach((resource, i) => resource.settle(now, tickets[i]!, NEED, { usage: null, health: 'success' }));
  }
  return { waitMs, calls };
}

const number = fc.oneof(
  fc.constantFrom(
    '0',
    '-1',
    '-0',
    'NaN',
    'Infinity',
    '1e309',
    '1e-9',
    '',
    ' ',
    'null',
    '999999999999999999999',
    '0.0001',
    '1',
    '2',
    '5',
    '0x10',
    '1,000',
    '٣',
  ),
  fc.integer({ min: -5, max: 100_000 }).map(String),
);
const reset = fc.oneof(
  number,
  fc.constantFrom(
    '31536000s',
    '8760h',
    '2099-01-01T00:00:00Z',
    '1970-01-01T00:00:00Z',
    '9'.repeat(400),
    '-5s',
    '1ms',
    'never',
    '2027-13-45T99:99:99Z',
  ),
);
const headers = fc
  .array(fc.record({ family: fc.nat(RATE_LIMIT_FAMILIES.length - 1), limit: number, remaining: number, reset, parts: fc.nat(7) }), {
    maxLength: 8,
  })
  .map((headers) => {
    const made: Record<string, string> = {};
    for (const { family, limit, remaining, reset: until, parts } of headers) {
      const names = RATE_LIMIT_FAMILIES[family]!;
      if (parts & 1) made[names.limit] = limit;
      if (parts & 2) made[names.remaining] = remaining;
      if (parts & 4) made[names.reset] = until;
    }
    return made;
  });
const enforcement = fc.constantFrom('bucket' as const, 'sliding' as const, 'perSecond' as const);

test('property: with any headers, a call starts at least once a minute', () => {
  fc.assert(
    fc.property(enforcement, fc.array(headers, { minLength: 1, maxLength: 12 }), (enforce, sent) => {
      const { waitMs } = play(learner(enforce), (call) => sent[call % sent.length]!, 30);
      assert.ok(waitMs <= MINUTE_MS + 1, `${waitMs} ms`);
    }),
    { numRuns: 100 },
  );
});

test('a limit below what is served is ignored', () => {
  for (const sent of [
    { 'x-ratelimit-limit-tokens': '5', 'x-ratelimit-remaining-tokens': '0' },
    { 'x-ratelimit-limit-tokens': '0', 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-reset-tokens': '8760h' },
    { 'x-ratelimit-limit-requests': '0', 'x-ratelimit-remaining-requests': '-3' },
    { 'x-ratelimit-limit-requests': '1', 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '1y' },
    { 'anthropic-ratelimit-input-tokens-limit': '100', 'anthropic-ratelimit-input-tokens-remaining': '100' },
  ]) {
    const { waitMs, calls } = play(learner(), () => sent, 5);
    assert.ok(waitMs <= 1000 && calls >= 290, `${JSON.stringify(sent)}: ${waitMs} ms, ${calls} calls`);
  }
});

test('a remaining count that is always 0 is disproved by a trial', () => {
  const sent = { 'x-ratelimit-limit-requests-day': '400', 'x-ratelimit-remaining-requests-day': '0' };
  const { calls } = play(learner(), () => sent, 10);
  assert.ok(calls > 500, `${calls} calls in ten minutes`);
});

test('a limit just too small to be plausible is applied once a refusal confirms it', () => {
  const all = learner();
  const sent = { 'x-ratelimit-limit-requests': '2', 'x-ratelimit-remaining-requests': '0' };
  play(all, () => sent, 0.05);
  all.read(4_000, EPOCH_MS, 3_500, sent, true);
  all.refused(4_000, 3_500, NEED, 'requests', false);
  assert.ok(all.requests.earliest(4_000, NEED) > 20_000);
});

test('at low rates, a refusal with retry-after causes a pause, random or not; one without does not', () => {
  for (const asksToWait of [true, false]) {
    const all = learner();
    const drive = (count: number, everyMs: number, from: number): number => {
      for (let at = from; at < from + count * everyMs; at += everyMs) {
        all.requests.reserve(at, NEED);
        all.served(at + 15, at, NEED);
      }
      return from + count * everyMs;
    };
    const refuse = (at: number): boolean => {
      all.requests.reserve(at, NEED);
      return all.refused(at + 10, at, NEED, 'requests', asksToWait);
    };
    const few = drive(100, 1000, 0);
    assert.equal(refuse(few), true, 'the first');
    assert.equal(refuse(drive(40, 1000, few + 1000)), asksToWait, 'a call a second');
    const many = drive(3000, 20, few + 100_000);
    assert.equal(refuse(many), true, 'the first for more than a minute');
    assert.equal(refuse(drive(1000, 20, many + 20)), false, 'fifty calls a second');
  }
});
