/** Texts of a kilobyte, images of a megabyte and cached prompts of 100,000 tokens share one token limit. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { observe, percent, refusalsOf } from './observed.ts';

const MINUTES = 8;
const TOKENS_PER_MINUTE = 600_000;
/** Until the bucket, which is full at first, is empty. */
const WARM_MS = 90_000;

test('small texts, large images and long cached prompts share a token limit', { timeout: 170_000 }, async (t) => {
  const limits = { tokensPerMinute: TOKENS_PER_MINUTE };
  let tokensAtWarm = 0;
  let tokensAtEnd = 0;
  const tokensOf = ({ inputTokens, outputTokens }: { inputTokens: number; outputTokens: number }): number => inputTokens + outputTokens;
  const { told, calls } = await observe({
    config: {
      providers: { a: { protocol: 'openai', baseUrl: 'http://a.invalid/v1', apiKey: 'k', limits } },
      models: { fast: ['a/m'] },
      policy: { deadline: '30m', queue: { maxSize: 100_000 } },
    },
    providers: { a: { limits, cached: { aboveTokens: 50_000, share: 0.9 }, outputTokens: { p50: 100, p95: 300 } } },
    load: {
      durationMs: MINUTES * 60_000,
      // About 1.2 times what the provider allows, by its own count.
      requestsPerMinute: 400,
      kinds: [
        { weight: 0.85, model: 'fast', inputTokens: 250, outputBound: 300 },
        { weight: 0.05, model: 'fast', inputTokens: 100, images: 1, outputBound: 300 },
        { weight: 0.1, model: 'fast', inputTokens: 100_000, outputBound: 300 },
      ],
    },
    everySecond({ providers }, second) {
      const tokens = tokensOf(providers.get('a')!.count);
      if (second * 1000 === WARM_MS) tokensAtWarm = tokens;
      if (second === MINUTES * 60) tokensAtEnd = tokens;
    },
  });
  const used = tokensAtEnd - tokensAtWarm;
  const allowed = TOKENS_PER_MINUTE * (MINUTES - WARM_MS / 60_000);
  const failed = told.filter(({ finished }) => finished.outcome !== 'success');
  t.diagnostic(
    `${told.length} requests: ${percent(used, allowed)} of the token limit used, ${failed.length} not served, ${refusalsOf(calls, 0, Infinity).length} over the limit`,
  );
  await t.test('the provider counts no violation', () => assert.equal(refusalsOf(calls, 0, Infinity).length, 0));
  await t.test('nobody is refused who could be served', { todo: 'cached input counts in full' }, () => assert.equal(failed.length, 0));
  await t.test('at least 90 % of the token limit are used', { todo: 'cached input counts in full' }, () => {
    assert.ok(used >= 0.9 * allowed, percent(used, allowed));
  });
});
