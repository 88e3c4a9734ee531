/** Cached responses of a driver with a connection: written in groups, read on demand. A slow write is dropped rather than awaited. */
import type { Clock, Instant, Timer } from '../core/clock.ts';
import type { CachedResponses } from './cached-responses.ts';
import {
  toStoreFailure,
  withTimeout,
  type CachedResponseConnection,
  type CachedResponseRow,
  type Connection,
  type StoreFailure,
} from './backend.ts';

export interface CachedResponseLimits {
  /** Unwritten responses, in bytes; beyond it the oldest are dropped. Default 16 MiB. */
  readonly waitingBytesMax: number;
  /** Number of stored responses; beyond it the oldest are deleted. Default 100,000. */
  readonly rowsMax: number;
  /** Size of all stored responses, in bytes; beyond it the oldest are deleted. Default 256 MiB. */
  readonly bytesMax: number;
  /** Size of one response, in bytes; a larger one is not stored. Default 16 MiB. */
  readonly responseBytesMax: number;
}

export const CACHED_RESPONSE_LIMITS: CachedResponseLimits = {
  waitingBytesMax: 16 * 1024 * 1024,
  rowsMax: 100_000,
  bytesMax: 256 * 1024 * 1024,
  responseBytesMax: 16 * 1024 * 1024,
};

/** Responses are written in larger groups than state: losing the last ones costs only a call. */
const GROUP_MS = 200;
/** Maximum size of one group, so that posting it does not block the event loop. */
const GROUP_BYTES_MAX = 4 * 1024 * 1024;

/** The share of keys kept at the limit. Removing several at once is cheaper: finding a set's first key takes time proportional to the keys removed before it. */
const RETAINED_SHARE = 0.98;

/** Read timeout of a shared store, in milliseconds; a slow server is then skipped for `SHARED_PAUSE_MS`. */
const SHARED_READ_MS = 100;
const SHARED_PAUSE_MS = 1_000;

export interface CachedResponseQueueOptions {
  readonly clock: Clock;
  readonly readTimeoutMs: number;
  readonly writeTimeoutMs: number;
  readonly limits: CachedResponseLimits;
  /** Other processes add responses too, so the local key list is incomplete. */
  readonly isShared?: boolean;
  /** A call on the connection failed. */
  readonly onFailure: (connection: Connection, failure: StoreFailure) => void;
}

export class CachedResponseQueue implements CachedResponses {
  readonly #options: CachedResponseQueueOptions;
  /** The keys that are probably in the store, the oldest first. */
  readonly #stored = new Set<string>();
  readonly #waiting = new Map<string, CachedResponseRow>();
  #waitingBytes = 0;
  #connection: Connection | null = null;
  #timer: Timer | null = null;
  #sending: Promise<void> | null = null;
  /** A slow shared store is not read before this instant. */
  #sharedPausedUntil: Instant = -Infinity;
  /** Number of responses dropped before they were written. */
  dropped = 0;

  constructor(options: CachedResponseQueueOptions) {
    this.#options = options;
  }

  /** Resolves when the keys of earlier processes are loaded. */
  async attach(connection: Connection): Promise<void> {
    if (connection.responses === undefined) return;
    this.#connection = connection;
    const keys = await this.#call(connection, 'reading', this.#options.readTimeoutMs, (responses) =>
      responses.keys(this.#options.clock.epochMs()),
    );
    for (const key of keys ?? []) this.#note(key);
    if (this.#waiting.size > 0) this.#schedule();
  }

  detach(): void {
    this.#connection = null;
    this.#sending = null;
    this.#timer?.cancel();
    this.#timer = null;
  }

  mayHold(key: string): boolean {
    return this.#stored.has(key) || this.#waiting.has(key) || this.#mayHoldOthers;
  }

  get #mayHoldOthers(): boolean {
    const { isShared = false, clock } = this.#options;
    return isShared && this.#connection !== null && clock.now() >= this.#sharedPausedUntil;
  }

