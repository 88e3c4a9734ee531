/** A caller who has less time than an answer takes harms nobody but itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatResponse, silence } from '../../src/testing/simulated-chat.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualWorld } from './virtual.ts';
import { errorOf } from './world.ts';

const ANSWER_MS = 14_000;
const SHORT = { 'x-breakwater-deadline-ms': '12000' };

async function shown(t: Parameters<typeof startVirtualWorld>[0]): Promise<{ world: VirtualWorld; hang: () => void }> {
  let isHung = false;
  const world = await startVirtualWorld(t, {
    providers: { a: () => (isHung ? silence() : chatResponse({ headersAfterMs: ANSWER_MS })) },
  });
  await all(world, 60, {});
  return { world, hang: () => (isHung = true) };
}

const all = async (world: VirtualWorld, count: number, headers: Record<string, string>): Promise<number[]> => {
  const asked = Array.from({ length: count }, () => world.ask({}, headers));
  const seen = await Promise.all(asked.map(({ done }) => world.until(done)));
  return seen.map(({ status }) => status);
};

test('calls that are cut by short deadlines before their usual time open no breaker and take no place from others', async (t) => {
  const { world } = await shown(t);
  assert.deepEqual(new Set(await all(world, 20, SHORT)), new Set([504]));
  const [target] = world.gateway.targets();
  assert.deepEqual([target!.breaker.state, target!.learned.concurrency], ['closed', null]);
  assert.deepEqual(new Set(await all(world, 10, {})), new Set([200]));
});

test('silence beyond what answers take opens it all the same', async (t) => {
  const { world, hang } = await shown(t);
  hang();
  await all(world, 10, { 'x-breakwater-deadline-ms': '20000' });
  assert.equal(world.gateway.targets()[0]!.breaker.state, 'open');
});

test('who ran out of time is told so, though the other target could not be asked before the end', async (t) => {
  const world = await startVirtualWorld(t, {
    providers: { a: () => silence(), b: () => chatResponse() },
    config: { policy: { maxAttempts: 4 } },
    models: { fast: ['a/m', 'b/m'], other: ['b/m'] },
    limits: { requestsPerMinute: 1, burst: 1 },
  });
  assert.equal((await world.answerTo({ model: 'other' })).status, 200);
  const seen = await world.answerTo({}, { 'x-breakwater-deadline-ms': '2000' });
  const { code, message } = errorOf(seen.text);
  assert.deepEqual([seen.status, code], [504, 'deadline_exceeded']);
  assert.match(
    message,
    /the deadline of 2000 ms leaves too little time: 0 ms waiting for capacity; a\/m: no response headers within 1200 ms/,
  );
});
