import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseConfig } from '../config/index.ts';
import type { ConfigInput } from '../config/index.ts';
import { knownModel } from '../known-models.ts';
import { endOfLifeWarnings, priceBasisOf, priceOfTarget, unpricedBudgets } from './prices.ts';

function configOf(input: ConfigInput) {
  const parsed = parseConfig(input, { source: 'library' });
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.faults.map(({ path, message }) => `${path}: ${message}`).join('\n'));
  return parsed.config;
}

const own = { protocol: 'openai', baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'k' } as const;

describe('the price of a target', () => {
  it('is the configured one of the target, else of the model, else of the built-in table', () => {
    const config = configOf({
      providers: { openai: { apiKey: 'k' }, other: own },
      prices: { 'other/x': { input: 1 }, x: { input: 2 }, 'gpt-5.1': { input: 3, batch: { input: 1.5 } } },
    });
    const input = (target: string) => priceOfTarget(config, target)?.input ?? null;
    assert.deepEqual(['other/x', 'gone/x', 'openai/gpt-5.1', 'openai/gpt-4.1', 'other/gpt-4.1'].map(input), [
      1,
      2,
      3,
      knownModel('openai', 'gpt-4.1')!.price!.input,
      null,
    ]);
    assert.equal(priceOfTarget(config, 'openai/gpt-5.1')!.tiers.batch!.input, 1.5);
  });

  it('of a batch is half that of a call where the provider has batches and no price of them is known', () => {
    const config = configOf({
      providers: { a: { ...own, nativeBatches: true }, b: own },
      prices: { x: { input: 2, output: 4 }, y: { input: 2, batch: { input: 0.5 } } },
    });
    const batch = (target: string) => priceOfTarget(config, target)!.tiers.batch?.input ?? null;
    assert.deepEqual(['a/x', 'a/y', 'b/x'].map(batch), [1, 0.5, null]);
    assert.equal(priceOfTarget(config, 'a/x')!.input, 2);
  });

  it('of calls that were made stays when their provider is renamed, loses its batches or changes its preset', () => {
    const before = configOf({
      providers: { main: { preset: 'openai', apiKey: 'k' }, here: { protocol: 'local', engine: 'extract' } as never },
      prices: { set: { input: 7 } },
    });
    const after = configOf({ providers: { main: { preset: 'anthropic', apiKey: 'k' } }, prices: { set: { input: 8 } } });
    const basis = priceBasisOf(before.providers['main']!);
    assert.deepEqual(basis, { table: 'openai', hasBatches: true });
    const known = knownModel('openai', 'gpt-4.1')!.price!;
    for (const target of ['main/gpt-4.1', 'gone/gpt-4.1']) {
      assert.equal(priceOfTarget(after, target), null, 'by the config of today alone');
      assert.deepEqual(priceOfTarget(after, target, basis), priceOfTarget(before, 'main/gpt-4.1'));
    }
    assert.equal(priceOfTarget(after, 'gone/gpt-4.1', { table: 'openai', hasBatches: false })!.input, known.input);
    assert.equal(priceOfTarget(after, 'gone/set', basis)!.tiers.batch!.input, 4, 'a corrected price corrects the past');
    assert.equal(priceOfTarget(after, 'gone/any', priceBasisOf(before.providers['here']!))!.input, 0);
    assert.equal(priceOfTarget(after, 'gone/gpt-4.1', { table: 'unknown', hasBatches: false }), null);
  });

  it('has the rates of long prompts and of service tiers', () => {
    const price = knownModel('gemini', 'gemini-2.5-pro')!.price!;
    assert.deepEqual(
      price.above.map(({ tokens, input, output }) => [tokens, input, output]),
      [[200_000, 2.5, 15]],
    );
    assert.deepEqual([price.tiers.batch!.input, price.tiers.priority!.above[0]!.output], [0.625, 27]);
    assert.equal(knownModel('anthropic', 'claude-sonnet-4-5')!.price!.cacheWrite1h, 6);
  });
});

describe('a model that ends', () => {
  const config = configOf({
    providers: { openai: { apiKey: 'k' } },
    models: { a: ['openai/gpt-5.1'], b: ['openai/gpt-5.1', 'openai/gpt-4.1'] },
  });
  const { endsOn, successor } = knownModel('openai', 'gpt-5.1')!;
  const at = (days: number) =>
    endOfLifeWarnings(config, Date.parse(endsOn!) - days * 86_400_000).filter((text) => text.includes('gpt-5.1'));

  it('is warned about from 30 days before, once, with its successor', () => {
    assert.deepEqual(at(31), []);
    assert.deepEqual(at(30), [`the model of openai/gpt-5.1 ends on ${endsOn}, in 30 days; its successor is ${successor}`]);
    assert.match(at(1)[0]!, /in 1 day;/);
    assert.match(at(-1)[0]!, /ended on/);
  });
});

describe('a budget', () => {
  it('without prices is warned about', () => {
    const clients = [{ name: 'web', key: 'web-key-1', budget: { usd: 1, per: 'day' as const } }];
    const input = { providers: { other: own }, models: { m: ['other/x', 'other/y'] } };
    assert.match(unpricedBudgets(configOf({ ...input, clients }))[0]!, /no price is known for other\/x, other\/y/);
    assert.deepEqual(unpricedBudgets(configOf({ ...input, clients, prices: { x: { input: 1 }, y: { input: 0 } } })), []);
    assert.deepEqual(unpricedBudgets(configOf(input)), []);
  });
});
