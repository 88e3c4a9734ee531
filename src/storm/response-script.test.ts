import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toPackets, toNonStreamingScript, toStreamScript } from './response-script.ts';
import type { ResponseScript } from './response-script.ts';
import { createSeededRandom } from './random.ts';
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

/** A framing that writes only the data of each event. */
const BARE: Framing = { name: 'sse', headers: {}, frame: ({ data }) => data, end: '' };

/** The script as a list: waits by length, sends by text. */
function summarise({ steps }: Pick<ResponseScript, 'steps'>): (string | number)[] {
  return steps.map((step) => (step.do === 'wait' ? step.ms : step.do === 'send' ? String(step.bytes) : step.do));
}

function stream(timing: StormTiming): (string | number)[] {
  const script = toStreamScript(EVENTS, BARE, timing, createSeededRandom(1));
  return summarise({ steps: toPackets(script.steps, timing.eventsPerPacket ?? Infinity) });
}

test('without timing a stream is one packet', () => {
  assert.deepEqual(stream({}), ['head', 'roleabcstopdone']);
});

test('packets contain the configured number of events', () => {
  assert.deepEqual(stream({ eventsPerPacket: 2 }), ['head', 'rolea', 'bc', 'stopdone']);
});

test('the role is sent with the head, content after the time to first token and then at the configured pace', () => {
  const timing = { headersMs: 5, firstTokenMs: 50, tokensPerSecond: 100 };
  assert.deepEqual(stream(timing), [5, 'head', 'role', 50, 'a', 10, 'b', 10, 'cstopdone']);
  assert.deepEqual(stream({ ...timing, eventsPerPacket: 2 }), [5, 'head', 'role', 50, 'ab', 20, 'cstop', 'done']);
});

test('a non-streaming response takes as long as its stream, unless its own time is set', () => {
  const timing = { headersMs: 5, firstTokenMs: 50, tokensPerSecond: 100 };
  const withTiming = (own: StormTiming) =>
    summarise(toNonStreamingScript({ contentType: 't', body: 'x' }, { ...timing, ...own }, 3, createSeededRandom(1)));
  assert.deepEqual(withTiming({}), [75, 'head', 'x']);
  assert.deepEqual(withTiming({ plainMs: 7 }), [7, 'head', 'x']);
  assert.deepEqual(withTiming({ plainMs: 0 }), ['head', 'x']);
});

test('jitter varies a wait within its share', () => {
  const random = createSeededRandom(1);
  const waits = Array.from(
    { length: 200 },
    () => summarise(toStreamScript(EVENTS, BARE, { headersMs: 100, jitter: 0.2 }, random))[0] as number,
  );
  assert.ok(Math.min(...waits) >= 80 && Math.max(...waits) <= 120 && Math.max(...waits) - Math.min(...waits) > 20);
});
