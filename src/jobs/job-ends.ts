/** Ends jobs that have expired or are being cancelled. */
import type { Instant } from '../core/clock.ts';
import type { OpenJob } from '../store/jobs/job-store.ts';
import type { JobHost } from './host.ts';
import type { JobKind } from './kinds.ts';
import type { RunningLane } from './lane.ts';
import type { LaneHolds } from './lane-holds.ts';

/** How long requests of a cancelled job may continue once sent, in milliseconds. */
const CANCEL_MAX_MS = 10 * 60_000;

export class JobEnds {
  readonly #host: JobHost;
  readonly #lanes: ReadonlyMap<string, RunningLane>;
  readonly #holds: LaneHolds<RunningLane>;
  /** When a job that is being cancelled was first seen. */
  readonly #cancelledAt = new Map<string, Instant>();

  constructor(host: JobHost, lanes: ReadonlyMap<string, RunningLane>, holds: LaneHolds<RunningLane>) {
    this.#host = host;
    this.#lanes = lanes;
    this.#holds = holds;
  }

  /** Withdraws what waits for capacity, and ends what is queued. */
  async end(job: OpenJob, ending: 'expired' | 'cancelled', kind: JobKind): Promise<void> {
    const { id } = job;
    const now = this.#host.clock.now();
    if (ending === 'cancelled' && !this.#cancelledAt.has(id)) this.#cancelledAt.set(id, now);
    const isOverdue = now - (this.#cancelledAt.get(id) ?? now) >= CANCEL_MAX_MS;
    for (const lane of this.#lanes.values()) {
      if (lane.job.id !== id) continue;
      for (const run of lane.runs) {
        run.withdraw();
        if (isOverdue) run.sink.leave();
      }
    }
    if (ending === 'expired') return this.#holds.expire(job, kind.expired);
    while ((await this.#host.store.endQueued(id, kind.cancelled)) > 0);
  }

  keepOnly(open: readonly OpenJob[]): void {
    for (const id of this.#cancelledAt.keys()) if (!open.some((job) => job.id === id)) this.#cancelledAt.delete(id);
  }
}
