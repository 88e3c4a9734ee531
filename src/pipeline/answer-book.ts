/**
 * Every answer that may be given more than once: those under way, by what they answer and by their idempotency key, and those that were
 * kept, within their bounds. What the store keeps is looked for where it may be, and comes back after a restart.
 */
import type { Clock } from '../core/clock.ts';
import { freshnessOf, type CachePolicy } from '../policy/cache/freshness.ts';
import { RecentEntries } from '../policy/cache/recent-entries.ts';
import type { AnswerStore } from '../store/answer-store.ts';
import { isUnfinished } from '../wire/openai-chat/answer-again.ts';
import { decodeKept, encodeKept } from './kept-bytes.ts';
import type { AnswerKeeper, SharedAnswer } from './shared-answer.ts';
import { sizeOf, type WholeAnswer } from './whole-answer.ts';

/** Answers kept in memory at once, of each kind. */
export const KEPT_ANSWERS_MAX = 50_000;
/** How long an answer is replayed under its idempotency key, in milliseconds. */
export const KEY_LASTS_MS = 86_400_000;

/** The answer under an idempotency key, and the request that it belongs to. */
export interface KeyedAnswer {
  readonly fingerprint: string;
  readonly whole: WholeAnswer;
}

/** A request under its key that is not answered yet. */
export interface KeyedWork {
  readonly fingerprint: string;
  readonly answer: SharedAnswer;
}

/** Room for what is held in memory on behalf of requests (`server.maxBufferedBytes`). */
export interface ByteRoom {
  tryHoldBytes(bytes: number): boolean;
  releaseBytes(bytes: number): void;
}

export interface AnswerBookOptions {
  readonly clock: Clock;
  readonly room: ByteRoom;
  /** Null: what is kept ends with the process. */
  readonly store: AnswerStore | null;
  /** For each kind of answers, in bytes. */
  readonly bytesMax: number;
}

/** What a shared answer is kept for, beside its readers. */
interface Purpose {
  readonly cacheKey: string | null;
  readonly policy: CachePolicy;
}

export class AnswerBook implements AnswerKeeper {
  readonly #clock: Clock;
  readonly #room: ByteRoom;
  readonly #store: AnswerStore | null;
  readonly #cached: RecentEntries<WholeAnswer>;
  readonly #keyed: RecentEntries<KeyedAnswer>;
  readonly #keyedWork = new Map<string, KeyedWork>();
  readonly #flying = new Map<string, SharedAnswer>();
  readonly #purposes = new Map<SharedAnswer, Purpose>();

  constructor({ clock, room, store, bytesMax }: AnswerBookOptions) {
    this.#clock = clock;
    this.#room = room;
    this.#store = store;
    this.#cached = new RecentEntries(KEPT_ANSWERS_MAX, bytesMax);
    this.#keyed = new RecentEntries(KEPT_ANSWERS_MAX, bytesMax);
  }

  /** Bytes of the answers kept in memory. */
  get keptBytes(): number {
    return this.#cached.bytes + this.#keyed.bytes;
  }

  get keptCount(): number {
    return this.#cached.size + this.#keyed.size;
  }

  /** Answers that are being made. */
  get underWay(): number {
    return this.#purposes.size;
  }

  resize(bytesMax: number): void {
    this.#cached.resize(bytesMax);
    this.#keyed.resize(bytesMax);
  }

  /** What is known of an idempotency key: its work, its answer, or null. */
  findKeyed(name: string): KeyedWork | KeyedAnswer | null {
    const work = this.#keyedWork.get(name);
    if (work !== undefined) return work;
    const kept = this.#keyed.get(name);
    if (kept === undefined) return null;
    if (this.#ageOf(kept.whole) < KEY_LASTS_MS) return kept;
    this.#keyed.delete(name);
    return null;
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
      const answer = this.#flying.get(`${cacheKey} ${form}`);
      if (answer?.canJoin === true) return answer;
    }
    return null;
  }

