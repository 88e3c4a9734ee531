import type { Clock } from '../core/clock.ts';
import { createMemoryStore } from './memory/memory-store.ts';
import { openSqliteStore } from './sqlite/sqlite-store.ts';
import { parseRedisUrl, REDIS_SCHEMES, type RedisAddress } from './redis/address.ts';
import type { SharedStore } from './shared-store.ts';
import type { Store, StoreLimits, WarningListener } from './store.ts';

export interface OpenStoreOptions {
  readonly clock: Clock;
  readonly onWarning: WarningListener;
  /** False: no warning if another process uses the same file. Default: true. */
  readonly warnsOfSharing?: boolean;
  /** Default: `STORE_LIMITS`. */
  readonly limits?: Partial<StoreLimits>;
  /** For a store that several instances do not share by itself. Default: none. */
  readonly shared?: SharedStore;
}

export type StoreUrl =
  | { readonly kind: 'memory' }
  | { readonly kind: 'sqlite'; readonly path: string }
  | { readonly kind: 'redis'; readonly address: RedisAddress };

/**
 * Reads `memory:`, `sqlite:PATH` (also `sqlite:///absolute/path`; a path is relative to the working directory) or `redis://…`.
 * Throws an Error with a message for an operator. It quotes the scheme only: the rest may contain a password.
 */
export function parseStoreUrl(url: string): StoreUrl {
  const scheme = /^[a-z][a-z0-9+.-]*(?=:)/i.exec(url)?.[0].toLowerCase();
  if (scheme !== undefined && REDIS_SCHEMES.has(scheme)) return { kind: 'redis', address: parseRedisUrl(url) };
  const rest = url.slice((scheme?.length ?? 0) + 1);
  switch (scheme) {
    case 'memory':
      return { kind: 'memory' };
    case 'sqlite': {
      const path = rest.startsWith('//') ? rest.slice(2) : rest;
      if (path === '') throw new Error('store: a path is missing after "sqlite:"');
      if (path === ':memory:') throw new Error('store: use "memory:" for a store that ends with the process');
      if (path.includes('\0')) throw new Error('store: the path after "sqlite:" contains a NUL');
      return { kind: 'sqlite', path };
    }
    default:
      throw new Error(
        `store: expected "memory:", "sqlite:PATH" or "redis://HOST", got ${scheme === undefined ? 'no scheme' : `"${scheme}:"`}`,
      );
  }
}

/** Opens the store. Rejects only for an invalid URL; an unreachable store is opened `degraded` within seconds and recovers later. */
export async function openStore(url: string, options: OpenStoreOptions): Promise<Store> {
  const parsed = parseStoreUrl(url);
  if (parsed.kind === 'memory') return createMemoryStore(options);
  if (parsed.kind === 'sqlite') return openSqliteStore(parsed.path, options);
  const { openRedisStore } = await import('./redis/redis-store.ts');
  return openRedisStore(parsed.address, options);
}
