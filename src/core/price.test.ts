import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TokenUsage } from './facts.ts';
import { completeRates, costOf, exactCost, promptSize, ratesFor, tokenClasses, toUsd, usdText } from './price.ts';
import type { Price } from './price.ts';

const price: Price = {
  ...completeRates({ input: 2.5, cachedInput: 0.25, cacheWrite: 3.125, cacheWrite1h: 5, output: 10, audioInput: 40, audioOutput: 80 }),
  above: [{ tokens: 200_000, ...completeRates({ input: 5, cachedInput: 0.5, output: 15 }) }],
  tiers: { batch: { ...completeRates({ input: 1.25, output: 5 }), above: [] } },
};
const usage = (more: Partial<TokenUsage> = {}): TokenUsage => ({ inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, ...more });

describe('the cost of a call', () => {
  it('prices each class of tokens once', () => {
    const all = usage({
      inputTokens: 1_000,
      cachedInputTokens: 300,
      cacheWriteTokens: 200,
      cacheWrite1hTokens: 50,
      audioInputTokens: 100,
      outputTokens: 70,
      audioOutputTokens: 20,
    });
    assert.deepEqual(tokenClasses(all), {
      input: 400,
      cachedInput: 300,
      cacheWrite: 150,
      cacheWrite1h: 50,
      audioInput: 100,
      imageInput: 0,
      output: 50,
      audioOutput: 20,
    });
    assert.equal(costOf(price, all), (400 * 2.5 + 300 * 0.25 + 150 * 3.125 + 50 * 5 + 100 * 40 + 50 * 10 + 20 * 80) / 1e6);
  });

  it('never counts more tokens in classes than there are', () => {
    const odd = tokenClasses(
      usage({
        inputTokens: 10,
        cachedInputTokens: 8,
        cacheWriteTokens: 2,
        audioInputTokens: 9,
        imageInputTokens: 9,
        outputTokens: 5,
        audioOutputTokens: 9,
      }),
    );
    assert.deepEqual(odd, {
      input: 0,
      cachedInput: 8,
      cacheWrite: 2,
      cacheWrite1h: 0,
      audioInput: 0,
      imageInput: 0,
      output: 0,
      audioOutput: 5,
    });
  });

  it('of a long prompt is at the higher rates as a whole', () => {
    assert.equal(costOf(price, usage({ inputTokens: 200_000 })), 0.5);
    assert.equal(costOf(price, usage({ inputTokens: 200_001 })), (200_001 * 5) / 1e6);
    assert.equal(promptSize(200_001), 200_000);
    assert.equal(ratesFor(price, null, 512_000).output, 15);
  });

  it('of a service tier is at its own rates, else at the standard ones', () => {
    assert.equal(costOf(price, usage({ inputTokens: 1_000_000, serviceTier: 'batch' })), 1.25);
    assert.equal(costOf(price, usage({ inputTokens: 100_000, serviceTier: 'flex' })), 0.25);
  });

  it('has no rounding error, however many calls are summed', () => {
    const rates = completeRates({ input: 0.1, output: 0.3 });
    let sum = 0n;
    for (let i = 0; i < 100_000; i++) sum += exactCost(rates, tokenClasses(usage({ inputTokens: 7, outputTokens: 1 })));
    assert.equal(toUsd(sum), 0.1);
    assert.equal(usdText(sum), '0.1');
  });
});

describe('money as text', () => {
  for (const [pico, text] of [
    [0n, '0'],
    [1n, '0.000000000001'],
    [1_500_000_000_000n, '1.5'],
    [-2_000_000_000_000n, '-2'],
    [123_456_789_000_000_000_001n, '123456789.000000000001'],
  ] as const) {
    it(`${pico} picodollars are ${text}`, () => assert.equal(usdText(pico), text));
  }
});
