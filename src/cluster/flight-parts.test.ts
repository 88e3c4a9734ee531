import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlacedPart } from '../store/flight-store.ts';
import { FlightParts } from './flight-parts.ts';

const part = (kind: string, text = ''): PlacedPart => ({ kind, meta: '', bytes: Buffer.from(text), place: '' });

/** What is passed of recordings of one response, one after the other. */
function passed(...recordings: readonly (readonly string[])[]): string[] {
  const parts = new FlightParts();
  const seen: string[] = [];
  for (const chunks of recordings) {
    for (const each of [part('hello'), part('head'), ...chunks.map((text) => part('chunk', text))]) {
      const next = parts.next(each);
      if (next !== null && next.kind !== 'hello') seen.push(next.kind === 'head' ? 'head' : Buffer.from(next.bytes).toString());
    }
  }
  return seen;
}

test('each byte of a response passes once, however often it is recorded and in whatever chunks', () => {
  assert.deepEqual(passed(['ab', 'cd']), ['head', 'ab', 'cd']);
  assert.deepEqual(passed(['ab', 'cd'], ['ab', 'cd', 'ef']), ['head', 'ab', 'cd', 'ef']);
  assert.deepEqual(passed(['ab'], ['abcd', '', 'ef']), ['head', 'ab', 'cd', 'ef']);
  assert.deepEqual(passed(['abcd'], ['a'], ['abc', 'def']), ['head', 'abcd', 'ef']);
  assert.deepEqual(passed([], ['ab']), ['head', 'ab']);
});

test('the end of a response passes', () => {
  const parts = new FlightParts();
  assert.deepEqual(
    ['hello', 'head', 'hello', 'head', 'end'].map((kind) => parts.next(part(kind))?.kind),
    ['hello', 'head', 'hello', undefined, 'end'],
  );
});
