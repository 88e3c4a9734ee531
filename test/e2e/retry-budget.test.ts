/** The retry budget holds at the instant of the repeat, however long one waits between the permission and it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatResponse, chatError } from '../../src/testing/simulated-chat.ts';
import { startVirtualWorld } from './virtual.ts';

const policy = { retry: { budget: { ratio: 0, minPerSecond: 0.001 } }, breaker: { consecutiveFailures: 50 } };

test('two who may repeat and wait for the same place do not both take the last repeat', async (t) => {
  let calls = 0;
  const a = () => (++calls === 3 ? chatResponse({ headersAfterMs: 30_000 }) : chatError(500));
  const world = await startVirtualWorld(t, { providers: { a }, limits: { concurrency: 1 }, config: { policy } });
  const asked = [world.ask(), world.ask(), world.ask()];
  const [first, second, third] = await Promise.all(asked.map((one) => world.until(one.done)));
  assert.deepEqual(
    [first!.status, second!.status, third!.status].toSorted((a, b) => a - b),
    [200, 500, 500],
  );
  assert.equal(world.callsTo('a'), 4);
  assert.equal(world.gateway.queue().waiting, 0);
});

test('what a repeat has taken comes back where it is not made', async (t) => {
  let calls = 0;
  const a = () => (++calls === 2 ? chatResponse({ headersAfterMs: 30_000 }) : calls < 4 ? chatError(500) : chatResponse());
  const world = await startVirtualWorld(t, { providers: { a }, limits: { concurrency: 1 }, config: { policy } });
  const [left, long] = [world.ask(), world.ask()];
  await world.clock.advanceAsync(20_000);
  assert.equal(world.gateway.queue().waiting, 1, 'its repeat waits for the place');
  left.leave();
  await Promise.allSettled([left.done]);
  assert.equal((await world.until(long.done)).status, 200);
  assert.equal((await world.answerTo()).status, 200, 'the next one takes it');
  assert.equal(world.callsTo('a'), 4);
});
