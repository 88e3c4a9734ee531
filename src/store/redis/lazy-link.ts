/**
 * A connection that is opened when it is first used. A call that fails or takes too long costs the connection; for a second after that calls
 * fail at once, then a new one is tried.
 */
import type { Clock } from '../../core/clock.ts';
import { StoreFailure, toStoreFailure, withTimeout } from '../backend.ts';
import type { RedisAddress } from './address.ts';
import { connectRedis, type RedisClient } from './redis-client.ts';

const CONNECT_TIMEOUT_MS = 2_000;
const CLOSE_TIMEOUT_MS = 1_000;
const RETRY_MS = 1_000;

export class LazyLink {
  readonly #address: RedisAddress;
  readonly #clock: Clock;
  readonly #onOpen: (client: RedisClient) => Promise<void>;
  #connecting: Promise<RedisClient> | null = null;
  #client: RedisClient | null = null;
  #abandon = new AbortController();
  #failure: StoreFailure | null = null;
  #retryAt = -Infinity;
  #isClosed = false;

  /** `onOpen`: called with each new connection before it is used. */
  constructor(address: RedisAddress, clock: Clock, onOpen: (client: RedisClient) => Promise<void> = async () => {}) {
    this.#address = address;
    this.#clock = clock;
    this.#onOpen = onOpen;
  }

  /** Rejects with a `StoreFailure`. */
  async use(what: string, timeoutMs: number, call: (client: RedisClient) => Promise<unknown>): Promise<unknown> {
    const client = await this.connect();
    try {
      return await withTimeout(this.#clock, timeoutMs, what, call(client));
    } catch (error) {
      const failure = toStoreFailure(error);
      // At its memory limit the server still answers. A call on an earlier connection does not cost the present one.
      if (failure.fault !== 'full' && this.#client === client) this.#drop(failure);
      throw failure;
    }
  }

  async connect(): Promise<RedisClient> {
    if (this.#isClosed) throw new StoreFailure('unavailable', 'the store is closed');
    if (this.#client !== null) return this.#client;
    if (this.#failure !== null && this.#clock.now() < this.#retryAt) throw this.#failure;
    this.#connecting ??= this.#open().finally(() => (this.#connecting = null));
    return this.#connecting;
  }

  /** Never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const client = this.#client;
    this.#client = null;
    if (client !== null) await withTimeout(this.#clock, CLOSE_TIMEOUT_MS, 'closing', client.quit()).catch(() => {});
    this.#abandon.abort();
  }

  async #open(): Promise<RedisClient> {
    const abandon = (this.#abandon = new AbortController());
    const onLost = (failure: StoreFailure): void => {
      if (this.#abandon === abandon) this.#drop(failure);
    };
    const open = async (): Promise<RedisClient> => {
      const options = { address: this.#address, connectTimeoutMs: CONNECT_TIMEOUT_MS, onLost, signal: abandon.signal };
      const client = await connectRedis(options);
      await this.#onOpen(client);
      return client;
    };
    try {
      const client = await withTimeout(this.#clock, CONNECT_TIMEOUT_MS, 'connecting', open());
      if (this.#isClosed) throw new StoreFailure('unavailable', 'the store is closed');
      this.#client = client;
      return client;
    } catch (error) {
      throw this.#drop(toStoreFailure(error));
    }
  }

  #drop(failure: StoreFailure): StoreFailure {
    this.#client = null;
    this.#failure = failure;
    this.#retryAt = this.#clock.now() + RETRY_MS;
    this.#abandon.abort();
    return failure;
  }
}
