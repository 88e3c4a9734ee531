import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readUsage } from './usage.ts';

test('counts that no call can have are no counts', () => {
  for (const odd of [-5, 1e308, 10_000_001, Number.NaN, Infinity, '12', null, {}]) {
    assert.equal(readUsage({ prompt_tokens: odd, completion_tokens: odd }), null, String(odd));
    const half = readUsage({ prompt_tokens: 7, completion_tokens: odd, prompt_tokens_details: { cached_tokens: odd } });
    assert.deepEqual(half, { inputTokens: 7, cachedInputTokens: 0, outputTokens: 0 }, String(odd));
  }
});
