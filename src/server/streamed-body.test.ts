import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BreakwaterError } from '../core/errors.ts';
import { createManualClock } from '../testing/manual-clock.ts';
import type { Call } from './call.ts';
import { StallWatch } from './stall-watch.ts';
import { StreamedBody } from './streamed-body.ts';

function stage() {
  const clock = createManualClock();
  const stopped: Error[] = [];
  const room = { held: 0, max: Infinity };
  const call = {
    holder: 'web',
    stalls: new StallWatch(clock),
    now: () => clock.now(),
    exchange: { stopBody: (error: Error) => stopped.push(error) },
    gateway: {
      tryHoldBytes: (bytes: number) => room.held + bytes <= room.max && ((room.held += bytes), true),
      releaseBytes: (bytes: number) => (room.held -= bytes),
    },
  } as unknown as Call;
  return { clock, stopped, room, call, body: new StreamedBody(call) };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
  await new Promise(() => {}); // nothing more is sent
}

test('a sender that is silent for a minute is ended; one that waits for the server is not', async () => {
  const { clock, stopped, body } = stage();
  const pieces = body.watched(once(new Uint8Array(1)));
  await pieces.next();
  await clock.advanceAsync(300_000);
  assert.equal(stopped.length, 0, 'the chunk is being processed');
  void pieces.next();
  await clock.advanceAsync(59_000);
  assert.equal(stopped.length, 0);
  await clock.advanceAsync(2_000);
  const [error] = stopped;
  assert.ok(error instanceof BreakwaterError);
  assert.deepEqual([error.status, stopped.length], [408, 1]);
  body.close();
  await clock.advanceAsync(300_000);
  assert.equal(stopped.length, 1, 'it is no longer checked');
});

test('bytes beyond a quarter of a megabyte are counted, refused beyond the limit, and released', () => {
  const { room, body } = stage();
  body.holds(256 * 1024);
  assert.equal(room.held, 0);
  body.holds(1024 * 1024);
  assert.equal(room.held, 768 * 1024);
  room.max = 1024 * 1024;
  assert.throws(() => body.holds(4 * 1024 * 1024), (error) => error instanceof BreakwaterError && error.code === 'queue_full'); // prettier-ignore
  assert.equal(room.held, 768 * 1024);
  body.holds(0);
  assert.equal(room.held, 0);
  body.holds(512 * 1024);
  body.close();
  assert.equal(room.held, 0);
});

test('a stalled upload is ended once when memory is needed', async () => {
  const { clock, room, body, call, stopped } = stage();
  body.holds(1024 * 1024);
  await clock.advanceAsync(3_000);
  assert.equal(call.stalls.makeRoom(null), true);
  assert.deepEqual([room.held, stopped.length], [0, 1]);
  assert.equal(call.stalls.makeRoom(null), false);
  body.holds(1024 * 1024);
  assert.equal(room.held, 0, 'bytes that are still processed do not count again');
  body.close();
});
