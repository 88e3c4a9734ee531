/**
 * Runs the items of all open jobs in idle capacity.
 *
 * Every few seconds it tells the store that it lives, and learns which jobs are open. The items of one job and model form a lane. Of a
 * lane at most twice as many items wait in the queue as are running: enough that a free place is always taken, few enough that little
 * has to be put back at a stop.
 */
import type { Instant, Timer } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Identity, LeasedItem, OpenJob } from '../store/jobs/job-store.ts';
import { FailingItems } from './failing-items.ts';
import type { JobHost } from './host.ts';
import { ItemRun, type ItemHooks, type Lane } from './item-run.ts';
import type { JobKind } from './kinds.ts';
import type { Registration } from './registration.ts';

/** How often it looks, in milliseconds: with open jobs, and without. */
const BEAT_MS = 3_000;
const IDLE_BEAT_MS = 300_000;
/** The same if other instances create jobs: an announcement may be lost. */
const SHARED_IDLE_BEAT_MS = 60_000;
/** After the start of the gateway, in milliseconds. */
const START_MS = 300;
/** A runner that was silent for longer is dead, in milliseconds. */
const SILENCE_MAX_MS = 15_000;
/** Items of one lane that wait at least, and of all lanes at most. */
const WAITING_MIN = 4;
const ITEMS_MAX = 2_000;
/** Bodies of all items in memory and the conversations that they continue, in bytes. */
const BODIES_MAX = 64 * 1024 * 1024;
/** Bodies read for one lane at once, in bytes. */
const LEASE_BYTES_MAX = 8 * 1024 * 1024;
/** Requests of a cancelled job that were sent may go on for so long, in milliseconds. */
const CANCEL_MAX_MS = 10 * 60_000;
/** So many jobs are validated or finished at once: each reads a file. */
const WORKING_MAX = 2;

interface RunningLane extends Lane {
  readonly key: string;
  readonly model: string;
  readonly runs: Set<ItemRun>;
  running: number;
  isLeasing: boolean;
  /** The outcome of a lease was lost: the store may hold items for this runner that it does not have. */
  isUnsure: boolean;
  /** The store may have items that are due. */
  hasMore: boolean;
  timer: Timer | null;
  /** Nothing more is leased: the job ends. */
  isEnding: boolean;
}

export class JobRunner {
  readonly #host: JobHost;
  readonly #kinds: ReadonlyMap<string, JobKind>;
  readonly #identity: Identity;
  /** Those that are not final, as the store last gave them: every few seconds. */
  open: readonly OpenJob[] = [];
  readonly #lanes = new Map<string, RunningLane>();
  /** Jobs that are validated or finished by this process now. */
  readonly #working = new Map<string, Promise<void>>();
  /** When a job that is being cancelled was first seen. */
  readonly #cancelledAt = new Map<string, Instant>();
  readonly #registration: Registration;
  #sweeping: Promise<void> | null = null;
  #timer: Timer | null = null;
  #beating: Promise<void> | null = null;
  #beatAgain = false;
  #items = 0;
  readonly #byRequest = new Map<string, ItemRun>(); // as many as there are items
  #stopListening: (() => void) | null = null;
  #bodyBytes = 0;
  /** A lane found no room: the next place that is free may be its own. */
  #isFull = false;
  readonly #stopping = new AbortController();
  readonly #closing = new AbortController();
  #hasWarned = false;
  #whenIdle: (() => void)[] = [];

