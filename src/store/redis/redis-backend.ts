/** Small state and cached responses over one connection to Redis or Valkey. */
import {
  StoreFailure,
  type CachedResponseConnection,
  type Backend,
  type Batch,
  type Connection,
  type KeyedChange,
  type ReadResult,
  type Replacement,
  type Selection,
  isSelected,
} from '../backend.ts';
import { isExpired, type Row } from '../change.ts';
import type { RedisAddress } from './address.ts';
import { PUT_RESPONSES_SCRIPT } from './response-scripts.ts';
import { connectRedis, type RedisArgument, type RedisClient } from './redis-client.ts';
import { APPLY_SCRIPT, OPEN_SCRIPT, READ_SCRIPT, REPLACE_SCRIPT } from './state-scripts.ts';

/** Entries read by one command. */
const PAGE_SIZE = 500;

export interface RedisBackendOptions {
  readonly address: RedisAddress;
  readonly connectTimeoutMs: number;
  /** Of one collection of small state, in bytes; beyond it entries that expire first are deleted. Default 256 MiB. */
  readonly collectionBytesMax?: number;
}

const COLLECTION_BYTES_MAX = 256 * 1024 * 1024;

export function createRedisBackend(options: RedisBackendOptions): Backend {
  const keys = new StateKeys(options.address.namespace);
  /** This process's writer name; the same for all its connections. */
  const writer: Writer = { name: null };
  return { connect: (onLost) => new RedisConnection(options, keys, writer, onLost) };
}

interface Writer {
  name: string | null;
}

/** Key names. Keys that one script touches share a hash tag. */
class StateKeys {
  readonly #state: string;
  readonly #answers: string;

  constructor(namespace: string) {
    this.#state = `{${namespace}}`;
    this.#answers = `{${namespace}:answers}`;
  }

  get writers(): string {
    return `${this.#state}:writers`;
  }

  writer(name: string): string {
    return `${this.#state}:writer:${name}`;
  }

  entry(collection: string, key: string): string {
    return `${this.#state}:entry:${collection}:${key}`;
  }

  index(collection: string): string {
    return `${this.#state}:index:${collection}`;
  }

  answer(key: string): string {
    return `${this.#answers}:${key}`;
  }

  get answerIndexes(): string[] {
    // Response keys are digests, so these names can't collide with them.
    return ['order', 'sizes', 'totals'].map((name) => `${this.#answers}.${name}`);
  }
}

class RedisConnection implements Connection {
  readonly ready: Promise<void>;
  readonly responses: CachedResponseConnection = {
    put: (rows, bounds, nowMs) => this.#putResponses(rows, bounds, nowMs),
    get: (key, nowMs) => this.#getResponse(key, nowMs),
    keys: async () => [],
  };
  readonly #keys: StateKeys;
  readonly #writer: Writer;
  readonly #collectionBytesMax: number;
  #client: RedisClient | null = null;
  readonly #abandon = new AbortController();

  constructor(options: RedisBackendOptions, keys: StateKeys, writer: Writer, onLost: (failure: StoreFailure) => void) {
    this.#keys = keys;
    this.#writer = writer;
    this.#collectionBytesMax = options.collectionBytesMax ?? COLLECTION_BYTES_MAX;
    this.ready = this.#open(options, onLost);
  }

  async #open(options: RedisBackendOptions, onLost: (failure: StoreFailure) => void): Promise<void> {
    this.#client = await connectRedis({ ...options, onLost, signal: this.#abandon.signal });
    // Also verifies that the server accepts writes: a replica or a full server does not.
    const name = String(await this.#client.run(OPEN_SCRIPT, [this.#keys.writers], []));
    this.#writer.name ??= name;
  }

  get #connected(): RedisClient {
    if (this.#client === null) throw new StoreFailure('unavailable', 'the connection is not open');
    return this.#client;
  }

