/**
 * How long an attempt may be silent (design 4.3, "Long calls live, hung calls don't"). Two kinds of limits:
 *
 *   hard     `headers` and `firstContent`: the attempt fails. The automatic ones are long, because healthy calls can be silent for minutes.
 *   rescue   the next target is asked beside the silent one, which goes on. This limit is short, because it cuts nothing: what the
 *            target itself has shown, or a guess where too little is known of it.
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

const AUTO_STREAM_MS = 60_000;
const AUTO_PLAIN_MS = 300_000;
/** Where the model thinks, or the server is the operator's own. */
const AUTO_LONG_STREAM_MS = 300_000;
const AUTO_LONG_PLAIN_MS = 600_000;

/** A prompt up to this size is read in no time, a larger one at this pace; in tokens, and tokens per second. */
const PROMPT_FREE_TOKENS = 10_000;
const PROMPT_TOKENS_PER_SECOND = 2_000;

/** The rescue limits of a target of which too little is known. */
const GUESS_STREAM_MS = 20_000;
const GUESS_PLAIN_MS = 30_000;
const GUESS_OUTPUT_TOKENS_PER_SECOND = 40;
/** Where the call thinks, is passed through unread, or runs on a local server. */
const GUESS_LONG_FACTOR = 3;
/** From `USUAL_AFTER` answers on: so many times the longest of them. */
const LONGEST_FACTOR = 3;
const LONGEST_FLOOR_MS = 5_000;

/** The kinds of call whose silence differs. */
export interface CallKind {
  readonly stream: boolean;
  /** The request or the model is known to think. */
  readonly usesReasoning: boolean;
  /** The target is a model server on this machine, which may have to load its model first. */
  readonly local: boolean;
  /** The target is the operator's own server by its address, whatever it is called. Default: false. */
  readonly ownServer?: boolean;
  /** What is asked for is not read: images, audio. Default: false. */
  readonly unread?: boolean;
  readonly outputBound: number | null;
  /** Default: 0. */
  readonly inputTokens?: number;
}

/** The limits of silence as configured, in milliseconds. */
export interface SilenceTimeouts {
  readonly headers: number | 'auto';
  readonly firstContent: number | 'auto';
}

/** The phases in which an answer is silent. */
export type SilentPhase = 'connect' | 'headers' | 'first_content';

/** Until the response headers, in milliseconds from the send. An automatic one is never shorter than that of the first content. */
export function headersLimitMs(timeouts: SilenceTimeouts, call: CallKind): number {
  if (timeouts.headers !== 'auto') return timeouts.headers;
  const auto = autoLimitMs(call);
  return call.stream && timeouts.firstContent !== 'auto' ? Math.max(auto, timeouts.firstContent) : auto;
}

/** Until the first content, in milliseconds from the send. A plain answer has its content with its headers. */
export function firstContentLimitMs(timeouts: SilenceTimeouts, call: CallKind): number {
  if (timeouts.firstContent !== 'auto') return timeouts.firstContent;
  return call.stream && timeouts.headers !== 'auto' ? Math.max(autoLimitMs(call), timeouts.headers) : headersLimitMs(timeouts, call);
}

/** True if the silence of this phase has a configured limit. A plain answer has its content with its headers: what is set for these holds for both. */
export function isSilenceSet(timeouts: SilenceTimeouts, call: CallKind, phase: SilentPhase): boolean {
  if (phase === 'first_content' && timeouts.firstContent !== 'auto') return true;
  return (phase !== 'first_content' || !call.stream) && timeouts.headers !== 'auto';
}

function autoLimitMs(call: CallKind): number {
  const isLong = call.usesReasoning || call.local || call.ownServer === true;
  const base = call.stream ? (isLong ? AUTO_LONG_STREAM_MS : AUTO_STREAM_MS) : isLong ? AUTO_LONG_PLAIN_MS : AUTO_PLAIN_MS;
  return base + promptMs(call);
}

function promptMs({ inputTokens = 0 }: CallKind): number {
  return (Math.max(0, inputTokens - PROMPT_FREE_TOKENS) / PROMPT_TOKENS_PER_SECOND) * 1000;
}

/** What may be spent in silence while another target is untried, in milliseconds. */
export function silenceShareMs(remainingMs: number): number {
  return remainingMs * SILENCE_SHARE;
}

/** The rescue limit of a call of which nothing is known, in milliseconds. */
function guessMs(call: CallKind): number {
  const writingMs = ((call.outputBound ?? 0) / GUESS_OUTPUT_TOKENS_PER_SECOND) * 1000;
  const base = call.stream ? GUESS_STREAM_MS : GUESS_PLAIN_MS + writingMs;
  return base * (call.usesReasoning || call.local || call.unread === true ? GUESS_LONG_FACTOR : 1) + promptMs(call);
}

/** The share of answers that `nearly all` are. */
const NEARLY_ALL = 0.99;

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

  /** Nine in ten calls have had their first content by then, in milliseconds; 0 while too little is known. */
  usualMs(call: CallKind): number {
    const histogram = this.#byKind.get(keyOf(call));
    return histogram === undefined || histogram.count < USUAL_AFTER ? 0 : histogram.quantile(USUAL);
  }

  /** How long nearly all calls like it are silent, in milliseconds; 0: that is not known. */
  nearlyAllMs(call: CallKind): number {
    return this.quantileMs(call, NEARLY_ALL) ?? 0;
  }

  /** Silence beyond this is `slow`, in milliseconds; Infinity while too little is known. */
  slowAfterMs(call: CallKind): number {
    const histogram = this.#byKind.get(keyOf(call));
    if (histogram === undefined || histogram.count < LEARNED_AFTER) return Infinity;
    return Math.max(SLOW_FLOOR_MS, SLOW_FACTOR * histogram.quantile(0.99));
  }

  /** Silence after which another target is asked beside this one, in milliseconds from the send. */
  rescueAfterMs(call: CallKind): number {
    const slowMs = this.slowAfterMs(call);
    if (slowMs < Infinity) return slowMs;
    const histogram = this.#byKind.get(keyOf(call));
    const guess = guessMs(call);
    if (histogram === undefined || histogram.count < USUAL_AFTER) return guess;
    return Math.min(guess, Math.max(LONGEST_FLOOR_MS, LONGEST_FACTOR * histogram.longest));
  }
}

/** Plain calls are silent as long as they write, so they are told apart by the order of magnitude of their bound. */
function keyOf(call: CallKind): number {
  const size = call.stream ? 0 : call.outputBound === null ? -1 : Math.ceil(Math.log2(Math.max(1, call.outputBound)) / 2);
  return size * 4 + (call.stream ? 2 : 0) + (call.usesReasoning ? 1 : 0);
}
