import assert from 'node:assert/strict';
import { test } from 'node:test';
import { policySettings } from './policy-schema.ts';
import { resolvePolicy } from './resolve-policy.ts';

const defaults = policySettings.defaults;

test("a value is the model's, else the provider's, else the global one, key by key", () => {
  const policy = resolvePolicy(
    { ...defaults, timeouts: { ...defaults.timeouts, connect: 1, idle: 1, attempt: 1 } },
    { timeouts: { idle: 2, attempt: 2 }, retry: { budget: { ratio: 0.5 } } },
    { timeouts: { attempt: 3 }, maxAttempts: 7 },
  );
  assert.deepEqual(policy.timeouts, { ...defaults.timeouts, connect: 1, idle: 2, attempt: 3 });
  assert.deepEqual(policy.retry, { ...defaults.retry, budget: { ratio: 0.5, minPerSecond: 1 } });
  assert.equal(policy.maxAttempts, 7);
  assert.deepEqual(policy.breaker, defaults.breaker);
});

test('a falsy value overrides, an undefined one does not', () => {
  const policy = resolvePolicy(defaults, { quality: { rejectEmpty: false }, timeouts: { idle: undefined } }, { queue: { maxSize: 0 } });
  assert.equal(policy.quality.rejectEmpty, false);
  assert.equal(policy.queue.maxSize, 0);
  assert.equal(policy.timeouts.idle, defaults.timeouts.idle);
});

test('lists are replaced, not merged', () => {
  const policy = resolvePolicy(defaults, { quality: { mustMatch: ['a', 'b'] } }, { quality: { mustMatch: ['c'] } });
  assert.deepEqual(policy.quality.mustMatch, ['c']);
});

test('without overrides the global policy applies, and no layer is modified', () => {
  const provider = Object.freeze({ timeouts: Object.freeze({ idle: 5 }) });
  assert.deepEqual(resolvePolicy(defaults), defaults);
  assert.deepEqual(resolvePolicy(defaults, null, null), defaults);
  resolvePolicy(defaults, provider, { timeouts: { idle: 6 } });
  assert.equal(provider.timeouts.idle, 5);
  assert.equal(defaults.timeouts.idle, 120_000);
});
