/**
 * The connection of jobs and files: one of its own, opened when it is first used. A call that fails or takes too long costs the connection;
 * for a second after that calls fail at once, then a new one is tried.
 */
import type { Clock } from '../../../core/clock.ts';
import { StoreFailure, toStoreFailure, within } from '../../backend.ts';
import type { RedisAddress } from '../address.ts';
import { connectRedis, type RedisArgument, type RedisClient } from '../redis-client.ts';
import { scriptOf } from './job-script.ts';

const CONNECT_TIMEOUT_MS = 2_000;
const CALL_TIMEOUT_MS = 5_000;
/** A permit is held meanwhile. */
const MARK_TIMEOUT_MS = 2_000;
const CLOSE_TIMEOUT_MS = 1_000;
const RETRY_MS = 1_000;

export class JobLink {
  readonly #address: RedisAddress;
  readonly #clock: Clock;
  readonly #prefix: string;
  #connecting: Promise<RedisClient> | null = null;
  #client: RedisClient | null = null;
  #abandon = new AbortController();
  #failure: StoreFailure | null = null;
  #retryAt = -Infinity;
  #isClosed = false;
  /** Half of the server's memory limit, in bytes: the rest is for the state of the fleet. Infinity: it has none, or does not tell. */
  memoryMax = Infinity;

  constructor(address: RedisAddress, clock: Clock) {
    this.#address = address;
    this.#clock = clock;
    this.#prefix = `{${address.namespace}:jobs}`;
  }

  /** Replies with Buffers, numbers, null and arrays of these. Rejects with a `StoreFailure`. */
  async run(method: string, ...args: readonly RedisArgument[]): Promise<unknown> {
    const timeoutMs = method === 'markSent' ? MARK_TIMEOUT_MS : CALL_TIMEOUT_MS;
    return this.#use(timeoutMs, (client) => client.runBuffer(scriptOf(method), [this.#prefix], [method, ...args]));
  }

  /** The fields of a record, by name and value in turn. */
  async record(kind: 'job' | 'file', id: string): Promise<unknown> {
    return this.#use(CALL_TIMEOUT_MS, (client) => client.callBuffer('HGETALL', `${this.#prefix}:${kind}:${id}`));
  }

  /** The limit in bytes that holds for files and jobs. */
  async bytesMax(wanted: number): Promise<number> {
    await this.#connect();
    return Math.min(wanted, this.memoryMax);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const client = this.#client;
    this.#client = null;
    if (client !== null) await within(this.#clock, CLOSE_TIMEOUT_MS, 'closing', client.quit()).catch(() => {});
    this.#abandon.abort();
  }

  async #use(timeoutMs: number, call: (client: RedisClient) => Promise<unknown>): Promise<unknown> {
    const client = await this.#connect();
    try {
      return await within(this.#clock, timeoutMs, 'a call of the job store', call(client));
    } catch (error) {
      const failure = toStoreFailure(error);
      // At its memory limit the server still answers.
      if (failure.fault !== 'full') this.#drop(failure);
      throw failure;
    }
  }

  async #connect(): Promise<RedisClient> {
    if (this.#isClosed) throw new StoreFailure('unavailable', 'the store is closed');
    if (this.#client !== null) return this.#client;
    if (this.#failure !== null && this.#clock.now() < this.#retryAt) throw this.#failure;
    this.#connecting ??= this.#open().finally(() => (this.#connecting = null));
    return this.#connecting;
  }

  async #open(): Promise<RedisClient> {
    const abandon = (this.#abandon = new AbortController());
    const onLost = (failure: StoreFailure): void => void this.#drop(failure);
    try {
      const options = { address: this.#address, connectTimeoutMs: CONNECT_TIMEOUT_MS, onLost, signal: abandon.signal };
      const client = await within(this.#clock, CONNECT_TIMEOUT_MS, 'connecting', connectRedis(options));
      this.memoryMax = await within(this.#clock, CONNECT_TIMEOUT_MS, 'connecting', readMemoryMax(client));
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

/** A user may not be allowed to ask. */
async function readMemoryMax(client: RedisClient): Promise<number> {
  const text = await client.call('INFO', 'memory').then(String, () => '');
  const bytes = Number(/^maxmemory:(\d+)/m.exec(text)?.[1] ?? 0);
  return bytes > 0 ? bytes / 2 : Infinity;
}
