/**
 * All responses that may be used more than once: those in flight, by cache key and by idempotency key, and the cached ones, within limits.
 * Cached responses that are in the store survive a restart.
 */
import type { Clock } from '../../core/clock.ts';
import { freshnessOf, type CachePolicy } from '../../policy/cache/freshness.ts';
import { ByteLog } from '../../policy/cache/byte-log.ts';
import { RecentEntries } from '../../policy/cache/recent-entries.ts';
import type { CachedResponses } from '../../store/cached-responses.ts';
import { decodeCached, encodeCachedHead } from './cached-bytes.ts';
import type { SharedResponse, SharedResponseOwner } from './shared-response.ts';
import { sizeOf, type WholeResponse } from './whole-response.ts';

/** Responses cached in memory, of each kind. */
export const CACHED_RESPONSES_MAX = 50_000;
/** How long a response is replayed under its idempotency key, in milliseconds. */
export const KEY_TTL_MS = 86_400_000;

/** The response under an idempotency key, and the fingerprint of its request. */
export interface KeyedResponse {
  readonly fingerprint: string;
  readonly whole: WholeResponse;
}

/**
 * A named response in flight. The reference is cleared when the response is over: V8's maps under constant insertion and deletion keep their
 * values alive for long (see `RunningList`), and so retain these entries only.
 */
export interface InFlightEntry {
  readonly fingerprint: string;
  response: SharedResponse | null;
}

/** The memory budget of running requests (`server.maxBufferedBytes`). */
export interface ByteBudget {
  tryHoldBytes(bytes: number): boolean;
  releaseBytes(bytes: number): void;
}

export interface ResponseCacheOptions {
  readonly clock: Clock;
  readonly room: ByteBudget;
  /** Null: the cache is lost with the process. */
  readonly store: CachedResponses | null;
  /** For each kind of response, in bytes. */
  readonly bytesMax: number;
}

export class ResponseCache implements SharedResponseOwner {
  readonly #clock: Clock;
  readonly #room: ByteBudget;
  readonly #store: CachedResponses | null;
  readonly #cached: RecentEntries<WholeResponse>;
  readonly #keyed: ByteLog;
  /** By idempotency key. */
  readonly #keyedWork = new Map<string, InFlightEntry>();
  /** By cache key and form. */
  readonly #inFlight = new Map<string, InFlightEntry>();

  constructor({ clock, room, store, bytesMax }: ResponseCacheOptions) {
    this.#clock = clock;
    this.#room = room;
    this.#store = store;
    this.#cached = new RecentEntries(CACHED_RESPONSES_MAX, bytesMax);
    this.#keyed = new ByteLog(CACHED_RESPONSES_MAX, bytesMax);
  }

  resize(bytesMax: number): void {
    this.#cached.resize(bytesMax);
    this.#keyed.resize(bytesMax);
  }

  /** The entry of an idempotency key: its response in flight, its cached response, or null. */
  findKeyed(name: string): InFlightEntry | KeyedResponse | null {
    const work = this.#keyedWork.get(name);
    if (work !== undefined) return work;
    const bytes = this.#keyed.get(name);
    return bytes === null ? null : this.#toKeyed(bytes);
  }

  findCached(cacheKey: string): WholeResponse | null {
    return this.#cached.get(cacheKey) ?? null;
  }

