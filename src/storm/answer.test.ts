import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toPackets, toPlainAnswer, toStreamAnswer } from './answer.ts';
import type { Answer } from './answer.ts';
import { createSeededRandom } from './chance.ts';
import type { StreamEvent } from './dialect.ts';
import type { Framing } from './framings.ts';
import type { StormTiming } from './options.ts';

const EVENTS: StreamEvent[] = [
  { part: 'preamble', data: 'role' },
  { part: 'content', data: 'a' },
  { part: 'content', data: 'b' },
  { part: 'content', data: 'c' },
  { part: 'finish', data: 'stop' },
  { part: 'done', data: 'done' },
];

/** Each event as its data alone. */
const BARE: Framing = { name: 'sse', headers: {}, frame: ({ data }) => data, end: '' };

/** The program as words: waits by their length, sends by their text. */
function told({ steps }: Pick<Answer, 'steps'>): (string | number)[] {
  return steps.map((step) => (step.do === 'wait' ? step.ms : step.do === 'send' ? String(step.bytes) : step.do));
}

function stream(timing: StormTiming): (string | number)[] {
  const answer = toStreamAnswer(EVENTS, BARE, timing, createSeededRandom(1));
  return told({ steps: toPackets(answer.steps, timing.eventsPerPacket ?? Infinity) });
}

test('without timing a stream is one packet', () => {
  assert.deepEqual(stream({}), ['head', 'roleabcstopdone']);
});

test('packets hold as many events as asked', () => {
  assert.deepEqual(stream({ eventsPerPacket: 2 }), ['head', 'rolea', 'bc', 'stopdone']);
});

test('the role comes with the head, content after the first token and then at its pace', () => {
  const timing = { headersMs: 5, firstTokenMs: 50, tokensPerSecond: 100 };
  assert.deepEqual(stream(timing), [5, 'head', 'role', 50, 'a', 10, 'b', 10, 'cstopdone']);
  assert.deepEqual(stream({ ...timing, eventsPerPacket: 2 }), [5, 'head', 'role', 50, 'ab', 20, 'cstop', 'done']);
});

test('a plain answer takes as long as its stream, unless its own time is given', () => {
  const timing = { headersMs: 5, firstTokenMs: 50, tokensPerSecond: 100 };
  const plain = (own: StormTiming) => told(toPlainAnswer({ contentType: 't', body: 'x' }, { ...timing, ...own }, 3, createSeededRandom(1)));
  assert.deepEqual(plain({}), [75, 'head', 'x']);
  assert.deepEqual(plain({ plainMs: 7 }), [7, 'head', 'x']);
  assert.deepEqual(plain({ plainMs: 0 }), ['head', 'x']);
});

test('jitter varies a wait within its share', () => {
  const random = createSeededRandom(1);
  const waits = Array.from({ length: 200 }, () => told(toStreamAnswer(EVENTS, BARE, { headersMs: 100, jitter: 0.2 }, random))[0] as number);
  assert.ok(Math.min(...waits) >= 80 && Math.max(...waits) <= 120 && Math.max(...waits) - Math.min(...waits) > 20);
});
