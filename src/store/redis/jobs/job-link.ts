/** The connection of jobs and files: one of its own, so that large pieces delay nothing else. */
import type { Clock } from '../../../core/clock.ts';
import { channelOf, type RedisAddress } from '../address.ts';
import { LazyLink } from '../lazy-link.ts';
import type { RedisArgument, RedisClient } from '../redis-client.ts';
import { scriptOf } from './job-script.ts';

const CALL_TIMEOUT_MS = 5_000;
/** A permit is held meanwhile. */
const MARK_TIMEOUT_MS = 2_000;
const WHAT = 'a call of the job store';

export class JobLink {
  readonly #link: LazyLink;
  readonly #prefix: string;
  readonly #channel: string;
  /** Half of the server's memory limit, in bytes: the rest is for the state of the fleet. Infinity: it has none, or does not say. */
  #memoryMax = Infinity;

  constructor(address: RedisAddress, clock: Clock) {
    this.#prefix = `{${address.namespace}:jobs}`;
    this.#channel = channelOf(address);
    this.#link = new LazyLink(address, clock, async (client) => {
      this.#memoryMax = await readMemoryMax(client);
    });
  }

  /** Replies with Buffers, numbers, null and arrays of these. Rejects with a `StoreFailure`. */
  run(method: string, ...args: readonly RedisArgument[]): Promise<unknown> {
    const timeoutMs = method === 'markSent' ? MARK_TIMEOUT_MS : CALL_TIMEOUT_MS;
    return this.#link.use(WHAT, timeoutMs, (client) =>
      client.runBuffer(scriptOf(method), [this.#prefix], [`${method} ${this.#channel}`, ...args]),
    );
  }

  /** The fields of a record, by name and value in turn. */
  record(kind: 'job' | 'file', id: string): Promise<unknown> {
    return this.#link.use(WHAT, CALL_TIMEOUT_MS, (client) => client.callBuffer('HGETALL', `${this.#prefix}:${kind}:${id}`));
  }

  /** The limit in bytes that holds for files and jobs. */
  async bytesMax(wanted: number): Promise<number> {
    await this.#link.connect();
    return Math.min(wanted, this.#memoryMax);
  }

  close(): Promise<void> {
    return this.#link.close();
  }
}

/** A user may not be allowed to ask. */
async function readMemoryMax(client: RedisClient): Promise<number> {
  const text = await client.call('INFO', 'memory').then(String, () => '');
  const bytes = Number(/^maxmemory:(\d+)/m.exec(text)?.[1] ?? 0);
  return bytes > 0 ? bytes / 2 : Infinity;
}
