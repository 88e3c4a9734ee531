import assert from 'node:assert/strict';
import { test } from 'node:test';
import { knownModel } from './known-models.ts';

test('a model of a known provider has its price, sizes and abilities', () => {
  const model = knownModel('openai', 'gpt-4o')!;
  assert.ok(model.price!.input > 0 && model.price!.output > model.price!.input && model.price!.cachedInput < model.price!.input);
  assert.ok(model.contextTokens! >= 100_000 && model.outputTokens! >= 4_000);
  for (const ability of ['t', 'i', 's'] as const) assert.ok(model.abilities!.has(ability), ability);
});

test('other providers and models are unknown', () => {
  assert.equal(knownModel(null, 'gpt-4o'), null);
  assert.equal(knownModel('openai', 'no-such-model'), null);
  assert.equal(knownModel('ollama', 'gpt-4o'), null);
  assert.equal(knownModel('__proto__', 'toString'), null);
  assert.equal(knownModel('openai', 'constructor'), null);
});
