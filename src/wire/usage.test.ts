import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readUsage } from './usage.ts';

test('reasoning outside the completion tokens counts as output', () => {
  const outside = { prompt_tokens: 100, completion_tokens: 10, total_tokens: 610, completion_tokens_details: { reasoning_tokens: 500 } };
  assert.deepEqual(readUsage(outside), { inputTokens: 100, cachedInputTokens: 0, outputTokens: 510, reasoningTokens: 500 });
  const inside = { ...outside, completion_tokens: 510 };
  assert.deepEqual(readUsage(inside), { inputTokens: 100, cachedInputTokens: 0, outputTokens: 510, reasoningTokens: 500 });
  assert.equal(readUsage({ prompt_tokens: 100, completion_tokens: 10, total_tokens: 0 })?.outputTokens, 10);
});

test('implausible counts are ignored', () => {
  for (const odd of [-5, 1e308, 10_000_001, Number.NaN, Infinity, '12', null, {}]) {
    assert.equal(readUsage({ prompt_tokens: odd, completion_tokens: odd }), null, String(odd));
    const half = readUsage({ prompt_tokens: 7, completion_tokens: odd, prompt_tokens_details: { cached_tokens: odd } });
    assert.deepEqual(half, { inputTokens: 7, cachedInputTokens: 0, outputTokens: 0 }, String(odd));
  }
});

test('input that is only in the total does not count as output', () => {
  assert.deepEqual(readUsage({ completion_tokens: 10, total_tokens: 110 }), { inputTokens: 100, cachedInputTokens: 0, outputTokens: 10 });
});