  async apply({ sequence, changes }: Batch, nowMs: number): Promise<void> {
    const keys = [this.#writerKey()];
    const args: RedisArgument[] = [sequence, nowMs, this.#collectionBytesMax];
    for (const keyed of changes) this.#addChange(keyed, keys, args);
    await this.#connected.run(APPLY_SCRIPT, keys, args);
  }

  #addChange({ collection, key, change }: KeyedChange, keys: string[], args: RedisArgument[]): void {
    keys.push(this.#keys.entry(collection, key), this.#keys.index(collection));
    switch (change.kind) {
      case 'delete':
        return void args.push('d', key, '', 0);
      case 'put':
        return void args.push('p', key, change.expiresAtMs ?? '', 1, change.text);
    }
  }

  async *read(collection: string, selection: Selection, nowMs: number): AsyncGenerator<ReadResult> {
    if (typeof selection === 'string') return yield await this.#readRows(collection, [selection], nowMs);
    const from = selection === undefined || selection.fromMs <= nowMs ? `(${nowMs}` : selection.fromMs;
    const to = selection === undefined || selection.toMs === Infinity ? '+inf' : selection.toMs;
    const names = await this.#connected.call('ZRANGEBYSCORE', this.#keys.index(collection), from, to);
    const keys = (names as readonly unknown[]).map(String);
    for (let at = 0; at === 0 || at < keys.length; at += PAGE_SIZE) {
      const { rows, applied } = await this.#readRows(collection, keys.slice(at, at + PAGE_SIZE), nowMs);
      // An entry may have been written again since.
      yield { rows: new Map([...rows].filter(([key, row]) => isSelected(selection, key, row))), applied };
    }
  }

  async replace({ collection, key, row: { text, expiresAtMs }, replaced }: Replacement, nowMs: number): Promise<boolean> {
    const entries = [key, ...replaced.map((other) => other.key)].map((name) => this.#keys.entry(collection, name));
    const others = replaced.flatMap((other) => [other.key, other.text]);
    const expires = expiresAtMs === null ? '' : String(expiresAtMs);
    const keys = [this.#keys.index(collection), ...entries];
    return (await this.#connected.run(REPLACE_SCRIPT, keys, [nowMs, key, expires, text, ...others])) === 1;
  }

  async #readRows(collection: string, keys: readonly string[], nowMs: number): Promise<ReadResult> {
    const entries = keys.map((key) => this.#keys.entry(collection, key));
    const [applied, ...found] = (await this.#connected.run(READ_SCRIPT, [this.#writerKey(), ...entries], [])) as [unknown, ...unknown[]];
    const rows = new Map<string, Row>();
    keys.forEach((key, i) => {
      const row = toRow(found[i] as readonly string[], nowMs);
      if (row !== null) rows.set(key, row);
    });
    return { rows, applied: Number(applied) };
  }

  async check(): Promise<void> {
    await this.#connected.call('EXISTS', this.#keys.writers);
  }

  async close(): Promise<void> {
    await this.#client?.quit();
  }

  abandon(): void {
    this.#abandon.abort();
  }

  #writerKey(): string {
    return this.#keys.writer(this.#writer.name ?? '');
  }

  async #putResponses(...[rows, { rowsMax, bytesMax }, nowMs]: Parameters<CachedResponseConnection['put']>): Promise<void> {
    const args: RedisArgument[] = [rowsMax, bytesMax, nowMs, this.#keys.answer('')];
    for (const { key, bytes, expiresAtMs } of rows)
      args.push(key, Math.ceil(expiresAtMs), Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    await this.#connected.run(PUT_RESPONSES_SCRIPT, [...this.#keys.answerIndexes, ...rows.map(({ key }) => this.#keys.answer(key))], args);
  }

  async #getResponse(key: string, nowMs: number): Promise<Uint8Array | null> {
    const [bytes, expires] = (await this.#connected.callBuffer('HMGET', this.#keys.answer(key), 'b', 'x')) as [
      Buffer | null,
      Buffer | null,
    ];
    return bytes === null || expires === null || Number(expires.toString()) <= nowMs ? null : bytes;
  }
}

/** `fields`: names and values of a hash, alternating. Null if there is no live entry. */
function toRow(fields: readonly string[], nowMs: number): Row | null {
  let text: string | null = null;
  let expires = '';
  for (let i = 0; i + 1 < fields.length; i += 2) {
    if (fields[i] === 'v') text = fields[i + 1]!;
    else if (fields[i] === 'x') expires = fields[i + 1]!;
  }
  const expiresAtMs = expires === '' ? null : Number(expires);
  return text === null || isExpired({ expiresAtMs }, nowMs) ? null : { text, expiresAtMs };
}
