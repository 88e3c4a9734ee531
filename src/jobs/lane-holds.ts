/**
 * Lanes whose requests the configuration does not allow at present: their client, its permission or their model has been removed since the
 * job was created. A mistake in the configuration, or a rollout, must not end thousands of requests: they stay queued until the configuration
 * allows them again, or the window ends. Meanwhile one item after another of the lane is tried.
 *
 * The reasons are part of the job's data, so that every instance shows them, and the items expire with them after a restart, too.
 */
import type { Instant, Timer } from '../core/clock.ts';
import type { ItemError, Job } from '../store/jobs/job-store.ts';
import type { JobHost } from './host.ts';
import { saved } from './saved.ts';

/** Between two tries, in milliseconds: doubled after each. A reload of the configuration is followed by a try. */
const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 30_000;

/** Why the items of a model wait, as saved with the job. */
export interface WaitingReason extends ItemError {
  readonly model: string;
  readonly sinceMs: number;
}

export interface Hold extends ItemError {
  readonly sinceMs: number;
  tries: number;
  until: Instant;
  timer: Timer | null;
}

/** What is used of a lane. */
export interface HeldLane {
  readonly job: Pick<Job, 'id' | 'data'>;
  readonly model: string;
  readonly runs: { readonly size: number };
  /** Null: its items are run. */
  hold: Hold | null;
}

export function waitingReasons({ data }: Pick<Job, 'data'>): readonly WaitingReason[] {
  return (data['waiting'] as readonly WaitingReason[] | null | undefined) ?? [];
}

export class LaneHolds<L extends HeldLane> {
  readonly #host: JobHost;
  readonly #lanes: ReadonlyMap<string, L>;
  readonly #closing: AbortSignal;
  readonly #pump: (lane: L) => void;
  /** Jobs whose reasons are being saved; true: they have changed meanwhile. */
  readonly #saving = new Map<string, boolean>(); // at most as many as open jobs

  /** `pump` leases items of a lane. */
  constructor(host: JobHost, lanes: ReadonlyMap<string, L>, closing: AbortSignal, pump: (lane: L) => void) {
    this.#host = host;
    this.#lanes = lanes;
    this.#closing = closing;
    this.#pump = pump;
  }

  /** For a new lane of a job that waited when an earlier process ended. */
  restore(lane: L): void {
    const found = waitingReasons(lane.job).find(({ model }) => model === lane.model);
    if (found === undefined) return;
    const { code, message, sinceMs } = found;
    lane.hold = { code, message, sinceMs, tries: 0, until: -Infinity, timer: null };
  }

  /** How many items may be leased, of `wanted`. */
  room({ hold, runs }: L, wanted: number): number {
    if (hold === null) return wanted;
    return this.#host.clock.now() < hold.until || runs.size > 0 ? 0 : 1;
  }

  /** The configuration does not allow an item of the lane. */
  hold(lane: L, { code, message }: ItemError): void {
    const { clock } = this.#host;
    const now = clock.now();
    const before = lane.hold;
    if (before !== null && now < before.until) return; // of an item that was leased earlier
    before?.timer?.cancel();
    const tries = (before?.tries ?? 0) + 1;
    const delayMs = Math.min(RETRY_FIRST_MS * 2 ** (tries - 1), RETRY_MAX_MS);
    if (before?.code !== code && !this.#of(lane.job.id).some((other) => other !== lane && other.hold?.code === code))
      this.#host.warn(`requests of ${lane.job.id} wait until the configuration allows them, or its window ends`, message);
    const timer = clock.schedule(delayMs, () => this.#pump(lane));
    lane.hold = { code, message, sinceMs: before?.sinceMs ?? Math.floor(clock.epochMs()), tries, until: now + delayMs, timer };
    if (before?.message !== message) this.#save(lane.job.id);
  }

  /** An item of the lane is allowed that started at this instant. Items that started before the last try prove nothing. */
  release(lane: L, startedAt: Instant): void {
    if (lane.hold === null || startedAt < lane.hold.until) return;
    this.forget(lane);
    this.#save(lane.job.id);
    this.#pump(lane);
  }

  /** The configuration has changed: all are tried now. */
  retry(): void {
    for (const lane of this.#lanes.values()) {
      if (lane.hold === null) continue;
      lane.hold.timer?.cancel();
      Object.assign(lane.hold, { tries: 0, until: this.#host.clock.now(), timer: null });
      this.#pump(lane);
    }
  }

  /** Drops the hold without a change of the job. */
  forget(lane: L): void {
    lane.hold?.timer?.cancel();
    lane.hold = null;
  }

  /** Ends the queued items of an expired job, those of lanes that wait with their reason. */
  async expire(job: string, error: ItemError): Promise<void> {
    const { store } = this.#host;
    for (const { model, hold } of this.#of(job)) {
      if (hold === null) continue;
      const message = `${error.message}; it waited for the configuration: ${hold.message}`;
      while ((await store.endQueued(job, { code: error.code, message }, model)) > 0);
    }
    while ((await store.endQueued(job, error)) > 0);
  }

  #of(job: string): L[] {
    return [...this.#lanes.values()].filter((lane) => lane.job.id === job);
  }

  #save(job: string): void {
    const isSaving = this.#saving.has(job);
    this.#saving.set(job, isSaving);
    if (!isSaving) void this.#saveLatest(job);
  }

  async #saveLatest(job: string): Promise<void> {
    do {
      this.#saving.set(job, false);
      const waiting = this.#of(job).flatMap(({ model, hold }): WaitingReason[] =>
        hold === null ? [] : [{ model, code: hold.code, message: hold.message, sinceMs: hold.sinceMs }],
      );
      const change = { data: { waiting: waiting.length === 0 ? null : waiting } };
      await saved(this.#host, this.#closing, () => this.#host.store.changeJob(job, ['in_progress'], change));
    } while (this.#saving.get(job) === true && !this.#closing.aborted);
    this.#saving.delete(job);
  }
}
