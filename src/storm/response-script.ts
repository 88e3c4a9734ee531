/**
 * A response is a script of steps: wait, send the head, send bytes, hang, break the connection. Timing inserts waits
 * and faults edit the steps; `player.ts` runs them. Every fault therefore works with every timing.
 */
import type { Random } from '../core/random.ts';
import { sample } from './random.ts';
import type { EventPart, ResponseBody, StreamEvent } from './dialect.ts';
import type { Framing } from './framings.ts';
import type { Spread, StormTiming } from './options.ts';

export type Step =
  | { do: 'wait'; ms: number }
  /** Yields to the event loop, so that the next send is a separate write. */
  | { do: 'turn' }
  | { do: 'head' }
  | { do: 'send'; part: EventPart | 'body'; bytes: string | Buffer }
  /** Repeats a send, each after `ms`, until the caller disconnects. Respects back-pressure. */
  | { do: 'repeat'; bytes: string | Buffer; ms: number }
  /** An informational response before the final one (RFC 9110, 15.2). */
  | { do: 'inform'; status: 100 | 103 }
  /** Sends nothing more until the caller disconnects. */
  | { do: 'hang' }
  /** Closes the connection before the response is complete. */
  | { do: 'fin' }
  /** Resets the connection. */
  | { do: 'reset' };

export interface ResponseScript {
  status: number;
  headers: Record<string, string>;
  /** Whether the response is a stream of events. */
  streamed: boolean;
  /** Framing of the stream's events. */
  framing?: Framing;
  steps: Step[];
  /** Set if a fault controls every byte on the wire; see `wire.ts`. */
  wire?: Wire;
}

/** A response written to the socket directly, bypassing Node's HTTP framing. The connection closes after it. */
export interface Wire {
  /** `chunked` encodes each send as a chunk; `raw` sends the bytes as they are. */
  framing: 'chunked' | 'raw';
  /** Edits the steps after head and framing have become sends; the first send is the head. */
  edit?: (steps: Step[]) => Step[];
}

/** A complete body, sent after its generation time. `tokens` is the number of generated tokens. */
export function toNonStreamingScript(body: ResponseBody, timing: StormTiming, tokens: number, random: Random): ResponseScript {
  const script = toBodyScript(200, body.contentType, body.body);
  Object.assign(script.headers, body.headers);
  const ms = timing.plainMs === undefined ? streamMs(timing, tokens, random) : draw(timing.plainMs, timing, random);
  if (ms > 0) script.steps.unshift({ do: 'wait', ms });
  return script;
}

/** A body sent at once. */
export function toBodyScript(status: number, contentType: string, body: string | Buffer): ResponseScript {
  return {
    status,
    headers: { 'content-type': contentType, 'content-length': String(Buffer.byteLength(body)) },
    streamed: false,
    steps: [{ do: 'head' }, { do: 'send', part: 'body', bytes: body }],
  };
}

/** A stream: head, preamble, time to first token, then events at the configured pace. */
export function toStreamScript(events: readonly StreamEvent[], framing: Framing, timing: StormTiming, random: Random): ResponseScript {
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

/** Joins adjacent sends into packets of at most `perPacket` events, as real servers write several events at once. */
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

/** A non-streaming response is sent when generation ends, so it takes as long as its stream. */
function streamMs(timing: StormTiming, tokens: number, random: Random): number {
  const untilContent = draw(timing.headersMs, timing, random) + draw(timing.firstTokenMs, timing, random);
  return untilContent + tokenMs(timing, random) * Math.max(0, tokens - 1);
}
