/**
 * One connection to Redis or Valkey over ioredis, which is loaded on first use. It never reconnects and never repeats a command: a lost
 * connection fails, and the store opens a new one, as with every driver.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Cluster, Redis } from 'ioredis';
import { messageOf } from '../../core/errors.ts';
import { StoreFailure } from '../backend.ts';
import type { StoreFault } from '../store-fault.ts';
import type { RedisAddress } from './address.ts';

/** A connection that is closed and whose server does not close it as well is destroyed after this, in milliseconds. */
const DISCONNECT_TIMEOUT_MS = 20;

export type RedisArgument = string | number | Buffer;

export interface RedisScript {
  readonly lua: string;
  readonly sha: string;
}

export function redisScript(lua: string): RedisScript {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
}

/** Every call rejects with a `StoreFailure`. */
export interface RedisClient {
  /** Replies as strings, numbers, null and arrays of these. */
  call(command: string, ...args: RedisArgument[]): Promise<unknown>;
  /** The same, with Buffers in place of strings. */
  callBuffer(command: string, ...args: RedisArgument[]): Promise<unknown>;
  /** Runs an atomic script, sent by its hash, or in full if the server does not have it. */
  run(script: RedisScript, keys: readonly string[], args: readonly RedisArgument[]): Promise<unknown>;
  /** The same, with Buffers in place of strings. */
  runBuffer(script: RedisScript, keys: readonly string[], args: readonly RedisArgument[]): Promise<unknown>;
  /** Receives what arrives on a channel once it is subscribed. */
  onMessage(channel: string, listener: (message: string) => void): void;
  /** The connection accepts no other command afterwards. */
  subscribe(channel: string): Promise<void>;
  /** Closes cleanly. */
  quit(): Promise<void>;
  /** Closes immediately. */
  destroy(): void;
}

export interface RedisClientOptions {
  readonly address: RedisAddress;
  readonly connectTimeoutMs: number;
  /** The connection was lost; called at most once. */
  readonly onLost: (failure: StoreFailure) => void;
  /** Closes the connection immediately, even while connecting. */
  readonly signal?: AbortSignal;
}

/** Rejects with a `StoreFailure` if it can't connect or ioredis is not installed. */
export async function connectRedis(options: RedisClientOptions): Promise<RedisClient> {
  const client = createClient(await loadLibrary(), options);
  const connection = new IoredisClient(client, options.onLost);
  options.signal?.addEventListener('abort', () => connection.destroy(), { once: true });
  try {
    options.signal?.throwIfAborted();
    await client.connect();
    // ioredis goes on with database 0 if the server has no such one.
    const { database } = options.address;
    if (database !== 0) await client.call('SELECT', database);
  } catch (error) {
    connection.destroy();
    throw connection.toFailure(error);
  }
  return connection;
}

interface Library {
  readonly Redis: typeof Redis;
  readonly Cluster: typeof Cluster;
}

async function loadLibrary(): Promise<Library> {
  try {
    return await import('ioredis');
  } catch (error) {
    const message = 'a Redis or Valkey store needs the package ioredis: install it with "npm install ioredis"';
    throw new StoreFailure('unavailable', message, { cause: error });
  }
}

function createClient(library: Library, { address, connectTimeoutMs }: RedisClientOptions): Redis | Cluster {
  const { mode, nodes, primary, tls: hasTls, certificate, username, password, database } = address;
  // Read for each connection, so that a renewed certificate is used.
  const tls = certificate === null ? {} : { cert: readFileSync(certificate.cert), key: readFileSync(certificate.key) };
  const shared = {
    ...(username !== null && { username }),
    ...(password !== null && { password }),
    ...(hasTls && { tls }),
    connectTimeout: connectTimeoutMs,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    connectionName: 'breakwater',
    protocol: 2 as const,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    // The ready check sends INFO, which a user may lack permission for; a loading server rejects commands anyway.
    enableReadyCheck: false,
  };
  if (mode === 'cluster') {
    const options = {
      lazyConnect: true,
      enableOfflineQueue: false,
      clusterRetryStrategy: () => null,
      slotsRefreshTimeout: connectTimeoutMs,
      // Connect by host name: certificates are issued for names, not addresses.
      ...(hasTls && { dnsLookup: (host: string, done: (error: null, address: string) => void) => done(null, host) }),
      redisOptions: shared,
    };
    return new library.Cluster([...nodes], options);
  }
  const single = { ...shared, db: database, lazyConnect: true, enableOfflineQueue: false, retryStrategy: () => null };
  if (mode === 'single') return new library.Redis({ ...single, ...nodes[0]! });
  // Sentinels usually have no credentials; if they do, they share the server's.
  const sentinelLogin = password === null ? {} : { sentinelPassword: password, ...(username !== null && { sentinelUsername: username }) };
  return new library.Redis({
    ...single,
    ...sentinelLogin,
    name: primary,
    sentinels: [...nodes],
    sentinelRetryStrategy: () => null,
    // After a planned failover the old primary serves its connections for another ten seconds.
    failoverDetector: true,
    ...(hasTls && { enableTLSForSentinelMode: true, sentinelTLS: tls }),
  });
}

