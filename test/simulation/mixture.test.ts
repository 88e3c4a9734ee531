/**
 * Texts of a kilobyte, images of a megabyte and cached prompts of 100,000 tokens share one token limit. Whether a provider counts cached
 * input is stated in its preset, or inferred from the limits that it reports.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import type { ProviderBehaviour } from '../../src/testing/simulated-provider.ts';
import { observe, percent, refusalsOf } from './observed.ts';

const MINUTES = 8;
const TOKENS_PER_MINUTE = 600_000;
/** Until the bucket, which is full at first, is empty. */
const WARM_MS = 90_000;
const CACHED = { aboveTokens: 50_000, share: 0.9 };

interface Mixture {
  readonly behaviour: ProviderBehaviour;
  readonly provider?: Partial<NonNullable<ConfigInput['providers']>[string]>;
  readonly requestsPerMinute: number;
  readonly countsCached: boolean;
}

const MIXTURES: Readonly<Record<string, Mixture>> = {
  'that reports what remains, and does not count cached input': {
    behaviour: { cached: CACHED },
    // About 1.2 times what it allows, by its own count.
    requestsPerMinute: 530,
    countsCached: false,
  },
  'that reports nothing, and is known not to count cached input': {
    behaviour: { cached: CACHED, advertise: false },
    provider: { preset: 'groq' },
    requestsPerMinute: 530,
    countsCached: false,
  },
  'that reports what remains, and counts cached input': {
    behaviour: { cached: { ...CACHED, counts: true } },
    requestsPerMinute: 69,
    countsCached: true,
  },
  'that reports what remains, and counts cached input although its preset says no': {
    behaviour: { cached: { ...CACHED, counts: true } },
    provider: { preset: 'groq', headers: {} },
    requestsPerMinute: 69,
    countsCached: true,
  },
};

for (const [what, { behaviour, provider, requestsPerMinute, countsCached }] of Object.entries(MIXTURES)) {
  test(`small texts, large images and long cached prompts share the token limit of a provider ${what}`, { timeout: 170_000 }, async (t) => {
    const limits = { tokensPerMinute: TOKENS_PER_MINUTE };
    let tokensAtWarm = 0;
    let tokensAtEnd = 0;
    const tokensOf = ({ inputTokens, outputTokens }: { inputTokens: number; outputTokens: number }): number => inputTokens + outputTokens;
    const { records, calls, simulation } = await observe({
      config: {
        providers: { a: { protocol: 'openai', baseUrl: 'http://a.invalid/v1', apiKey: 'k', limits, ...provider } },
        models: { fast: ['a/m'] },
        policy: { deadline: '30m', queue: { maxSize: 100_000 } },
      },
      providers: { a: { limits, outputTokens: { p50: 100, p95: 300 }, ...behaviour } },
      load: {
        durationMs: MINUTES * 60_000,
        requestsPerMinute,
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
    const failed = records.filter(({ finished }) => finished.outcome !== 'success');
    const { learned } = simulation.gateway.targets()[0]!;
    t.diagnostic(
      `${records.length} requests: ${percent(used, allowed)} of the token limit used, ${failed.length} not served, ${refusalsOf(calls, 0, Infinity).length} over the limit; ${percent(learned.cachedShare ?? 0, 1)} of the input cached`,
    );
    await t.test('the provider counts no violation', () => assert.equal(refusalsOf(calls, 0, Infinity).length, 0));
    await t.test('no request is refused that could be served', () => assert.equal(failed.length, 0));
    await t.test('at least 90 % of the token limit is used', () => assert.ok(used >= 0.9 * allowed, percent(used, allowed)));
    await t.test('it is known whether cached input counts', () => assert.equal(learned.countsCached, countsCached));
  });
}
