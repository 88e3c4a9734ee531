/**
 * Every answer that may be given more than once: those under way, by what they answer and by their idempotency key, and those that were
 * kept, within their bounds. What the store keeps is looked for where it may be, and comes back after a restart.
 */
import type { Clock } from '../../core/clock.ts';
import { freshnessOf, type CachePolicy } from '../../policy/cache/freshness.ts';
import { ByteLog } from '../../policy/cache/byte-log.ts';
import { RecentEntries } from '../../policy/cache/recent-entries.ts';
import type { CachedResponses } from '../../store/cached-responses.ts';
import { decodeKept, encodeKeptHead } from './cached-bytes.ts';
import type { AnswerKeeper, SharedAnswer } from './shared-response.ts';
import { sizeOf, type WholeAnswer } from './whole-response.ts';

/** Answers kept in memory at once, of each kind. */
export const KEPT_ANSWERS_MAX = 50_000;
/** How long an answer is replayed under its idempotency key, in milliseconds. */
export const KEY_LASTS_MS = 86_400_000;

/** The answer under an idempotency key, and the request that it belongs to. */
export interface KeyedAnswer {
  readonly fingerprint: string;
  readonly whole: WholeAnswer;
}

/**
 * An answer under way, as it is found by a name. It lets go of the answer when that is over: V8's maps under constant coming and going keep
 * what was ever in them alive for long (see `RunningList`), and so keep these only.
 */
export interface WorkTicket {
  readonly fingerprint: string;
  answer: SharedAnswer | null;
}

/** Room for what is held in memory on behalf of requests (`server.maxBufferedBytes`). */
export interface ByteBudget {
  tryHoldBytes(bytes: number): boolean;
  releaseBytes(bytes: number): void;
}

export interface AnswerBookOptions {
  readonly clock: Clock;
  readonly room: ByteBudget;
  /** Null: what is kept ends with the process. */
  readonly store: CachedResponses | null;
  /** For each kind of answers, in bytes. */
  readonly bytesMax: number;
}

export class AnswerBook implements AnswerKeeper {
  readonly #clock: Clock;
  readonly #room: ByteBudget;
  readonly #store: CachedResponses | null;
  readonly #cached: RecentEntries<WholeAnswer>;
  readonly #keyed: ByteLog;
  /** By idempotency key. */
  readonly #keyedWork = new Map<string, WorkTicket>();
  /** By what they answer. */
  readonly #flying = new Map<string, WorkTicket>();

  constructor({ clock, room, store, bytesMax }: AnswerBookOptions) {
    this.#clock = clock;
    this.#room = room;
    this.#store = store;
    this.#cached = new RecentEntries(KEPT_ANSWERS_MAX, bytesMax);
    this.#keyed = new ByteLog(KEPT_ANSWERS_MAX, bytesMax);
  }

  /** Bytes of the answers kept in memory. */
  get keptBytes(): number {
    return this.#cached.bytes + this.#keyed.bytes;
  }

  get keptCount(): number {
    return this.#cached.size + this.#keyed.size;
  }

  resize(bytesMax: number): void {
    this.#cached.resize(bytesMax);
    this.#keyed.resize(bytesMax);
  }

  /** What is known of an idempotency key: its work, its answer, or null. */
  findKeyed(name: string): WorkTicket | KeyedAnswer | null {
    const work = this.#keyedWork.get(name);
    if (work !== undefined) return work;
    const bytes = this.#keyed.get(name);
    return bytes === null ? null : this.#toKeyed(bytes);
  }

  findCached(cacheKey: string): WholeAnswer | null {
    return this.#cached.get(cacheKey) ?? null;
  }

