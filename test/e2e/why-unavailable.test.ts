/** A caller whom nobody can serve is told why, for each target. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatError } from '../../src/testing/simulated-chat.ts';
import { badKey, keyed, KEYS } from './keyed.ts';
import { errorOf } from './world.ts';

test('no_target_available says of each target why: open, isolated, which credential is out of order; and shows no key', async (t) => {
  const world = await keyed(t, 2, (key) => (key === 0 ? badKey() : null), {
    providers: { b: () => chatError(500), c: () => chatError(500) },
    config: { policy: { breaker: { openFor: '1m' } } },
  });
  world.gateway.isolate('c/m');
  for (let i = 0; i < 12; i++) await world.answerTo({ model: 'b/m' });
  // One of both keys is refused when its turn comes.
  for (let i = 0; i < 4; i++) await world.answerTo({ model: 'a/m' });
  world.gateway.isolate('a/m');
  const seen = await world.answerTo({}, { 'x-breakwater-deadline-ms': '2000' });
  const error = errorOf(seen.text);
  assert.deepEqual([seen.status, error.code], [503, 'no_target_available']);
  assert.match(error.message, /a\/m: isolated by hand, credential 1 out of order for \d+\.\d s/);
  assert.match(error.message, /a\/m: isolated by hand;/, 'with the other credential');
  assert.match(error.message, /b\/m: breaker open for \d+\.\d s/);
  assert.match(error.message, /c\/m: isolated by hand/);
  for (const key of KEYS) assert.ok(!seen.text.includes(key));
});
