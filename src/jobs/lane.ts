import type { Timer } from '../core/clock.ts';
import type { OpenJob } from '../store/jobs/job-store.ts';
import { FailingItems } from './failing-items.ts';
import type { WaitingReason } from './lane-holds.ts';
import type { ItemRun, Lane } from './item-run.ts';
import type { JobKind } from './kinds.ts';
import { RoundOdds } from './round-odds.ts';

/** The items of one job and model. */
export interface RunningLane extends Lane {
  readonly key: string;
  readonly model: string;
  readonly runs: Set<ItemRun>;
  running: number;
  isLeasing: boolean;
  /** The outcome of a lease was lost, so the store may hold items for this runner that it does not have. */
  isUnsure: boolean;
  /** The store may have items that are due. */
  hasMore: boolean;
  /** An item that was leased was not allowed: nothing is leased until the next check. */
  isPaused: boolean;
  timer: Timer | null;
  /** Why the configuration does not allow its items at present; null: it does. */
  hold: WaitingReason | null;
  /** The job is ending, and nothing more is leased. */
  isEnding: boolean;
}

export function laneKey(job: string, model: string): string {
  return `${job} ${model}`;
}

export function createLane(job: OpenJob, kind: JobKind, model: string): RunningLane {
  return {
    key: laneKey(job.id, model),
    job,
    kind,
    model,
    runs: new Set(),
    running: 0,
    isLeasing: false,
    isUnsure: false,
    hasMore: true,
    isPaused: false,
    timer: null,
    hold: null,
    isEnding: false,
    succeededAt: -Infinity,
    endsAt: Infinity,
    failing: new FailingItems(),
    odds: new RoundOdds(),
  };
}
