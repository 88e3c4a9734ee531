import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventBus } from './events.ts';
import type { NoteEvent, WarningEvent } from './events.ts';

const NOTE: NoteEvent = { type: 'note', requestId: 'r', at: 1, note: 'x' };
const WARNING: WarningEvent = { type: 'warning', at: 2, message: 'y' };

function makeBus(): { bus: EventBus; errors: unknown[] } {
  const errors: unknown[] = [];
  return { bus: new EventBus((error, type) => errors.push([error, type])), errors };
}

test('listeners receive their type, or all events, in order', () => {
  const { bus } = makeBus();
  const heard: string[] = [];
  bus.on('note', (event) => heard.push(`note ${event.note}`));
  bus.onAny((event) => heard.push(`any ${event.type}`));
  bus.emit(NOTE);
  bus.emit(WARNING);
  assert.deepEqual(heard, ['any note', 'note x', 'any warning']);
});

test('a removed listener receives nothing more', () => {
  const { bus } = makeBus();
  let heard = 0;
  const stops = [bus.on('note', () => heard++), bus.onAny(() => heard++)];
  bus.emit(NOTE);
  for (const stop of stops) stop();
  bus.emit(NOTE);
  assert.equal(heard, 2);
});

test('an exception in a listener is reported and does not affect others', () => {
  const { bus, errors } = makeBus();
  const bad = new Error('bad listener');
  let heard = 0;
  bus.on('note', () => {
    throw bad;
  });
  bus.on('note', () => heard++);
  bus.emit(NOTE);
  assert.deepEqual([errors, heard], [[[bad, 'note']], 1]);
});
