import type { Clock } from '../core/clock.ts';
import { createMemoryStore } from './memory/memory-store.ts';
import { openSqliteStore } from './sqlite/sqlite-store.ts';
import type { Store, StoreLimits, WarningListener } from './store.ts';

export interface OpenStoreOptions {
  readonly clock: Clock;
  readonly onWarning: WarningListener;
  /** Default: `STORE_LIMITS`. */
  readonly limits?: Partial<StoreLimits>;
}

export type StoreUrl = { readonly kind: 'memory' } | { readonly kind: 'sqlite'; readonly path: string };

/**
 * Reads `memory:` or `sqlite:PATH` (also `sqlite:///absolute/path`; a path is relative to the working directory).
 * Throws an Error with a message for an operator. It quotes the scheme only: the rest may contain a password.
 */
export function parseStoreUrl(url: string): StoreUrl {
  const scheme = /^[a-z][a-z0-9+.-]*(?=:)/i.exec(url)?.[0].toLowerCase();
  const rest = url.slice((scheme?.length ?? 0) + 1);
  switch (scheme) {
    case 'memory':
      return { kind: 'memory' };
    case 'sqlite': {
      const path = rest.startsWith('//') ? rest.slice(2) : rest;
      if (path === '') throw new Error('store: a path is missing after "sqlite:"');
      if (path === ':memory:') throw new Error('store: use "memory:" for a store that ends with the process');
      if (path.includes('\0')) throw new Error('store: the path after "sqlite:" holds a NUL');
      return { kind: 'sqlite', path };
    }
    case 'redis':
    case 'rediss':
    case 'valkey':
    case 'valkeys':
      throw new Error(`store: ${scheme}:// is not available in this version; use "sqlite:PATH" or "memory:"`);
    default:
      throw new Error(`store: expected "memory:" or "sqlite:PATH", got ${scheme === undefined ? 'no scheme' : `"${scheme}:"`}`);
  }
}

/**
 * Opens the store. Rejects only for an invalid URL; a store that can't be reached is opened `degraded` within seconds, and recovers
 * later.
 */
export async function openStore(url: string, options: OpenStoreOptions): Promise<Store> {
  const parsed = parseStoreUrl(url);
  return parsed.kind === 'memory' ? createMemoryStore(options) : openSqliteStore(parsed.path, options);
}
