import type { Clock } from '../../core/clock.ts';
import type { Store, StoreLimits, WarningListener } from '../store.ts';
import type { StoreTiming } from '../store-timing.ts';
import { openWriteBehindStore } from '../write-behind.ts';
import { isProcessGone } from '../machine.ts';
import { describeAddress, type RedisAddress } from './address.ts';
import { createRedisJobs } from './jobs/redis-jobs.ts';
import { createRedisBackend } from './redis-backend.ts';
import { createRedisFlights } from './redis-flights.ts';
import { createRedisShared } from './redis-shared.ts';

export interface RedisStoreOptions {
  readonly clock: Clock;
  readonly onWarning: WarningListener;
  /** Default: `STORE_LIMITS`. */
  readonly limits?: Partial<StoreLimits>;
  /** Default: `REDIS_TIMING`. */
  readonly timing?: Partial<StoreTiming>;
  /** As of `RedisBackendOptions`. */
  readonly collectionBytesMax?: number;
}

/** Reconnects within seconds; its timeouts are shorter than those for a disk. */
const REDIS_TIMING: Partial<StoreTiming> = {
  connectTimeoutMs: 2_000,
  applyTimeoutMs: 5_000,
  readTimeoutMs: 2_000,
  flushTimeoutMs: 2_000,
  closeTimeoutMs: 1_000,
  retryDelayMaxMs: 2_000,
};

/** State shared by several instances. Never rejects: an unreachable server gives a degraded store, which recovers by itself. */
export function openRedisStore(address: RedisAddress, options: RedisStoreOptions): Promise<Store> {
  const timing = { ...REDIS_TIMING, ...options.timing };
  const backend = createRedisBackend({ ...options, address, connectTimeoutMs: timing.connectTimeoutMs ?? 2_000 });
  return openWriteBehindStore(backend, {
    ...options,
    timing,
    kind: 'redis',
    cachesResponses: 'shared',
    jobs: createRedisJobs({ address, clock: options.clock, isProcessGone }),
    flights: createRedisFlights(address, options.clock),
    shared: createRedisShared(address, options.clock),
    name: `the store ${describeAddress(address)}`,
  });
}
