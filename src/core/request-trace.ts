/** The trace context of a request: W3C Trace Context, https://www.w3.org/TR/trace-context/. */
import type { Clock, Instant } from './clock.ts';
import type { Random } from './random.ts';

/** The identifiers of a request's span, in hex. */
export interface TraceIds {
  readonly traceId: string;
  readonly spanId: string;
  /** The caller's span; null: the trace begins here. */
  readonly parentId: string | null;
  /** False: the trace is continued, but no span is exported. */
  readonly isSampled: boolean;
  /** True if the parent is a span of another process. */
  readonly isRemote: boolean;
}

/** Parent version, trace id, parent id and flags; a later version may append fields. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const SAMPLED = 1;
/** Set by the creator of a random trace id (level 2 of the specification). */
const RANDOM = 2;

export class RequestTrace implements TraceIds {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | null;
  readonly isSampled: boolean;
  readonly isRemote: boolean;
  readonly #random: Random;
  readonly #flags: number;
  readonly #state: string | null;

  constructor(random: Random, parent: Parent | null, traceId: string, flags: number, state: string | null) {
    this.#random = random;
    this.traceId = traceId;
    this.spanId = randomId(random, 2);
    this.parentId = parent?.spanId ?? null;
    this.isSampled = (flags & SAMPLED) !== 0;
    this.isRemote = parent?.isRemote ?? false;
    this.#flags = flags & (SAMPLED | RANDOM);
    this.#state = state;
  }

  /** An id for the span of an attempt. */
  nextSpanId(): string {
    return randomId(this.#random, 2);
  }

  /** The context of a request that this one causes. */
  child(): RequestTrace {
    return new RequestTrace(this.#random, { spanId: this.spanId, isRemote: false }, this.traceId, this.#flags, this.#state);
  }

  /** Appends the headers that continue the trace below the span `spanId`. */
  pushHeaders(headers: string[], spanId: string): void {
    headers.push('traceparent', `00-${this.traceId}-${spanId}-0${this.#flags}`);
    if (this.#state !== null) headers.push('tracestate', this.#state);
  }
}

interface Parent {
  readonly spanId: string;
  readonly isRemote: boolean;
}

export interface TraceSourceOptions {
  readonly random: Random;
  readonly clock: Pick<Clock, 'now'>;
  /** The share of sampled requests whose caller sends no context, 0 to 1. */
  readonly sample: () => number;
  /** The most of these requests that are sampled in one second. */
  readonly maxPerSecond: () => number;
}

const SECOND_MS = 1_000;

export class TraceSource {
  readonly #options: TraceSourceOptions;
  #secondEnds: Instant = -Infinity;
  /** Traces begun in this second. */
  #begun = 0;

  constructor(options: TraceSourceOptions) {
    this.#options = options;
  }

  /** Continues the trace of the caller's headers; begins one if they are absent or invalid. */
  begin(traceparent: string | null, tracestate: string | null): RequestTrace {
    const { random } = this.#options;
    const [, version = 'ff', traceId = '', spanId = '', flags = '00', more] =
      traceparent === null ? [] : (TRACEPARENT.exec(traceparent.trim()) ?? []);
    const isValid = version !== 'ff' && !isZero(traceId) && !isZero(spanId) && (version !== '00' || more === undefined);
    if (isValid) return new RequestTrace(random, { spanId, isRemote: true }, traceId, Number.parseInt(flags, 16), tracestate);
    const own = this.#samples() ? SAMPLED | RANDOM : RANDOM;
    return new RequestTrace(random, null, randomId(random, 4), own, null);
  }

  #samples(): boolean {
    const { random, clock, sample, maxPerSecond } = this.#options;
    if (random.next() >= sample()) return false;
    const now = clock.now();
    if (now >= this.#secondEnds) {
      this.#secondEnds = now + SECOND_MS;
      this.#begun = 0;
    }
    return this.#begun++ < maxPerSecond();
  }
}

/** `00` to `ff`. */
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** An id of so many times eight hex digits, never all zeros, which is invalid. */
function randomId(random: Random, words: number): string {
  let id = '';
  let bits = 0;
  for (let i = 0; i < words; i++) {
    const word = Math.floor(random.next() * 0x1_0000_0000) >>> 0;
    bits |= word;
    id += HEX[word >>> 24]! + HEX[(word >>> 16) & 255]! + HEX[(word >>> 8) & 255]! + HEX[word & 255]!;
  }
  return bits === 0 ? `${id.slice(1)}1` : id;
}

function isZero(id: string): boolean {
  return /^0*$/.test(id);
}