  /** Whether the response is fresh, stale or expired. */
  freshness(whole: WholeResponse, policy: CachePolicy) {
    return freshnessOf(this.#ageOf(whole), policy);
  }

  /** A response in flight that a request for one of these forms can join. */
  findInFlight(cacheKey: string, forms: readonly string[]): SharedResponse | null {
    for (const form of forms) {
      const response = this.#inFlight.get(`${cacheKey} ${form}`)?.response ?? null;
      if (response?.canJoin === true) return response;
    }
    return null;
  }

  /** Makes a response in flight joinable under its cache key. */
  open(response: SharedResponse, form: string): void {
    const name = `${response.purpose.cacheKey} ${form}`;
    response.inFlightName = name;
    this.#inFlight.set(name, { fingerprint: '', response });
  }

  key(name: string, fingerprint: string, response: SharedResponse): void {
    response.isKeyed = true;
    response.names = response.names.length === 0 ? [name] : [...response.names, name];
    this.#keyedWork.set(name, { fingerprint, response });
  }

  /** Caches a complete response under an idempotency key. */
  cacheKeyed(name: string, fingerprint: string, whole: WholeResponse): void {
    const head = encodeCachedHead(whole, fingerprint);
    this.#keyed.set(name, head, whole.body);
    this.#store?.put(`i:${name}`, head, whole.body, whole.madeAtMs + KEY_TTL_MS);
  }

  mayBeStored(name: string): boolean {
    return this.#store !== null && this.#store.mayHold(name);
  }

  /** The stored response of an idempotency key; never rejects. */
  async findStoredKeyed(name: string): Promise<KeyedResponse | null> {
    const bytes = await this.#store!.get(`i:${name}`);
    return bytes === null ? null : this.#toKeyed(bytes);
  }

  async findStoredCached(cacheKey: string): Promise<WholeResponse | null> {
    const bytes = await this.#store!.get(`c:${cacheKey}`);
    const renewed = this.#cached.get(cacheKey);
    if (renewed !== undefined) return renewed;
    const whole = bytes === null ? null : (decodeCached(bytes)?.whole ?? null);
    if (whole !== null) this.#cached.set(cacheKey, whole, sizeOf(whole));
    return whole;
  }

  /** Replaces a response that was just begun by a stored one. */
  settle(response: SharedResponse, whole: WholeResponse): void {
    this.#keepUnderKeys(response, whole);
    this.onDiscarded(response);
  }

  /** The idempotency key belongs to another request of an earlier process. */
  settleConflict(response: SharedResponse, name: string, { fingerprint, whole }: KeyedResponse): void {
    this.onDiscarded(response);
    this.#keyed.set(name, encodeCachedHead(whole, fingerprint), whole.body);
  }

  tryHold(bytes: number): boolean {
    return this.#room.tryHoldBytes(bytes);
  }

  release(bytes: number): void {
    this.#room.releaseBytes(bytes);
  }

  onComplete(response: SharedResponse, made: WholeResponse, isGood: boolean): void {
    const { cacheKey, policy, dialect } = response.purpose;
    this.#keepUnderKeys(response, made);
    if (cacheKey !== null && isGood && made.refusal === null && made.status === 200 && !dialect.response.isUnfinished(made.body)) {
      this.#keepCached(cacheKey, { ...made, body: owned(made.body) }, policy);
    }
    this.onDiscarded(response);
  }

  onDiscarded(response: SharedResponse): void {
    for (const name of response.names) forget(this.#keyedWork, name, response);
    if (response.inFlightName !== null) forget(this.#inFlight, response.inFlightName, response);
    response.names = NO_NAMES;
    response.inFlightName = null;
  }

  #keepUnderKeys(response: SharedResponse, whole: WholeResponse): void {
    for (const name of response.names) {
      const work = this.#keyedWork.get(name);
      if (work?.response === response) this.cacheKeyed(name, work.fingerprint, whole);
    }
  }

  #keepCached(cacheKey: string, whole: WholeResponse, { ttl, staleIfError }: CachePolicy): void {
    this.#cached.set(cacheKey, whole, sizeOf(whole));
    this.#store?.put(`c:${cacheKey}`, encodeCachedHead(whole, null), whole.body, whole.madeAtMs + ttl + staleIfError);
  }

  #toKeyed(bytes: Uint8Array): KeyedResponse | null {
    const kept = decodeCached(bytes);
    if (kept === null || kept.fingerprint === null || this.#ageOf(kept.whole) >= KEY_TTL_MS) return null;
    return { fingerprint: kept.fingerprint, whole: kept.whole };
  }

  #ageOf(whole: WholeResponse): number {
    return this.#clock.epochMs() - whole.madeAtMs;
  }
}

const NO_NAMES: readonly string[] = [];

function forget(work: Map<string, InFlightEntry>, name: string, response: SharedResponse): void {
  const ticket = work.get(name);
  if (ticket?.response !== response) return;
  ticket.response = null;
  work.delete(name);
}

/** The bytes in a buffer of their own, so that they do not retain a larger one. */
function owned(bytes: Uint8Array): Uint8Array {
  return bytes.buffer.byteLength > bytes.byteLength * 2 ? new Uint8Array(bytes) : bytes;
}
