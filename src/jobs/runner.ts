/**
 * Runs the items of all open jobs in idle capacity.
 *
 * Every few seconds a heartbeat confirms the runner in the store and returns the open jobs. The items of one job and model form a lane. At
 * most twice as many items of a lane wait in the queue as are running: enough to use free capacity at once, and few enough that little has to
 * be put back at a stop.
 */
import type { Instant, Timer } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { DeliveredResponse } from '../pipeline/request/gateway-request.ts';
import type { Lease, LeasedItem, OpenJob } from '../store/jobs/job-store.ts';
import { BEAT_MS, nextBeatMs } from './beat-interval.ts';
import type { JobHost } from './host.ts';
import { ItemRun, type ItemHooks } from './item-run.ts';
import { JobEnds } from './job-ends.ts';
import type { JobKind } from './kinds.ts';
import { createLane, laneKey, type RunningLane } from './lane.ts';
import { LaneHolds } from './lane-holds.ts';
import { NativeBatches } from './native/native-batches.ts';
import { OpenJobs } from './open-jobs.ts';
import type { Registration } from './registration.ts';
import { RequestsOfItems } from './requests-of-items.ts';
import { Sweeper } from './sweeper.ts';
import { WorkSlots } from './work-slots.ts';

/** The first heartbeat after the start of the gateway, in milliseconds. */
const START_MS = 300;
/** A runner without a heartbeat for longer counts as dead, in milliseconds. */
const SILENCE_MAX_MS = 15_000;
/** The fewest waiting items of a lane, and the most items of all lanes. */
const WAITING_MIN = 4;
const ITEMS_MAX = 2_000;
/** The bodies of all items in memory, with the conversations that they continue and the leases in progress, in bytes. */
const BODIES_MAX = 64 * 1024 * 1024;
/** The size of the bodies of one lease, in bytes. */
const LEASE_BYTES_MAX = 8 * 1024 * 1024;
/** Jobs validated or finished at the same time; each reads a file. */
const WORKING_MAX = 2;

export class JobRunner {
  readonly #host: JobHost;
  readonly #kinds: ReadonlyMap<string, JobKind>;
  readonly open: OpenJobs;
  readonly #lanes = new Map<string, RunningLane>();
  /** Jobs that this process is validating or finishing. */
  readonly #work = new WorkSlots(WORKING_MAX, () => this.wake());
  readonly #holds: LaneHolds<RunningLane>;
  readonly #ends: JobEnds;
  readonly #registration: Registration;
  #isConcerned: (job: OpenJob) => boolean = () => true;
  readonly #native: NativeBatches;
  readonly #sweeper: Sweeper;
  #timer: Timer | null = null;
  #beating: Promise<void> | null = null;
  #beatAgain = false;
  readonly #requests: RequestsOfItems;
  #bodyBytes = 0;
  /** When existing lanes are next checked for items that other processes queued. */
  #recheckAt: Instant = -Infinity;
  /** A lane found no capacity, and may use the next that becomes free. */
  #isFull = false;
  readonly #stopping = new AbortController();
  readonly #closing = new AbortController();
  #hasWarned = false;
  #whenIdle: (() => void)[] = [];

