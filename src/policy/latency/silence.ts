/**
 * How long an attempt may be silent. There are two kinds of limits:
 *
 * - hard (`headers` and `firstContent`): the attempt fails. The automatic ones are long, because healthy calls can be silent for minutes.
 * - rescue: the next target is called beside the silent one, which continues. This limit is short, because it ends nothing. It is learned
 *   from the target's own calls, or assumed where there are too few of them.
 */
import { isLatencyCounts, LatencyHistogram } from './latency-histogram.ts';
import type { LatencyCounts } from './latency-histogram.ts';

const LEARNED_AFTER = 50;
/** The `usual` silence: nine in ten calls are no slower. Known from fewer calls than what is slow. */
const USUAL = 0.9;
const USUAL_AFTER = 10;
const SLOW_FLOOR_MS = 10_000;
const SLOW_FACTOR = 5;
/** While another target is untried, one attempt may be silent for this share of the time until the deadline. */
const SILENCE_SHARE = 0.6;

const AUTO_STREAM_MS = 60_000;
const AUTO_NON_STREAM_MS = 300_000;
/** For reasoning models and the operator's own servers. */
const AUTO_LONG_STREAM_MS = 300_000;
const AUTO_LONG_NON_STREAM_MS = 600_000;

/** Prompts up to this size add no time, larger ones are processed at this rate; in tokens, and tokens per second. */
const PROMPT_FREE_TOKENS = 10_000;
const PROMPT_TOKENS_PER_SECOND = 2_000;

/** Rescue limits while too few calls are known. */
const ASSUMED_STREAM_MS = 20_000;
const ASSUMED_NON_STREAM_MS = 30_000;
const ASSUMED_OUTPUT_TOKENS_PER_SECOND = 40;
/** For calls that reason, whose output is not parsed, or that run on a local server. */
const ASSUMED_LONG_FACTOR = 3;
/** From `USUAL_AFTER` responses on: this many times the longest of them. */
const LONGEST_FACTOR = 3;
const LONGEST_FLOOR_MS = 5_000;

/** The properties of a call that change how long it is silent. */
export interface CallKind {
  readonly stream: boolean;
  /** The request or the model is known to reason. */
  readonly usesReasoning: boolean;
  /** The target is a model server on this machine, which may have to load its model first. */
  readonly local: boolean;
  /** The address of the target belongs to the operator, whatever its name. Default: false. */
  readonly ownServer?: boolean;
  /** The output is not parsed: images, audio. Default: false. */
  readonly unread?: boolean;
  readonly outputBound: number | null;
  /** Default: 0. */
  readonly inputTokens?: number;
}

/** The configured limits, in milliseconds. */
export interface SilenceTimeouts {
  readonly headers: number | 'auto';
  readonly firstContent: number | 'auto';
}

/** The phases in which an attempt is silent. */
export type SilentPhase = 'connect' | 'headers' | 'first_content';

/** Until the response headers, in milliseconds from the send. The automatic one is never shorter than that of the first content. */
export function headersLimitMs(timeouts: SilenceTimeouts, call: CallKind): number {
  if (timeouts.headers !== 'auto') return timeouts.headers;
  const auto = autoLimitMs(call);
  return call.stream && timeouts.firstContent !== 'auto' ? Math.max(auto, timeouts.firstContent) : auto;
}

/** Until the first content, in milliseconds from the send. A non-streaming response has its content with its headers. */
export function firstContentLimitMs(timeouts: SilenceTimeouts, call: CallKind): number {
  if (timeouts.firstContent !== 'auto') return timeouts.firstContent;
  return call.stream && timeouts.headers !== 'auto' ? Math.max(autoLimitMs(call), timeouts.headers) : headersLimitMs(timeouts, call);
}

/**
 * True if the silence of this phase has a configured limit. A non-streaming response has its content with its headers, so the limit of
 * either phase applies to both.
 */
export function isSilenceSet(timeouts: SilenceTimeouts, call: CallKind, phase: SilentPhase): boolean {
  if (phase === 'first_content' && timeouts.firstContent !== 'auto') return true;
  return (phase !== 'first_content' || !call.stream) && timeouts.headers !== 'auto';
}

function autoLimitMs(call: CallKind): number {
  const isLong = call.usesReasoning || call.local || call.ownServer === true;
  const base = call.stream ? (isLong ? AUTO_LONG_STREAM_MS : AUTO_STREAM_MS) : isLong ? AUTO_LONG_NON_STREAM_MS : AUTO_NON_STREAM_MS;
  return base + promptMs(call);
}

function promptMs({ inputTokens = 0 }: CallKind): number {
  return (Math.max(0, inputTokens - PROMPT_FREE_TOKENS) / PROMPT_TOKENS_PER_SECOND) * 1000;
}

/** The silence allowed while another target is untried, in milliseconds. */
export function silenceShareMs(remainingMs: number): number {
  return remainingMs * SILENCE_SHARE;
}

