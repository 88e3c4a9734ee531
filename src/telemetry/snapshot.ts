import type { BreakerState } from '../core/events.ts';
import type { SchedulingClass } from '../core/request.ts';
import type { ResourceKind } from '../core/resource.ts';

/** The state of the engine at one instant, read at a scrape: synchronous, within about a millisecond. */
export interface Snapshot {
  /** Number of requests that wait for a permit. */
  readonly queueLength: Readonly<Record<SchedulingClass, number>>;
  /** Number of requests that were received and have not finished. */
  readonly inFlight: number;
  /** Bytes of bodies and responses in memory (limited by `server.maxBufferedBytes`). */
  readonly heldBytes: number;
  /** Configured and learned ones. */
  readonly resources: readonly ResourceLevel[];
  readonly estimates: readonly EstimateLevel[];
  /** Models that run on this machine. */
  readonly engines: readonly EngineLevel[];
  /** Instances that share the store; absent or null: it is this one's own. */
  readonly fleet?: { readonly instances: number; readonly isLinked: boolean } | null;
  readonly breakers: readonly { readonly target: string; readonly state: BreakerState }[];
}

/** The level of a resource in its own unit: requests, tokens, slots, dollars. */
export interface ResourceLevel {
  readonly id: string;
  /** The target or credential that it was learned for, with which `id` begins; absent: it is configured. */
  readonly subject?: string;
  readonly kind: ResourceKind;
  /** Null: none, or unknown. */
  readonly limit: number | null;
  /** The amount available now; negative if more was used than reserved. */
  readonly available: number;
  /** Of the limit, what this instance may use at once; absent: all of it. */
  readonly share?: number;
  /**
   * Of a budget: the start of its period, in milliseconds since the epoch, the time until the next one, and the US dollars spent beyond the
   * budget, by which estimates were too low.
   */
  readonly period?: { readonly sinceMs: number; readonly resetsInMs: number; readonly overrunUsd: number };
}

/** Learned ratios of token counts at a target. */
export interface EstimateLevel {
  readonly target: string;
  /** Billed input tokens per estimated one. */
  readonly inputFactor: number;
  /** The share of cached input tokens, from 0 to 1. */
  readonly cachedShare: number;
}

/** Memory of one local model, in bytes. */
export interface EngineLevel {
  readonly target: string;
  readonly loaded: boolean;
  /** JavaScript heap and buffers of its thread. */
  readonly heapBytes: number;
  /** Growth of the process during the load. */
  readonly loadedBytes: number;
}