  get #stopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  constructor(host: JobHost, kinds: ReadonlyMap<string, JobKind>, identity: Identity, registration: Registration) {
    this.#registration = registration;
    this.#host = host;
    this.#kinds = kinds;
    this.#identity = identity;
  }

  /** Looks for what an earlier process has left, once the gateway had time to begin. */
  start(): void {
    this.#timer ??= this.#host.clock.schedule(START_MS, () => this.wake());
  }

  /** Something has changed: looks at once. */
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

  /** Starts nothing new, and gives up what only waits. Resolves when nothing runs any more. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#timer?.cancel();
    this.#timer = null;
    for (const lane of this.#lanes.values()) {
      lane.timer?.cancel();
      for (const run of lane.runs) run.withdraw();
    }
    await this.#beating;
    await this.#sweeping;
    await Promise.allSettled(this.#working.values());
    if (this.#items > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  /** After `stop`, or instead of it: what can't be saved now is left to the next start. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const lane of this.#lanes.values()) for (const run of lane.runs) run.sink.leave();
    await this.stop();
    await this.#registration.unregister();
  }

  async #beat(): Promise<void> {
    const { clock, store } = this.#host;
    let open: readonly OpenJob[] | null = null;
    try {
      const runner = await this.#registration.register();
      open = await store.beat({ runner, nowMs: clock.epochMs(), silenceMaxMs: SILENCE_MAX_MS, ...this.#identity });
      this.#hasWarned = false;
    } catch (error) {
      if (!this.#hasWarned && !this.#stopped)
        this.#host.warn('batches stand still: their state can not be read or saved', messageOf(error));
      this.#hasWarned = true;
    }
    if (open !== null) {
      await this.#look(open);
      this.#sweep();
    }
    const isIdle = this.#items === 0 && this.#working.size === 0 && !this.#registration.isReceiving;
    if (open?.length === 0 && isIdle) await this.#registration.unregister();
    if (this.#stopped) return;
    this.#timer = clock.schedule(this.#nextBeatMs(open), () => this.wake());
  }

  /** Deletes what is left of deleted files and jobs, so that its room can be had again. */
  #sweep(): void {
    const sweep = async (): Promise<void> => {
      // A store that fails is tried again at the next beat, which warns.
      while (!this.#stopped && (await this.#host.store.sweep().catch(() => false)));
    };
    this.#sweeping ??= sweep().finally(() => (this.#sweeping = null));
  }

  #nextBeatMs(open: readonly OpenJob[] | null): number {
    if (open === null) return BEAT_MS;
    if (open.length === 0) return this.#host.isShared ? SHARED_IDLE_BEAT_MS : IDLE_BEAT_MS;
    const nowMs = this.#host.clock.epochMs();
    const running = open.filter(({ kind, state, ending }) => state === 'in_progress' && ending === null && this.#kinds.has(kind));
    const endsInMs = Math.min(...running.map(({ endsAtMs }) => endsAtMs - nowMs));
    return Math.max(1, Math.min(BEAT_MS, endsInMs));
  }

  async #look(open: readonly OpenJob[]): Promise<void> {
    this.open = open;
    const known = new Set<string>();
    for (const job of open) {
      const kind = this.#kinds.get(job.kind);
      if (kind === undefined) continue; // of a newer version
      try {
        await this.#lookAt(job, kind, known);
      } catch (error) {
        this.#host.warn(`the state of ${job.id} can not be saved`, messageOf(error));
      }
    }
    for (const lane of this.#lanes.values()) {
      if (known.has(lane.key)) continue;
      // The job is over: it was cancelled or deleted while this was running, or another process has it.
      lane.isEnding = true;
      for (const run of lane.runs) run.sink.leave();
      this.#forgetIfIdle(lane);
    }
    for (const id of this.#cancelledAt.keys()) if (!open.some((job) => job.id === id)) this.#cancelledAt.delete(id);
    this.#pumpAll();
  }

  async #lookAt(job: OpenJob, kind: JobKind, known: Set<string>): Promise<void> {
    const { store, clock } = this.#host;
    if (this.#registration.receives(job.id)) return;
    if (job.state === 'validating' || job.state === 'receiving')
      return this.#work(job, (runner) => kind.prepare(job, runner, this.#stopping.signal));
    if (job.state === 'finalizing') return this.#work(job, () => kind.finish(job));
    const isExpired = clock.epochMs() >= job.endsAtMs;
    let ending = job.ending;
    if (isExpired && ending === null) {
      ending = 'expired';
      await store.changeJob(job.id, ['in_progress'], { ending });
    }
    for (const model of job.models) known.add(this.#laneOf(job, kind, model, ending !== null).key);
    if (ending !== null) await this.#end(job, ending, kind);
    else if (job.succeeded + job.failed < job.total) return;
    const left = ending === null ? 0 : await this.#leftOf(job);
    if (left > 0) return;
    const changed = await store.changeJob(job.id, ['in_progress', 'cancelling'], {
      state: 'finalizing',
      data: { finalizingAtMs: clock.epochMs() },
    });
    if (changed !== null) this.#work({ ...job, ...changed }, () => kind.finish({ ...job, ...changed }));
  }

  async #leftOf(job: OpenJob): Promise<number> {
    const now = await this.#host.store.getJob(job.client, job.id);
    return now === null ? 0 : now.total - now.succeeded - now.failed;
  }

  async #end(job: OpenJob, ending: 'expired' | 'cancelled', kind: JobKind): Promise<void> {
    const now = this.#host.clock.now();
    const error = kind[ending];
    if (ending === 'cancelled' && !this.#cancelledAt.has(job.id)) this.#cancelledAt.set(job.id, now);
    const isOverdue = now - (this.#cancelledAt.get(job.id) ?? now) >= CANCEL_MAX_MS;
    for (const lane of this.#lanes.values()) {
      if (lane.job.id !== job.id) continue;
      for (const run of lane.runs) {
        run.withdraw();
        if (isOverdue) run.sink.leave();
      }
    }
    while ((await this.#host.store.endQueued(job.id, error)) > 0);
  }

  /** Validates or finishes a job, unless another runner does. What fails is tried again at the next beat. */
  #work(job: OpenJob, work: (runner: number) => Promise<void>): void {
    const runner = this.#registration.number;
    if (runner === null || this.#stopped || this.#working.has(job.id) || this.#working.size >= WORKING_MAX) return;
    const run = async (): Promise<void> => {
      let isDone = false;
      try {
        if (!(await this.#host.store.claimJob(job.id, runner))) return;
        await work(runner);
        isDone = true;
      } catch (error) {
        if (!this.#closing.signal.aborted)
          this.#host.warn(
            `${job.id} can not be ${job.state === 'finalizing' ? 'finished' : 'validated'}; it is tried again`,
            messageOf(error),
          );
      } finally {
        this.#working.delete(job.id);
        if (isDone) this.wake();
      }
    };
    this.#working.set(job.id, run());
  }

  #laneOf(job: OpenJob, kind: JobKind, model: string, isEnding: boolean): RunningLane {
    const { clock } = this.#host;
    const key = `${job.id} ${model}`;
    const endsAt = clock.now() + job.endsAtMs - clock.epochMs();
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      const runs = new Set<ItemRun>();
      lane = {
        key,
        job,
        kind,
        model,
        runs,
        running: 0,
        isLeasing: false,
        isUnsure: false,
        hasMore: true,
        timer: null,
        isEnding,
        succeededAt: -Infinity,
        endsAt,
        failing: new FailingItems(),
      };
      this.#lanes.set(key, lane);
    }
    lane.job = job;
    lane.endsAt = endsAt;
    lane.isEnding = isEnding;
    lane.hasMore = true; // another process may have put something back
    return lane;
  }

  #pumpAll(): void {
    for (const lane of this.#lanes.values()) this.#pump(lane);
  }

  #pump(lane: RunningLane): void {
    const runner = this.#registration.number;
    if (this.#stopped || runner === null || lane.isEnding || lane.isLeasing || !lane.hasMore) return;
    const waiting = lane.runs.size - lane.running;
    const wanted = Math.max(WAITING_MIN, 2 * lane.running) - waiting;
    if (wanted <= 0) return;
    // Each lane has its share, so that a fast one leaves the others theirs.
    const shareMax = Math.max(WAITING_MIN, Math.ceil(ITEMS_MAX / this.#lanes.size));
    const room = Math.min(wanted, shareMax - lane.runs.size, ITEMS_MAX - this.#items);
    this.#isFull = room <= 0 || this.#bodyBytes >= BODIES_MAX;
    if (this.#isFull) return;
    lane.isLeasing = true;
    void this.#lease(lane, runner, room).finally(() => {
      lane.isLeasing = false;
      this.#pump(lane);
    });
  }

  async #lease(lane: RunningLane, runner: number, countMax: number): Promise<void> {
    const { store, clock } = this.#host;
    const query = { runner, job: lane.job.id, model: lane.model, countMax, bytesMax: LEASE_BYTES_MAX, nowMs: clock.epochMs() };
    const known = lane.isUnsure ? { known: [...lane.runs].map(({ item }) => item.n) } : {};
    try {
      const { items, nextAtMs, hasMore } = await store.lease({ ...query, ...known });
      lane.isUnsure = false;
      lane.hasMore = hasMore;
      for (const item of items) this.#start(lane, item);
      lane.timer?.cancel();
      lane.timer = nextAtMs === null || this.#stopped ? null : clock.schedule(nextAtMs - clock.epochMs(), () => this.#due(lane));
    } catch {
      lane.isUnsure = true;
      lane.hasMore = false; // the next beat tries again, and warns
    }
  }

  #due(lane: RunningLane): void {
    lane.timer = null;
    lane.hasMore = true;
    this.#pump(lane);
  }

  #start(lane: RunningLane, item: LeasedItem): void {
    let bytes = item.body.byteLength;
    const hooks: ItemHooks = {
      sent: () => {
        lane.running++;
        this.#pump(lane);
      },
      hold: (more) => {
        if (this.#bodyBytes + more > BODIES_MAX) return false;
        this.#bodyBytes += more;
        bytes += more;
        return true;
      },
    };
    const run = new ItemRun(this.#host, lane, item, hooks, this.#closing.signal);
    lane.runs.add(run);
    this.#byRequest.set(run.requestId, run);
    this.#stopListening ??= this.#host.onAttempts({
      begun: (id) => this.#byRequest.get(id)?.callBegan(),
      ended: (id, end) => this.#byRequest.get(id)?.callEnded(end),
    });
    this.#items++;
    this.#bodyBytes += bytes;
    if (this.#stopped || lane.isEnding) run.withdraw();
    void run.run().then((isLast) => {
      lane.runs.delete(run);
      this.#byRequest.delete(run.requestId);
      if (run.wasSent) lane.running--;
      this.#items--;
      this.#bodyBytes -= bytes;
      this.#ended(lane, run, isLast);
    });
  }

  #ended(lane: RunningLane, run: ItemRun, isLast: boolean): void {
    if (this.#items === 0) this.#idle();
    this.#forgetIfIdle(lane);
    if (isLast || (lane.isEnding && lane.runs.size === 0)) this.wake();
    // What was put back is due later: only the store knows when.
    if (!run.isDone) lane.hasMore = true;
    if (this.#isFull) this.#pumpAll();
    else this.#pump(lane);
  }

  #idle(): void {
    this.#stopListening?.();
    this.#stopListening = null;
    for (const tell of this.#whenIdle.splice(0)) tell();
  }

  #forgetIfIdle(lane: RunningLane): void {
    if (!lane.isEnding || lane.runs.size > 0 || this.#lanes.get(lane.key) !== lane) return;
    lane.timer?.cancel();
    this.#lanes.delete(lane.key);
  }
}