  async get(key: string): Promise<Uint8Array | null> {
    const { clock, readTimeoutMs } = this.#options;
    const nowMs = clock.epochMs();
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) return waiting.expiresAtMs > nowMs ? waiting.bytes : null;
    const connection = this.#connection;
    if (connection === null) return null;
    if (this.#options.isShared === true) return this.#getShared(connection, key, nowMs);
    if (!this.#stored.has(key)) return null;
    const found = await this.#call(connection, 'reading', readTimeoutMs, (responses) => responses.get(key, nowMs));
    if (found === null) this.#stored.delete(key);
    return found ?? null;
  }

  async #getShared({ responses }: Connection, key: string, nowMs: number): Promise<Uint8Array | null> {
    if (!this.#mayHoldOthers) return null;
    const { clock } = this.#options;
    try {
      return await withTimeout(clock, SHARED_READ_MS, 'reading', responses!.get(key, nowMs));
    } catch {
      this.#sharedPausedUntil = clock.now() + SHARED_PAUSE_MS;
      return null;
    }
  }

  put(key: string, head: Uint8Array, body: Uint8Array, expiresAtMs: number): void {
    const length = head.byteLength + body.byteLength;
    const { responseBytesMax, waitingBytesMax } = this.#options.limits;
    if (length > responseBytesMax) return;
    this.#forget(key);
    const bytes = new Uint8Array(length);
    bytes.set(head);
    bytes.set(body, head.byteLength);
    this.#waiting.set(key, { key, bytes, expiresAtMs });
    this.#waitingBytes += length;
    for (const oldest of this.#waiting.keys()) {
      if (this.#waitingBytes <= waitingBytesMax) break;
      this.#forget(oldest);
      this.dropped++;
    }
    this.#schedule();
  }

  /** Writes all pending responses. */
  async flush(): Promise<void> {
    await this.#sending;
    while (this.#connection !== null && this.#waiting.size > 0) await this.#send();
  }

  #schedule(): void {
    if (this.#connection === null || this.#timer !== null || this.#sending !== null) return;
    this.#timer = this.#options.clock.schedule(GROUP_MS, () => {
      this.#timer = null;
      this.#sending = this.#send();
    });
  }

  async #send(): Promise<void> {
    const connection = this.#connection;
    const rows = this.#take();
    if (connection === null || rows.length === 0) return;
    const { clock, writeTimeoutMs, limits } = this.#options;
    const written = await this.#call(connection, 'saving', writeTimeoutMs, (responses) => responses.put(rows, limits, clock.epochMs()));
    if (connection !== this.#connection) return;
    this.#sending = null;
    if (written !== undefined) for (const { key } of rows) this.#note(key);
    if (this.#waiting.size > 0) this.#schedule();
  }

  #take(): CachedResponseRow[] {
    const rows: CachedResponseRow[] = [];
    let bytes = 0;
    for (const row of this.#waiting.values()) {
      if (bytes > 0 && bytes + row.bytes.byteLength > GROUP_BYTES_MAX) break;
      bytes += row.bytes.byteLength;
      rows.push(row);
    }
    for (const { key } of rows) this.#forget(key);
    return rows;
  }

  /** Undefined if the call failed. */
  async #call<T>(
    connection: Connection,
    what: string,
    timeoutMs: number,
    call: (responses: CachedResponseConnection) => Promise<T>,
  ): Promise<T | undefined> {
    try {
      return await withTimeout(this.#options.clock, timeoutMs, what, call(connection.responses!));
    } catch (error) {
      this.#options.onFailure(connection, toStoreFailure(error));
      return undefined;
    }
  }

  #note(key: string): void {
    this.#stored.delete(key);
    this.#stored.add(key);
    const { rowsMax } = this.#options.limits;
    if (this.#stored.size <= rowsMax) return;
    for (const oldest of this.#stored) {
      if (this.#stored.size <= rowsMax * RETAINED_SHARE) return;
      this.#stored.delete(oldest);
    }
  }

  #forget(key: string): void {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) return;
    this.#waiting.delete(key);
    this.#waitingBytes -= waiting.bytes.byteLength;
  }
}