  /** From here on it can be found: under its key, and by what it answers. */
  open(answer: SharedAnswer, purpose: Purpose, flyingAs: string | null): void {
    this.#purposes.set(answer, purpose);
    if (flyingAs === null) return;
    const name = `${purpose.cacheKey} ${flyingAs}`;
    answer.flyingAs = name;
    this.#flying.set(name, answer);
  }

  key(name: string, fingerprint: string, answer: SharedAnswer): void {
    answer.isKeyed = true;
    answer.names.push(name);
    this.#keyedWork.set(name, { fingerprint, answer });
  }

  /** Keeps a finished answer under one more key. */
  keepKeyed(name: string, fingerprint: string, whole: WholeAnswer): void {
    this.#keyed.set(name, { fingerprint, whole }, sizeOf(whole) + name.length);
    this.#store?.put(`i:${name}`, encodeKept(whole, fingerprint), whole.madeAtMs + KEY_LASTS_MS);
  }

  mayBeStored(name: string): boolean {
    return this.#store !== null && this.#store.mayHold(name);
  }

  /** What the store has under a key of its own; never rejects. */
  async findStoredKeyed(name: string): Promise<KeyedAnswer | null> {
    const bytes = await this.#store!.get(`i:${name}`);
    const kept = bytes === null ? null : decodeKept(bytes);
    if (kept === null || kept.fingerprint === null || this.#ageOf(kept.whole) >= KEY_LASTS_MS) return null;
    return { fingerprint: kept.fingerprint, whole: kept.whole };
  }

  async findStoredCached(cacheKey: string): Promise<WholeAnswer | null> {
    const bytes = await this.#store!.get(`c:${cacheKey}`);
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
    this.#keyed.set(name, { fingerprint, whole }, sizeOf(whole) + name.length);
  }

  tryHold(bytes: number): boolean {
    return this.#room.tryHoldBytes(bytes);
  }

  release(bytes: number): void {
    this.#room.releaseBytes(bytes);
  }

  onWhole(answer: SharedAnswer, made: WholeAnswer, isGood: boolean): void {
    const purpose = this.#purposes.get(answer);
    const cacheKey = isGood && made.refusal === null && made.status === 200 && !isUnfinishedIn(purpose, made) ? purpose!.cacheKey : null;
    if (cacheKey !== null || answer.names.length > 0) {
      const whole = { ...made, body: owned(made.body) };
      this.#keepUnderKeys(answer, whole);
      if (cacheKey !== null) this.#keepCached(cacheKey, whole, purpose!.policy);
    }
    this.onLost(answer);
  }

  onLost(answer: SharedAnswer): void {
    this.#purposes.delete(answer);
    for (const name of answer.names) if (this.#keyedWork.get(name)?.answer === answer) this.#keyedWork.delete(name);
    answer.names.length = 0;
    const { flyingAs } = answer;
    if (flyingAs !== null && this.#flying.get(flyingAs) === answer) this.#flying.delete(flyingAs);
  }

  #keepUnderKeys(answer: SharedAnswer, whole: WholeAnswer): void {
    for (const name of answer.names) {
      const work = this.#keyedWork.get(name);
      if (work?.answer === answer) this.keepKeyed(name, work.fingerprint, whole);
    }
  }

  #keepCached(cacheKey: string, whole: WholeAnswer, { ttl, staleIfError }: CachePolicy): void {
    this.#cached.set(cacheKey, whole, sizeOf(whole));
    this.#store?.put(`c:${cacheKey}`, encodeKept(whole, null), whole.madeAtMs + ttl + staleIfError);
  }

  #ageOf(whole: WholeAnswer): number {
    return this.#clock.epochMs() - whole.madeAtMs;
  }
}

function isUnfinishedIn(purpose: Purpose | undefined, whole: WholeAnswer): boolean {
  return purpose === undefined || purpose.cacheKey === null || isUnfinished(whole.body);
}

/** Bytes that keep nothing but themselves in memory. */
function owned(bytes: Uint8Array): Uint8Array {
  return bytes.buffer.byteLength > bytes.byteLength * 2 ? new Uint8Array(bytes) : bytes;
}