  /** What the answer is good for by now. */
  freshness(whole: WholeAnswer, policy: CachePolicy) {
    return freshnessOf(this.#ageOf(whole), policy);
  }

  /** One under way that a request in this form can join. */
  findFlying(cacheKey: string, forms: readonly string[]): SharedAnswer | null {
    for (const form of forms) {
      const answer = this.#flying.get(`${cacheKey} ${form}`)?.answer ?? null;
      if (answer?.canJoin === true) return answer;
    }
    return null;
  }

  /** From here on it can be found: under its key, and by what it answers. */
  open(answer: SharedAnswer, form: string): void {
    const name = `${answer.purpose.cacheKey} ${form}`;
    answer.flyingAs = name;
    this.#flying.set(name, { fingerprint: '', answer });
  }

  key(name: string, fingerprint: string, answer: SharedAnswer): void {
    answer.isKeyed = true;
    answer.names = answer.names.length === 0 ? [name] : [...answer.names, name];
    this.#keyedWork.set(name, { fingerprint, answer });
  }

  /** Keeps a finished answer under one more key. */
  keepKeyed(name: string, fingerprint: string, whole: WholeAnswer): void {
    const head = encodeKeptHead(whole, fingerprint);
    this.#keyed.set(name, head, whole.body);
    this.#store?.put(`i:${name}`, head, whole.body, whole.madeAtMs + KEY_LASTS_MS);
  }

  mayBeStored(name: string): boolean {
    return this.#store !== null && this.#store.mayHold(name);
  }

  /** What the store has under a key of its own; never rejects. */
  async findStoredKeyed(name: string): Promise<KeyedAnswer | null> {
    const bytes = await this.#store!.get(`i:${name}`);
    return bytes === null ? null : this.#toKeyed(bytes);
  }

  async findStoredCached(cacheKey: string): Promise<WholeAnswer | null> {
    const bytes = await this.#store!.get(`c:${cacheKey}`);
    const renewed = this.#cached.get(cacheKey);
    if (renewed !== undefined) return renewed;
    const whole = bytes === null ? null : (decodeKept(bytes)?.whole ?? null);
    if (whole !== null) this.#cached.set(cacheKey, whole, sizeOf(whole));
    return whole;
  }

  /** A finished answer was found for one that was just begun. */
  settle(answer: SharedAnswer, whole: WholeAnswer): void {
    this.#keepUnderKeys(answer, whole);
    this.onLost(answer);
  }

  /** The key belongs to another request of an earlier process. */
  settleConflict(answer: SharedAnswer, name: string, { fingerprint, whole }: KeyedAnswer): void {
    this.onLost(answer);
    this.#keyed.set(name, encodeKeptHead(whole, fingerprint), whole.body);
  }

  tryHold(bytes: number): boolean {
    return this.#room.tryHoldBytes(bytes);
  }

  release(bytes: number): void {
    this.#room.releaseBytes(bytes);
  }

  onWhole(answer: SharedAnswer, made: WholeAnswer, isGood: boolean): void {
    const { cacheKey, policy, dialect } = answer.purpose;
    this.#keepUnderKeys(answer, made);
    if (cacheKey !== null && isGood && made.refusal === null && made.status === 200 && !dialect.response.isUnfinished(made.body)) {
      this.#keepCached(cacheKey, { ...made, body: owned(made.body) }, policy);
    }
    this.onLost(answer);
  }

  onLost(answer: SharedAnswer): void {
    for (const name of answer.names) forget(this.#keyedWork, name, answer);
    if (answer.flyingAs !== null) forget(this.#flying, answer.flyingAs, answer);
    answer.names = NO_NAMES;
    answer.flyingAs = null;
  }

  #keepUnderKeys(answer: SharedAnswer, whole: WholeAnswer): void {
    for (const name of answer.names) {
      const work = this.#keyedWork.get(name);
      if (work?.answer === answer) this.keepKeyed(name, work.fingerprint, whole);
    }
  }

  #keepCached(cacheKey: string, whole: WholeAnswer, { ttl, staleIfError }: CachePolicy): void {
    this.#cached.set(cacheKey, whole, sizeOf(whole));
    this.#store?.put(`c:${cacheKey}`, encodeKeptHead(whole, null), whole.body, whole.madeAtMs + ttl + staleIfError);
  }

  #toKeyed(bytes: Uint8Array): KeyedAnswer | null {
    const kept = decodeKept(bytes);
    if (kept === null || kept.fingerprint === null || this.#ageOf(kept.whole) >= KEY_LASTS_MS) return null;
    return { fingerprint: kept.fingerprint, whole: kept.whole };
  }

  #ageOf(whole: WholeAnswer): number {
    return this.#clock.epochMs() - whole.madeAtMs;
  }
}

const NO_NAMES: readonly string[] = [];

function forget(work: Map<string, WorkTicket>, name: string, answer: SharedAnswer): void {
  const ticket = work.get(name);
  if (ticket?.answer !== answer) return;
  ticket.answer = null;
  work.delete(name);
}

/** Bytes that keep nothing but themselves in memory. */
function owned(bytes: Uint8Array): Uint8Array {
  return bytes.buffer.byteLength > bytes.byteLength * 2 ? new Uint8Array(bytes) : bytes;
}
