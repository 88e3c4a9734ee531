/** The retry budget holds at the instant of the repeat, however long one waits between the permission and it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatAnswer, chatError } from '../../src/testing/simulated-chat.ts';
import { startVirtualWorld } from './virtual.ts';

test('two who may repeat and wait for the same place do not both take the last repeat', async (t) => {
  let calls = 0;
  const a = () => (++calls === 3 ? chatAnswer({ headersAfterMs: 30_000 }) : chatError(500));
  const world = await startVirtualWorld(t, {
    providers: { a },
    limits: { concurrency: 1 },
    config: { policy: { retry: { budget: { ratio: 0, minPerSecond: 0.001 } }, breaker: { consecutiveFailures: 50 } } },
  });
  const asked = [world.ask(), world.ask(), world.ask()];
  const [first, second, third] = await Promise.all(asked.map((one) => world.until(one.done)));
  assert.deepEqual([first!.status, second!.status, third!.status], [500, 500, 200]);
  assert.equal(world.callsTo('a'), 4);
  assert.equal(world.gateway.queue().waiting, 0);
});
