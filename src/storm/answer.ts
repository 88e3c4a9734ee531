/**
 * An answer is a small program: wait, send the head, send bytes, hang, break. Timing lays its waits between the pieces
 * and a fault changes the program; the player in `player.ts` only runs it. Thus every fault works with every timing.
 */
import type { Random } from '../core/random.ts';
import { sample } from './chance.ts';
import type { EventPart, PlainBody, StreamEvent } from './dialect.ts';
import type { Framing } from './framings.ts';
import type { Spread, StormTiming } from './options.ts';

export type Step =
  | { do: 'wait'; ms: number }
  /** Lets the event loop turn, so that the next send is a write of its own. */
  | { do: 'turn' }
  | { do: 'head' }
  | { do: 'send'; part: EventPart | 'body'; bytes: string | Buffer }
  /** Sends the same again and again until the caller leaves, each after `ms`; no faster than it is taken. */
  | { do: 'repeat'; bytes: string | Buffer; ms: number }
  /** An informational answer before the real one (RFC 9110, 15.2). */
  | { do: 'inform'; status: 100 | 103 }
  /** Nothing more, until the caller leaves. */
  | { do: 'hang' }
  /** Closes the connection without ending the answer. */
  | { do: 'fin' }
  /** Resets the connection. */
  | { do: 'reset' };

export interface Answer {
  status: number;
  headers: Record<string, string>;
  /** Whether it is a stream of events. */
  streamed: boolean;
  /** How the events of a stream are laid out. */
  framing?: Framing;
  steps: Step[];
  /** Set when a fault must hold every byte of the wire itself: see `wire.ts`. */
  wire?: Wire;
}

/** An answer written past node's HTTP: head, framing and body are bytes like any others. The connection ends with it. */
export interface Wire {
  /** `chunked` marks each send as a chunk; `plain` leaves the bytes as they are. */
  framing: 'chunked' | 'plain';
  /** Changes the program once it is nothing but bytes: the first send is the head. */
  edit?: (steps: Step[]) => Step[];
}

/** A whole body, after the time that it takes. `tokens` is the length of what was generated. */
export function toPlainAnswer(plain: PlainBody, timing: StormTiming, tokens: number, random: Random): Answer {
  const answer = toBodyAnswer(200, plain.contentType, plain.body);
  Object.assign(answer.headers, plain.headers);
  const ms = timing.plainMs === undefined ? streamMs(timing, tokens, random) : draw(timing.plainMs, timing, random);
  if (ms > 0) answer.steps.unshift({ do: 'wait', ms });
  return answer;
}

/** A body as it is, at once. */
export function toBodyAnswer(status: number, contentType: string, body: string | Buffer): Answer {
  return {
    status,
    headers: { 'content-type': contentType, 'content-length': String(Buffer.byteLength(body)) },
    streamed: false,
    steps: [{ do: 'head' }, { do: 'send', part: 'body', bytes: body }],
  };
}

/** A stream: head, preamble, silence until the first token, then events at their pace. */
export function toStreamAnswer(events: readonly StreamEvent[], framing: Framing, timing: StormTiming, random: Random): Answer {
  const steps: Step[] = [];
  addWait(steps, draw(timing.headersMs, timing, random));
  steps.push({ do: 'head' });
  const firstTokenMs = draw(timing.firstTokenMs, timing, random);
  const perTokenMs = tokenMs(timing, random);
  const perPacket = timing.eventsPerPacket ?? (perTokenMs > 0 ? 1 : Infinity);
  let content = 0;
  for (let index = 0; index < events.length; index++) {
    const event = events[index]!;
    const { part } = event;
    if (part !== 'preamble' && content === 0) addWait(steps, firstTokenMs);
    if (part === 'content') {
      if (content > 0 && content % perPacket === 0) addWait(steps, varied(perTokenMs * perPacket, timing, random));
      content++;
    }
    steps.push({ do: 'send', part, bytes: framing.frame(event, index) });
  }
  if (framing.end !== '') steps.push({ do: 'send', part: 'done', bytes: framing.end });
  return { status: 200, headers: { ...framing.headers }, streamed: true, framing, steps };
}

/** Joins neighbouring sends into packets of at most `perPacket` events: one write for many events is what real servers do. */
export function toPackets(steps: readonly Step[], perPacket: number): Step[] {
  const packed: Step[] = [];
  let text = '';
  let held = 0;
  let part: EventPart | 'body' = 'content';
  const flush = () => {
    if (held > 0) packed.push({ do: 'send', part, bytes: text });
    text = '';
    held = 0;
  };
  for (const step of steps) {
    if (step.do === 'send' && typeof step.bytes === 'string' && step.part !== 'body') {
      text += step.bytes;
      part = step.part;
      held++;
      if (held >= perPacket) flush();
    } else {
      flush();
      packed.push(step);
    }
  }
  flush();
  return packed;
}

function addWait(steps: Step[], ms: number): void {
  if (ms > 0) steps.push({ do: 'wait', ms });
}

function draw(spread: Spread | undefined, timing: StormTiming, random: Random): number {
  if (spread === undefined || spread === 0) return 0;
  return varied(sample(spread, random), timing, random);
}

function varied(ms: number, timing: StormTiming, random: Random): number {
  if (timing.jitter === undefined || ms === 0) return ms;
  return ms * (1 + timing.jitter * (random.next() * 2 - 1));
}

function tokenMs(timing: StormTiming, random: Random): number {
  return timing.tokensPerSecond === undefined ? 0 : 1000 / sample(timing.tokensPerSecond, random);
}

/** Providers send a plain answer when it is finished: it takes as long as its stream. */
function streamMs(timing: StormTiming, tokens: number, random: Random): number {
  const untilContent = draw(timing.headersMs, timing, random) + draw(timing.firstTokenMs, timing, random);
  return untilContent + tokenMs(timing, random) * Math.max(0, tokens - 1);
}