  get #stopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  constructor(host: JobHost, kinds: ReadonlyMap<string, JobKind>, registration: Registration) {
    this.#registration = registration;
    this.#host = host;
    this.open = new OpenJobs(host.clock);
    this.#kinds = kinds;
    this.#requests = new RequestsOfItems(host);
    this.#holds = new LaneHolds(host, this.#lanes, this.#closing.signal);
    this.#ends = new JobEnds(host, this.#lanes, this.#holds);
    this.#sweeper = new Sweeper(host.store, this.#stopping.signal);
    const runner = {
      run: (job: string, model: string, item: LeasedItem, delivered: DeliveredResponse | null) => this.#runOf(job, model, item, delivered),
      known: (job: string, model: string) => [...(this.#lanes.get(laneKey(job, model))?.runs ?? [])].map(({ item }) => item.n),
      onQueued: (job: string) => this.#onQueued(job),
      allows: async (job: string, model: string) => {
        const lane = this.#lanes.get(laneKey(job, model));
        return lane === undefined || (await this.#holds.allows(lane));
      },
      get number() {
        return registration.number;
      },
    };
    this.#native = new NativeBatches(host, runner, { stopping: this.#stopping.signal, closing: this.#closing.signal });
  }

  /** Continues the jobs of earlier processes, once the gateway has started. */
  start(): void {
    this.#timer ??= this.#host.clock.schedule(START_MS, () => this.wake());
  }

  /** The same for one job: it is ended if it is being cancelled, and no others are run. */
  endOnly(id: string): void {
    this.#isConcerned = (job) => job.id === id && job.ending === 'cancelled';
    this.start();
  }

  /** Something has changed: runs a heartbeat at once. */
  wake(): void {
    if (this.#stopped) return;
    if (this.#beating !== null) {
      this.#beatAgain = true;
      return;
    }
    this.#timer?.cancel();
    this.#timer = null;
    this.#beating = this.#beat().finally(() => {
      this.#beating = null;
      if (this.#beatAgain) {
        this.#beatAgain = false;
        this.wake();
      }
    });
  }

  /** Requests that the configuration did not allow may be run now. */
  configChanged(): void {
    if (this.#lanes.size === 0) return; // it runs no jobs
    this.#recheckAt = -Infinity;
    this.wake();
  }

  /** Starts nothing new, and withdraws waiting items. Resolves once nothing is running. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#timer?.cancel();
    this.#timer = null;
    for (const lane of this.#lanes.values()) {
      lane.timer?.cancel();
      for (const run of lane.runs) run.withdraw();
    }
    await this.#beating;
    await this.#sweeper.idle();
    await this.#work.stop();
    await this.#native.idle();
    if (this.#requests.size > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  /** After `stop`, or instead of it: does not wait for a failing store. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const lane of this.#lanes.values()) for (const run of lane.runs) run.sink.leave();
    await this.stop();
    await this.#registration.unregister();
  }

  async #beat(): Promise<void> {
    const { clock } = this.#host;
    let open: readonly OpenJob[] | null = null;
    try {
      open = (await this.#registration.beat(SILENCE_MAX_MS)).filter(this.#isConcerned);
      this.#hasWarned = false;
    } catch (error) {
      if (!this.#hasWarned && !this.#stopped) this.#host.warn('batches are paused: their state cannot be read or saved', messageOf(error));
      this.#hasWarned = true;
    }
    if (open !== null) {
      await this.#look(open);
      if (this.#registration.number !== null) this.#sweeper.sweep();
    }
    const isIdle = this.#requests.size === 0 && this.#work.isIdle && !this.#registration.isReceiving;
    if (open?.length === 0 && isIdle) await this.#registration.unregister();
    if (this.#stopped) return;
    this.#timer = clock.schedule(nextBeatMs(open, clock.epochMs(), this.#kinds, this.#host.isShared), () => this.wake());
  }

  async #look(open: readonly OpenJob[]): Promise<void> {
    this.open.replace(open);
    const known = new Set<string>();
    this.#work.forgetWaiting();
    for (const job of open) {
      const kind = this.#kinds.get(job.kind);
      if (kind === undefined) continue; // of a newer version
      try {
        await this.#lookAt(job, kind, known);
      } catch (error) {
        this.#host.warn(`the state of ${job.id} cannot be saved`, messageOf(error));
      }
    }
    this.#native.keepOnly(open);
    for (const lane of this.#lanes.values()) {
      if (known.has(lane.key)) continue;
      // The job has ended: it was cancelled or deleted meanwhile, or another process finished it.
      lane.isEnding = true;
      for (const run of lane.runs) run.sink.leave();
      this.#forgetIfIdle(lane);
    }
    this.#recheck();
    this.#ends.keepOnly(open);
    this.#pumpAll();
  }

  async #lookAt(job: OpenJob, kind: JobKind, known: Set<string>): Promise<void> {
    const { store, clock } = this.#host;
    if (this.#registration.receives(job.id)) return;
    if (job.state === 'validating' || job.state === 'receiving')
      return this.#claim(job, (runner) => kind.prepare(job, runner, this.#stopping.signal));
    if (job.state === 'finalizing') return this.#claim(job, () => kind.finish(job));
    const isExpired = clock.epochMs() >= job.endsAtMs;
    let ending = job.ending;
    if (isExpired && ending === null) {
      ending = 'expired';
      await store.changeJob(job.id, ['in_progress'], { ending });
    }
    for (const model of job.models) known.add(this.#laneOf(job, kind, model, ending !== null).key);
    this.#native.look({ ...job, ending }, kind);
    if (ending !== null) await this.#ends.end(job, ending, kind);
    else if (job.succeeded + job.failed < job.total) return;
    const left = ending === null ? 0 : await this.#leftOf(job);
    if (left > 0 || this.#native.holdsBatches(job.id)) return;
    const changed = await store.changeJob(job.id, ['in_progress', 'cancelling'], {
      state: 'finalizing',
      data: { finalizingAtMs: clock.epochMs() },
    });
    if (changed !== null) this.#claim({ ...job, ...changed }, () => kind.finish({ ...job, ...changed }));
  }

  async #leftOf(job: OpenJob): Promise<number> {
    const now = await this.#host.store.getJob(job.client, job.id);
    return now === null ? 0 : now.total - now.succeeded - now.failed;
  }

  /** Validates or finishes a job, unless another runner does. Failures are retried at the next heartbeat. */
  #claim(job: OpenJob, work: (runner: number) => Promise<void>): void {
    const runner = this.#registration.number;
    if (runner === null || this.#stopped) return;
    this.#work.run(job.id, async () => {
      try {
        if (!(await this.#host.store.claimJob(job.id, runner))) return false;
        await work(runner);
        return true;
      } catch (error) {
        const verb = job.state === 'finalizing' ? 'finished' : 'validated';
        if (!this.#closing.signal.aborted) this.#host.warn(`${job.id} cannot be ${verb}; it will be retried`, messageOf(error));
        return false;
      }
    });
  }

  #laneOf(job: OpenJob, kind: JobKind, model: string, isEnding: boolean): RunningLane {
    const { clock } = this.#host;
    const endsAt = clock.now() + job.endsAtMs - clock.epochMs();
    const key = laneKey(job.id, model);
    const lane = this.#lanes.get(key) ?? createLane(job, kind, model);
    this.#lanes.set(key, lane);
    lane.job = job;
    lane.endsAt = endsAt;
    lane.isEnding = isEnding;
    return lane;
  }

  /** Another process may have requeued items. Heartbeats can follow each other closely, so this has an interval of its own. */
  #recheck(): void {
    const now = this.#host.clock.now();
    if (now < this.#recheckAt) return;
    this.#recheckAt = now + BEAT_MS;
    for (const lane of this.#lanes.values()) Object.assign(lane, { hasMore: true, isPaused: false });
  }

  #pumpAll(): void {
    this.#isFull = false;
    for (const lane of this.#lanes.values()) this.#pump(lane);
  }

  #pump(lane: RunningLane): void {
    const runner = this.#registration.number;
    if (this.#stopped || runner === null || lane.isEnding || lane.isLeasing || lane.isPaused || !lane.hasMore) return;
    if (this.#native.keeps(lane.job.id, lane.model)) return;
    const waiting = lane.runs.size - lane.running;
    const wanted = Math.max(WAITING_MIN, 2 * lane.running) - waiting;
    if (wanted <= 0) return;
    // Each lane has a share, so that a fast one does not starve the others.
    const shareMax = Math.max(WAITING_MIN, Math.ceil(ITEMS_MAX / this.#lanes.size));
    const room = Math.min(wanted, shareMax - lane.runs.size, ITEMS_MAX - this.#requests.size);
    if (room <= 0 || this.#bodyBytes + LEASE_BYTES_MAX > BODIES_MAX) {
      this.#isFull = true;
      return;
    }
    lane.isLeasing = true;
    this.#bodyBytes += LEASE_BYTES_MAX; // until the size is known
    void this.#lease(lane, runner, room).finally(() => {
      lane.isLeasing = false;
      this.#pumpFreed(lane);
    });
  }

  async #lease(lane: RunningLane, runner: number, countMax: number): Promise<void> {
    const { clock } = this.#host;
    try {
      const lease = await this.#leaseAllowed(lane, runner, countMax).finally(() => (this.#bodyBytes -= LEASE_BYTES_MAX));
      lane.hasMore = lease?.hasMore ?? false; // of a lane that is not allowed: read again at the next check
      if (lease === null) return;
      lane.isUnsure = false;
      for (const item of lease.items) void this.#start(lane, item);
      lane.timer?.cancel();
      const { nextAtMs } = lease;
      lane.timer = nextAtMs === null || this.#stopped ? null : clock.schedule(nextAtMs - clock.epochMs(), () => this.#due(lane));
    } catch {
      lane.isUnsure = true;
      lane.hasMore = false; // retried at the next heartbeat, which warns
    }
  }

  /** Null: the configuration does not allow items of the lane. */
  async #leaseAllowed(lane: RunningLane, runner: number, countMax: number): Promise<Lease | null> {
    if (!(await this.#holds.allows(lane))) return null;
    const { store, clock } = this.#host;
    const query = { runner, job: lane.job.id, model: lane.model, countMax, bytesMax: LEASE_BYTES_MAX, nowMs: clock.epochMs() };
    return store.lease(lane.isUnsure ? { ...query, known: [...lane.runs].map(({ item }) => item.n) } : query);
  }

  #due(lane: RunningLane): void {
    lane.timer?.cancel();
    lane.timer = null;
    lane.hasMore = true;
    this.#pump(lane);
  }

  /** Runs an item that was leased for a batch of the provider. */
  async #runOf(job: string, model: string, item: LeasedItem, delivered: DeliveredResponse | null): Promise<void> {
    const lane = this.#lanes.get(laneKey(job, model));
    if (lane !== undefined) await this.#start(lane, item, delivered);
  }

  /** Batches of providers have returned items to the queue, or leave the rest of the queue to this runner. */
  #onQueued(job: string): void {
    for (const lane of this.#lanes.values()) if (lane.job.id === job) this.#due(lane);
    this.wake();
  }

  /** Resolves once its round has ended. */
  #start(lane: RunningLane, item: LeasedItem, delivered: DeliveredResponse | null = null): Promise<void> {
    let bytes = item.body.byteLength;
    const hooks: ItemHooks = {
      sent: () => {
        lane.running++;
        this.#pump(lane);
      },
      reserve: (more) => {
        if (this.#bodyBytes + more > BODIES_MAX) return false;
        this.#bodyBytes += more;
        bytes += more;
        return true;
      },
    };
    const run = new ItemRun(this.#host, lane, item, hooks, this.#closing.signal, delivered);
    lane.runs.add(run);
    this.#requests.add(run);
    this.#bodyBytes += bytes;
    if (this.#stopped || lane.isEnding) run.withdraw();
    return run.run().then((isLast) => {
      lane.runs.delete(run);
      this.#requests.delete(run);
      if (run.wasSent) lane.running--;
      this.#bodyBytes -= bytes;
      this.#ended(lane, run, isLast);
    });
  }

  #ended(lane: RunningLane, run: ItemRun, isLast: boolean): void {
    if (this.#requests.size === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
    this.#forgetIfIdle(lane);
    if (isLast || (lane.isEnding && lane.runs.size === 0)) this.wake();
    // Requeued items are due later; the next lease returns when. After one that is not allowed, none starts until the next check.
    if (!run.isDone) lane.hasMore = true;
    if (run.withheld !== null) lane.isPaused = true;
    this.#pumpFreed(lane);
  }

  /** The lane has freed capacity, which others may wait for. */
  #pumpFreed(lane: RunningLane): void {
    if (this.#isFull) this.#pumpAll();
    else this.#pump(lane);
  }

  #forgetIfIdle(lane: RunningLane): void {
    if (!lane.isEnding || lane.runs.size > 0 || this.#lanes.get(lane.key) !== lane) return;
    if (this.#native.isBusy(lane.job.id)) return; // its results still need the lane
    lane.timer?.cancel();
    this.#lanes.delete(lane.key);
  }
}
