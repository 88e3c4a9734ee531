/** A caller whom nobody can serve is told why, for each target. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatResponse, chatError } from '../../src/testing/simulated-chat.ts';
import { badKey, keyed, KEYS } from './keyed.ts';
import { startVirtualWorld } from './virtual.ts';
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
  assert.match(error.message, /a\/m: isolated by hand, credential 1 quarantined for \d+\.\d s/);
  assert.match(error.message, /a\/m: isolated by hand;/, 'with the other credential');
  assert.match(error.message, /b\/m: breaker open for \d+\.\d s/);
  assert.match(error.message, /c\/m: isolated by hand/);
  for (const key of KEYS) assert.ok(!seen.text.includes(key));
});

test('those who wait for a target that is isolated by hand are refused at once, though its calls run on', async (t) => {
  const world = await startVirtualWorld(t, {
    providers: { a: () => chatResponse({ headersAfterMs: 200_000 }), b: () => chatResponse() },
    models: { fast: ['a/m'], both: { targets: ['a/m', 'b/m'], patience: '100s' } },
    limits: { concurrency: 2 },
  });
  const running = [world.ask(), world.ask()];
  const waiting = [1, 2, 3].map(() => world.ask({}, { 'x-breakwater-deadline-ms': '150000' }));
  const other = world.ask({ model: 'both' });
  await world.clock.advanceAsync(1_000);
  assert.equal(world.gateway.queue().waiting, 4);
  world.gateway.isolate('a/m');
  await world.clock.advanceAsync(100);
  assert.equal(world.gateway.queue().waiting, 0);
  for (const { done } of waiting) {
    const seen = await done;
    assert.deepEqual([seen.status, errorOf(seen.text).code], [503, 'no_target_available']);
    assert.match(errorOf(seen.text).message, /a\/m: isolated by hand/);
  }
  assert.equal((await other.done).headers.get('x-breakwater-target'), 'b/m');
  await world.until(Promise.all(running.map(({ done }) => done)));
  for (const { done } of running) assert.equal((await done).status, 200);
});