class IoredisClient implements RedisClient {
  readonly #client: Redis | Cluster;
  readonly #onLost: (failure: StoreFailure) => void;
  #ended = false;
  #isConnected = false;
  #lastError: unknown = null;

  constructor(client: Redis | Cluster, onLost: (failure: StoreFailure) => void) {
    this.#client = client;
    this.#onLost = onLost;
    client.on('error', (error: unknown) => void (this.#lastError = error));
    client.on('ready', () => void (this.#isConnected = true));
    client.on('end', () => this.#lost());
    client.on('close', () => this.#lost());
  }

  call(command: string, ...args: RedisArgument[]): Promise<unknown> {
    return this.#guard(this.#client.call(command, ...args));
  }

  callBuffer(command: string, ...args: RedisArgument[]): Promise<unknown> {
    return this.#guard(this.#client.callBuffer(command, ...args));
  }

  run(script: RedisScript, keys: readonly string[], args: readonly RedisArgument[]): Promise<unknown> {
    return this.#run(script, (command, text) => this.#client.call(command, text, keys.length, ...keys, ...args));
  }

  runBuffer(script: RedisScript, keys: readonly string[], args: readonly RedisArgument[]): Promise<unknown> {
    return this.#run(script, (command, text) => this.#client.callBuffer(command, text, keys.length, ...keys, ...args));
  }

  async #run({ lua, sha }: RedisScript, send: (command: string, text: string) => Promise<unknown>): Promise<unknown> {
    try {
      return await send('EVALSHA', sha);
    } catch (error) {
      if (!messageOf(error).startsWith('NOSCRIPT')) throw this.toFailure(error);
      return this.#guard(send('EVAL', lua));
    }
  }

  onMessage(channel: string, listener: (message: string) => void): void {
    this.#client.on('message', (from: string, message: string) => {
      if (from === channel) listener(message);
    });
  }

  async subscribe(channel: string): Promise<void> {
    await this.#guard(this.#client.subscribe(channel));
  }

  async quit(): Promise<void> {
    this.#ended = true;
    await this.#guard(this.#client.quit());
  }

  destroy(): void {
    this.#ended = true;
    this.#client.disconnect();
  }

  toFailure(error: unknown): StoreFailure {
    if (error instanceof StoreFailure) return error;
    // "Connection is closed." is less specific than the error before it.
    const isVague = /^(?:Connection is closed|Failed to refresh slots cache|None of startup nodes)/.test(messageOf(error));
    return toRedisFailure(isVague && this.#lastError !== null ? this.#lastError : error);
  }

  async #guard<T>(reply: Promise<T>): Promise<T> {
    try {
      return await reply;
    } catch (error) {
      throw this.toFailure(error);
    }
  }

  #lost(): void {
    if (this.#ended || !this.#isConnected) return;
    this.#ended = true;
    this.#client.disconnect();
    this.#onLost(this.#lastError === null ? new StoreFailure('unavailable', 'the connection was closed') : this.toFailure(this.#lastError));
  }
}

const UNTRUSTED = 'its certificate is not trusted: name the file of its certificate authority in NODE_EXTRA_CA_CERTS';

/** Error replies are classified by their first word. */
const FAULTS: readonly (readonly [pattern: RegExp, fault: StoreFault, words?: string])[] = [
  [/^OOM\b/, 'full', 'the server is at its memory limit (OOM): raise its maxmemory, or free memory'],
  [/^READONLY\b/, 'read_only', 'the server is a read-only replica (READONLY): name the primary in store, or its sentinels'],
  [/^NOREPLICAS\b/, 'read_only'],
  [/^MISCONF\b/, 'io_error', 'the server can not save to its disk and refuses writes (MISCONF): see its log'],
  [/^(?:WRONGTYPE)\b/, 'foreign'],
  [/timed? ?out|ETIMEDOUT/i, 'timeout'],
  [/^MOVED\b/, 'unavailable', 'the server is a node of a cluster (MOVED): add ?cluster=true to store'],
  [/alert certificate required/, 'unavailable', 'the server asks for a client certificate: name its files in cert and key of store'],
  [/^(?:self-signed certificate|unable to (?:get|verify) )/, 'unavailable', UNTRUSTED],
];

export function toRedisFailure(error: unknown): StoreFailure {
  const { lastNodeError } = error as { lastNodeError?: unknown };
  const cause = lastNodeError ?? error;
  const message = messageOf(cause).replace(/ script: \S+, on @user_script:\d+\.?$/, '');
  const [, fault = 'unavailable', words = message] = FAULTS.find(([pattern]) => pattern.test(message)) ?? [];
  const text = words === '' ? String((cause as { code?: unknown }).code ?? 'it can not be reached') : words;
  return new StoreFailure(fault, text, { cause: error });
}