/** The assumed rescue limit, in milliseconds. */
function assumedMs(call: CallKind): number {
  const generationMs = ((call.outputBound ?? 0) / ASSUMED_OUTPUT_TOKENS_PER_SECOND) * 1000;
  const base = call.stream ? ASSUMED_STREAM_MS : ASSUMED_NON_STREAM_MS + generationMs;
  return base * (call.usesReasoning || call.local || call.unread === true ? ASSUMED_LONG_FACTOR : 1) + promptMs(call);
}

/** The share that counts as nearly all responses. */
const NEARLY_ALL = 0.99;

/** The silences of one kind of call, as they are saved and sent to other instances. */
export interface KindSilences extends LatencyCounts {
  readonly kind: number;
}

/** The observed times to first content of a target, for each kind of call. */
export class SilenceRecord {
  /** Bounded by the number of kinds. */
  readonly #byKind = new Map<number, LatencyHistogram>();
  #changes = 0;

  record(call: CallKind, silenceMs: number): void {
    this.#of(keyOf(call)).record(silenceMs);
    this.#changes++;
  }

  /** How often it was recorded to or reset here. */
  get changes(): number {
    return this.#changes;
  }

  /** What was recorded here since the last call, kind by kind; a kind that the caller does not reach stays new. */
  *takeNew(): Generator<KindSilences> {
    for (const [kind, histogram] of this.#byKind) {
      const found = histogram.takeNew();
      if (found !== null) yield { kind, ...found };
    }
  }

  /** Adds what another instance has recorded. */
  add(silences: KindSilences): void {
    this.#of(silences.kind).add(silences);
  }

  save(): KindSilences[] {
    return Array.from(this.#byKind, ([kind, histogram]) => ({ kind, ...histogram.save() }));
  }

  /** A saved history replaces a shorter one. */
  restore(saved: KindSilences): void {
    this.#of(saved.kind).restore(saved);
  }

  /** The number of silences ever recorded, of all kinds. */
  get count(): number {
    let sum = 0;
    for (const { count } of this.#byKind.values()) sum += count;
    return sum;
  }

  reset(): void {
    this.#byKind.clear();
    this.#changes++;
  }

  #of(kind: number): LatencyHistogram {
    let histogram = this.#byKind.get(kind);
    if (histogram === undefined) this.#byKind.set(kind, (histogram = new LatencyHistogram()));
    return histogram;
  }

  /** The silence that the share `q` of calls like this one does not exceed, in milliseconds; null: too few calls. */
  quantileMs(call: CallKind, q: number): number | null {
    const histogram = this.#byKind.get(keyOf(call));
    return histogram === undefined || histogram.count < LEARNED_AFTER ? null : histogram.quantile(q);
  }

  /** Nine in ten calls have their first content by then, in milliseconds; 0: too few calls. */
  usualMs(call: CallKind): number {
    const histogram = this.#byKind.get(keyOf(call));
    return histogram === undefined || histogram.count < USUAL_AFTER ? 0 : histogram.quantile(USUAL);
  }

  /** The silence that nearly all calls like this one do not exceed, in milliseconds; 0: too few calls. */
  nearlyAllMs(call: CallKind): number {
    return this.quantileMs(call, NEARLY_ALL) ?? 0;
  }

  /** Longer silence is `slow`, in milliseconds; Infinity: too few calls. */
  slowAfterMs(call: CallKind): number {
    const histogram = this.#byKind.get(keyOf(call));
    if (histogram === undefined || histogram.count < LEARNED_AFTER) return Infinity;
    return Math.max(SLOW_FLOOR_MS, SLOW_FACTOR * histogram.quantile(0.99));
  }

  /** Silence after which another target is called beside this one, in milliseconds from the send. */
  rescueAfterMs(call: CallKind): number {
    const slowMs = this.slowAfterMs(call);
    if (slowMs < Infinity) return slowMs;
    const histogram = this.#byKind.get(keyOf(call));
    const assumed = assumedMs(call);
    if (histogram === undefined || histogram.count < USUAL_AFTER) return assumed;
    return Math.min(assumed, Math.max(LONGEST_FLOOR_MS, LONGEST_FACTOR * histogram.longest));
  }
}

/** Larger output limits count as this size. */
const SIZE_MAX = 15;
const SIZE_UNKNOWN = -1;
const FLAGS = 4;

/** The silence of non-streaming calls includes their generation, so they are grouped by the order of magnitude of their output limit. */
function keyOf(call: CallKind): number {
  const size = call.stream ? 0 : call.outputBound === null ? SIZE_UNKNOWN : sizeOf(call.outputBound);
  return size * FLAGS + (call.stream ? 2 : 0) + (call.usesReasoning ? 1 : 0);
}

function sizeOf(outputBound: number): number {
  return Math.min(SIZE_MAX, Math.ceil(Math.log2(Math.max(1, outputBound)) / 2));
}

/** True for what `save` and `takeNew` return. */
export function isKindSilences(value: object): value is KindSilences {
  const { kind } = value as Record<string, unknown>;
  if (!Number.isInteger(kind) || !isLatencyCounts(value)) return false;
  return (kind as number) >= SIZE_UNKNOWN * FLAGS && (kind as number) < (SIZE_MAX + 1) * FLAGS;
}
