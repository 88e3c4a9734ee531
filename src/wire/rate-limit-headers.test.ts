import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readRateLimitHeaders } from './rate-limit-headers.ts';
import type { RateLimitHint } from './rate-limit-headers.ts';

const NOW = 1_795_000_000_000;
type Told = Omit<RateLimitHint, 'family'>;
const read = (headers: Record<string, string>): Told[] =>
  readRateLimitHeaders(new Headers(headers), NOW).map(({ kind, window, limit, remaining, resetMs }) => ({
    kind,
    window,
    limit,
    remaining,
    resetMs,
  }));

test('reads the headers of OpenAI and Groq', () => {
  assert.deepEqual(
    read({
      'x-ratelimit-limit-requests': '14400',
      'x-ratelimit-remaining-requests': '14370',
      'x-ratelimit-reset-requests': '2m59.56s',
      'x-ratelimit-limit-tokens': '18000',
      'x-ratelimit-remaining-tokens': '17997',
      'x-ratelimit-reset-tokens': '7.66s',
    }),
    [
      { kind: 'requests', window: null, limit: 14400, remaining: 14370, resetMs: 179_560 },
      { kind: 'tokens', window: null, limit: 18000, remaining: 17997, resetMs: 7660 },
    ],
  );
});

test("reads Azure's headers: only the remaining counts, as bare numbers", () => {
  assert.deepEqual(read({ 'x-ratelimit-remaining-requests': '9', 'x-ratelimit-reset-requests': '1' }), [
    { kind: 'requests', window: null, limit: null, remaining: 9, resetMs: 1000 },
  ]);
});

test('reads windows from the name (Cerebras, Mistral)', () => {
  assert.deepEqual(
    read({
      'x-ratelimit-limit-requests-day': '1000',
      'x-ratelimit-remaining-requests-day': '-1',
      'x-ratelimit-reset-requests-day': '33011.38',
      'x-ratelimit-limit-tokens-minute': '60000',
      'x-ratelimitbysize-limit-minute': '500000',
      'x-ratelimitbysize-remaining-minute': '499900',
      'ratelimitbysize-reset': '59',
    }).map((hint) => [hint.kind, hint.window, hint.limit, hint.remaining, hint.resetMs]),
    [
      ['requests', 'day', 1000, 0, 33_011_380],
      ['tokens', 'minute', 60_000, null, null],
      ['tokens', 'minute', 500_000, 499_900, 59_000],
    ],
  );
});

test('reads Fireworks and Together', () => {
  const kinds = (headers: Record<string, string>): unknown[] => read(headers).map((hint) => [hint.kind, hint.window, hint.limit]);
  assert.deepEqual(kinds({ 'x-ratelimit-limit-tokens-prompt': '60000', 'x-ratelimit-limit-tokens-generated': '6000' }), [
    ['inputTokens', null, 60_000],
    ['outputTokens', null, 6000],
  ]);
  assert.deepEqual(kinds({ 'x-ratelimit-limit': '10', 'x-ratelimit-reset': '1', 'x-tokenlimit-limit': '3000' }), [
    ['requests', 'second', 10],
    ['tokens', 'second', 3000],
  ]);
});

test('resets may be dates', () => {
  const reset = (value: string): number | null | undefined => read({ 'x-ratelimit-limit': '1', 'x-ratelimit-reset': value })[0]?.resetMs;
  assert.equal(reset(String(NOW + 5000)), 5000);
  assert.equal(reset(String(NOW / 1000 + 7)), 7000);
  assert.equal(reset(String(NOW - 5000)), 0);
});

test('invalid values are unknown', () => {
  assert.deepEqual(read({}), []);
  assert.deepEqual(read({ 'x-ratelimit-limit-requests': 'unlimited', 'x-ratelimit-remaining-requests': 'NaN' }), []);
  assert.deepEqual(read({ 'x-ratelimit-limit-requests': '5', 'x-ratelimit-reset-requests': 'soon' })[0]?.resetMs, null);
});

test('reads Anthropic, with its resets as dates', () => {
  const date = new Date(NOW + 12_000).toISOString();
  assert.deepEqual(
    read({
      'anthropic-ratelimit-requests-limit': '50',
      'anthropic-ratelimit-requests-remaining': '49',
      'anthropic-ratelimit-requests-reset': date,
      'anthropic-ratelimit-input-tokens-limit': '30000',
      'anthropic-ratelimit-output-tokens-remaining': '8000',
    }),
    [
      { kind: 'requests', window: null, limit: 50, remaining: 49, resetMs: 12_000 },
      { kind: 'inputTokens', window: null, limit: 30_000, remaining: null, resetMs: null },
      { kind: 'outputTokens', window: null, limit: null, remaining: 8000, resetMs: null },
    ],
  );
});

test("reads OpenAI's limits of a project beside those of the organisation", () => {
  const headers = {
    'x-ratelimit-limit-tokens': '10',
    'x-ratelimit-limit-project-tokens': '7',
    'x-ratelimit-remaining-project-tokens': '6',
  };
  assert.deepEqual(
    read(headers).map(({ kind, limit, remaining }) => [kind, limit, remaining]),
    [
      ['tokens', 10, null],
      ['tokens', 7, 6],
    ],
  );
});
