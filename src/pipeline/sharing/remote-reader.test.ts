import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlightRecorder } from '../../cluster/flight-recorder.ts';
import type { FlightPart, FlightStore } from '../../store/flight-store.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import { RECORDING_BYTES_MAX, RemoteReader } from './remote-reader.ts';

const MEGABYTE = Buffer.alloc(1024 * 1024);

function stage() {
  const clock = createManualClock();
  const saved: FlightPart[] = [];
  const store = { append: async (_id: string, parts: readonly FlightPart[]) => void saved.push(...parts) } as unknown as FlightStore;
  const reader = new RemoteReader(clock, new FlightRecorder(clock, store, 'a.1'), {
    priority: 'normal',
    remainingMs: 60_000,
    isKeyed: false,
  });
  const gone: unknown[] = [];
  reader.follow({ onGone: (which: unknown) => void gone.push(which), onDrained: () => {} });
  const count = (kind: string): number => saved.filter((part) => part.kind === kind).length;
  return { clock, saved, reader, gone, count };
}

test('a recording ends as one that can not be continued when its response is too large', async () => {
  const { clock, saved, reader, gone, count } = stage();
  for (let i = 0; i < 40 && !reader.isOver; i++) {
    reader.write([MEGABYTE]);
    await clock.advanceAsync(0);
  }
  assert.equal(count('chunk') * MEGABYTE.byteLength, RECORDING_BYTES_MAX);
  assert.deepEqual([saved.at(-1)!.kind, gone, reader.isOver], ['gone', [reader], true]);
  await clock.advanceAsync(10_000);
  assert.equal(count('beat'), 0);
});

test('a response of the maximum size is recorded to its end', async () => {
  const { clock, saved, reader, count } = stage();
  for (let i = 0; i < 16; i++) reader.write([MEGABYTE]);
  reader.end();
  await clock.advanceAsync(0);
  assert.deepEqual([count('chunk'), saved.at(-1)!.kind], [16, 'end']);
});
