import type { BreakerState } from '../core/events.ts';
import type { SchedulingClass } from '../core/request.ts';
import type { ResourceKind } from '../core/resource.ts';

/** What the engine holds at one instant; asked for at a scrape, so it may cost a millisecond but never wait. */
export interface Snapshot {
  /** Requests that wait for a permit. */
  readonly queueLength: Readonly<Record<SchedulingClass, number>>;
  /** Requests that were received and have not finished. */
  readonly inFlight: number;
  /** Bytes of bodies and answers held in memory (`server.maxBufferedBytes` bounds them). */
  readonly heldBytes: number;
  /** Those that are configured, and those that were learned. */
  readonly resources: readonly ResourceLevel[];
  readonly estimates: readonly EstimateLevel[];
  /** Models that run on this machine. */
  readonly engines: readonly EngineLevel[];
  readonly breakers: readonly { readonly target: string; readonly state: BreakerState }[];
}

/** How full a resource is, in its own unit: requests, tokens, places, dollars. */
export interface ResourceLevel {
  readonly id: string;
  readonly kind: ResourceKind;
  /** Null where there is none, or none is known. */
  readonly limit: number | null;
  /** What could be taken now; below zero where more was used than reserved. */
  readonly available: number;
}

/** What is learned of how requests count at a target. */
export interface EstimateLevel {
  readonly target: string;
  /** Counted input tokens for each that was estimated. */
  readonly inputFactor: number;
  /** The part of the input that the provider had in its cache, from 0 to 1. */
  readonly cachedShare: number;
}

/** What one model on this machine takes, in bytes. */
export interface EngineLevel {
  readonly target: string;
  readonly loaded: boolean;
  /** Its thread's JavaScript. */
  readonly heapBytes: number;
  /** By how much the process grew while it loaded. */
  readonly loadedBytes: number;
}
