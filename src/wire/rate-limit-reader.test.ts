import type { HeadersByName } from '../core/headers.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limitedKind } from './limited-kind.ts';
import { RateLimitReader } from './rate-limit-reader.ts';
import type { ReaderOptions } from './rate-limit-reader.ts';

const NOW = 1_795_000_000_000;
const USUAL: ReaderOptions = { windowOf: () => 'minute', bareIsSecond: false };

/** The reports for each response in turn: limits as [kind, limit, remaining, seconds], remaining counts as [kind, remaining]. */
function readAll(responses: readonly HeadersByName[], options = USUAL): unknown[][] {
  const reader = new RateLimitReader(options);
  return responses.map((headers) => {
    const reports: unknown[] = [];
    reader.read(headers, NOW, {
      onLimit: ({ kind, limit, remaining }, windowMs) => reports.push([kind, limit, remaining, windowMs / 1000]),
      onRemaining: (_, kind, remaining) => reports.push([kind, remaining]),
    });
    return reports;
  });
}

const openai = (limit: number, remaining: number, reset = '1s') => ({
  'content-type': 'application/json',
  'x-ratelimit-limit-requests': String(limit),
  'x-ratelimit-remaining-requests': String(remaining),
  'x-ratelimit-reset-requests': reset,
});

test('the first responses are read in full, later ones only for the remaining counts, until a limit changes', () => {
  const responses = [9, 8, 7, 6, 5].map((remaining) => openai(10, remaining));
  const reports = readAll([...responses, openai(20, 14), openai(20, 13)]);
  assert.deepEqual(reports[0], [['requests', 10, 9, 60]]);
  assert.deepEqual(reports.slice(4), [[['requests', 5]], [['requests', 20, 14, 60]], [['requests', 13]]]);
});

test('responses without headers report nothing, and names that appear later are found', () => {
  const plain = { 'content-type': 'text/event-stream' };
  const reports = readAll([...Array.from({ length: 100 }, () => plain), ...Array.from({ length: 64 }, () => openai(10, 3))]);
  assert.ok(reports.slice(0, 100).every((one) => one.length === 0));
  assert.ok(reports.slice(100).some((one) => one.length > 0));
});

test('a window of a day is recognized by its reset, and stays one', () => {
  const reports = readAll([openai(200, 150, '7m12s'), openai(200, 199, '1s')]);
  assert.deepEqual(reports, [[['requests', 200, 150, 86_400]], [['requests', 200, 199, 86_400]]]);
});

test('bare names mean a second for providers configured so, otherwise the reset decides', () => {
  const bare = { 'x-ratelimit-limit': '10', 'x-ratelimit-remaining': '9', 'x-ratelimit-reset': '42' };
  assert.deepEqual(readAll([bare]), [[['requests', 10, 9, 60]]]);
  assert.deepEqual(readAll([bare], { ...USUAL, bareIsSecond: true }), [[['requests', 10, 9, 1]]]);
});

test('a repeated header counts once', () => {
  assert.deepEqual(readAll([{ 'x-ratelimit-limit-tokens': ['50', '60'], 'x-ratelimit-remaining-tokens': ['49', '1'] }]), [
    [['tokens', 50, 49, 60]],
  ]);
});

test('the message of a rate-limit response may name the kind of limit', () => {
  const kind = (message: string, type: string | null = null) => limitedKind({ type, code: null, message });
  assert.equal(kind('Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000'), 'tokens');
  assert.equal(kind('Rate limit reached on requests per min (RPM): Limit 3'), 'requests');
  assert.equal(kind('no', 'tokens'), 'tokens');
  assert.equal(kind('Too many requests'), null);
  assert.equal(kind('limits are 60 requests per minute and 5000 tokens per minute'), null);
});
