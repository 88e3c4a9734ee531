/**
 * How long an attempt may be silent (design 4.3, "Long calls live, hung calls don't"). Healthy long work must not be
 * cut, a hung call must not hold its caller: so the automatic limits are long, and shrink to what the target itself
 * has shown as soon as it has answered often enough and somebody else could answer.
 */
import { LatencyHistogram } from './latency-histogram.ts';

const LEARNED_AFTER = 50;
/** What is `usual`: nine in ten calls are no slower. It is known sooner than what is slow. */
const USUAL = 0.9;
const USUAL_AFTER = 10;
const SLOW_FLOOR_MS = 10_000;
const SLOW_FACTOR = 5;
/** While another target is untried, one attempt may spend this share of what remains of the deadline in silence. */
const SILENCE_SHARE = 0.6;

const AUTO_STREAM_HEADERS_MS = 60_000;
const AUTO_PLAIN_HEADERS_MS = 300_000;
const AUTO_FIRST_CONTENT_MS = 60_000;
const AUTO_THINKING_FIRST_CONTENT_MS = 300_000;

/** The kinds of call whose silence differs. */
export interface CallKind {
  readonly stream: boolean;
  /** The request or the model is known to think. */
  readonly thinks: boolean;
  /** The target is a model server on this machine, which may have to load its model first. */
  readonly local: boolean;
  readonly outputBound: number | null;
}

/** The limits of silence as configured, in milliseconds. */
export interface SilenceTimeouts {
  readonly headers: number | 'auto';
  readonly firstContent: number | 'auto';
}

/** Until the response headers, in milliseconds from the send. */
export function headersLimitMs(timeouts: SilenceTimeouts, call: CallKind): number {
  if (timeouts.headers !== 'auto') return timeouts.headers;
  if (call.local) return AUTO_PLAIN_HEADERS_MS;
  return call.stream ? AUTO_STREAM_HEADERS_MS : AUTO_PLAIN_HEADERS_MS;
}

/** Until the first content, in milliseconds from the send. A plain answer has its content with its headers. */
export function firstContentLimitMs(timeouts: SilenceTimeouts, call: CallKind): number {
  if (timeouts.firstContent !== 'auto') return timeouts.firstContent;
  if (!call.stream) return headersLimitMs(timeouts, call);
  return call.thinks || call.local ? AUTO_THINKING_FIRST_CONTENT_MS : AUTO_FIRST_CONTENT_MS;
}

/** What may be spent in silence while somebody else is untried, in milliseconds. */
export function silenceShareMs(remainingMs: number): number {
  return remainingMs * SILENCE_SHARE;
}

/** What a target has shown of its silence before first content, for each kind of call. */
export class SilenceRecord {
  readonly #byKind = new Map<number, LatencyHistogram>();

  record(call: CallKind, silenceMs: number): void {
    const key = keyOf(call);
    let histogram = this.#byKind.get(key);
    if (histogram === undefined) this.#byKind.set(key, (histogram = new LatencyHistogram()));
    histogram.record(silenceMs);
  }

  /** What the share `q` of calls like this one stays below, in milliseconds; null while too little is known. */
  quantileMs(call: CallKind, q: number): number | null {
    const histogram = this.#byKind.get(keyOf(call));
    return histogram === undefined || histogram.count < LEARNED_AFTER ? null : histogram.quantile(q);
  }

  /** Three in four calls have had their first content by then, in milliseconds; 0 while too little is known. */
  usualMs(call: CallKind): number {
    const histogram = this.#byKind.get(keyOf(call));
    return histogram === undefined || histogram.count < USUAL_AFTER ? 0 : histogram.quantile(USUAL);
  }

  /** Silence beyond this is `slow`, in milliseconds; Infinity while too little is known. */
  slowAfterMs(call: CallKind): number {
    const histogram = this.#byKind.get(keyOf(call));
    if (histogram === undefined || histogram.count < LEARNED_AFTER) return Infinity;
    return Math.max(SLOW_FLOOR_MS, SLOW_FACTOR * histogram.quantile(0.99));
  }
}

/** Plain calls are silent as long as they write, so they are told apart by the order of magnitude of their bound. */
function keyOf(call: CallKind): number {
  const size = call.stream ? 0 : call.outputBound === null ? -1 : Math.ceil(Math.log2(Math.max(1, call.outputBound)) / 2);
  return size * 4 + (call.stream ? 2 : 0) + (call.thinks ? 1 : 0);
}
