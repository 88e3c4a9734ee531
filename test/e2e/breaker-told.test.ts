/** What is told of a breaker that opens. In virtual time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatError } from '../../src/testing/simulated-chat.ts';
import { startVirtualWorld } from './virtual.ts';

test('a breaker that opens by an answer which asks for a longer pause is told with that pause', async (t) => {
  const a = () => chatError(503, {}, { 'retry-after': '50' });
  const world = await startVirtualWorld(t, { providers: { a }, config: { policy: { breaker: { consecutiveFailures: 1 } } } });
  await world.answerTo({}, { 'x-breakwater-deadline-ms': '10000' });
  assert.deepEqual(
    world.eventsOf('breaker').map(({ to, openForMs }) => [to, openForMs]),
    [['open', 50_000]],
  );
  assert.equal(world.gateway.targets()[0]!.breaker.state, 'open');
});
