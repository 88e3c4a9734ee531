import assert from 'node:assert/strict';
import { test } from 'node:test';
import { importOpenrouter } from './openrouter.ts';

test('every model of a long list of fallbacks has an attempt', () => {
  const models = (count: number): string[] => Array.from({ length: count }, (_, i) => `maker/m${i}`);
  assert.equal(importOpenrouter({ models: models(4) }).sections['policy'], undefined);
  assert.deepEqual(importOpenrouter({ models: models(7) }).sections['policy'], { maxAttempts: 7 });
});
