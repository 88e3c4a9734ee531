/** The jobs that are not final, as of the last heartbeat, and when they will probably end. */
import type { Clock } from '../core/clock.ts';
import type { OpenJob } from '../store/jobs/job-store.ts';
import { extensionsOf } from './job-extensions.ts';
import { RecentPace } from './recent-pace.ts';

/** The time over which completions are counted, in milliseconds. */
const WINDOW_MS = 5 * 60_000;

export class OpenJobs {
  readonly #clock: Clock;
  #all: readonly OpenJob[] = [];
  /** One for each of the jobs. */
  #paces = new Map<string, RecentPace>();
  #ends = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get all(): readonly OpenJob[] {
    return this.#all;
  }

  /** Milliseconds since the epoch; null: unknown, as nothing has finished recently, a part of the job is in a batch of the provider, or waits. */
  probableEndMs(id: string): number | null {
    return this.#ends.get(id) ?? null;
  }

  replace(all: readonly OpenJob[]): void {
    const now = this.#clock.now();
    const epochMs = this.#clock.epochMs();
    const before = this.#paces;
    this.#all = all;
    this.#paces = new Map();
    this.#ends = new Map();
    for (const job of all) {
      if (job.state !== 'in_progress' || job.ending !== null) continue;
      const pace = before.get(job.id) ?? new RecentPace(WINDOW_MS);
      this.#paces.set(job.id, pace);
      const { leftMs } = pace.note({ done: job.succeeded + job.failed, total: job.total }, now);
      if (leftMs !== null && extensionsOf(job) === undefined) this.#ends.set(job.id, Math.min(epochMs + leftMs, job.endsAtMs));
    }
  }
}
