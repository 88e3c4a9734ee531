/** The provider batches of one job: selects and hands over its items, and saves the state of its batches. */
import { messageOf } from '../../core/errors.ts';
import type { DeliveredResponse } from '../../pipeline/request/gateway-request.ts';
import type { Lease, LeasedItem, OpenJob } from '../../store/jobs/job-store.ts';
import type { JobHost } from '../host.ts';
import { createId } from '../ids.ts';
import type { JobKind } from '../kinds.ts';
import { saved, sleep } from '../saved.ts';
import { apiOf } from './api-of.ts';
import type { BatchApi } from './batch-api.ts';
import { encodePart, Withheld } from './encode-item.ts';
import { endHandover } from './end-handover.ts';
import { NativeBatch, type BatchInput, type BatchOwner } from './native-batch.ts';
import { HeldElsewhere, nativeData, type NativeData, type NativeRecord, type NativeTarget } from './native-host.ts';
import type { KnownRemotes, NativeRunner, NativeScope, NativeShared } from './native-shared.ts';

/** Jobs with less time left are not handed over; in milliseconds. */
export const WINDOW_MIN_MS = 3_600_000;
/** The share of the remaining time after which a batch is taken back. */
const SHARE_MAX = 0.75;
/** The size of one batch at a provider: items, and bytes of their bodies. */
const ITEMS_MAX = 10_000;
const BYTES_MAX = 16 * 1024 * 1024;
/** Batches of one job at the same time. */
const BATCHES_MAX = 20;
/** Items of one lease, which are encoded in one turn of the event loop. */
const LEASE_MAX = 100;
const LEASE_BYTES_MAX = 4 * 1024 * 1024;
/** The most that one batch holds in memory while it is created. */
const INPUT_BYTES = BYTES_MAX + LEASE_BYTES_MAX;
/** Items that one call of the store changes. */
const SAVED_MAX = 500;
/** Items that can't be handed over run here; beyond this number in one batch, all remaining items do. */
const UNFIT_MAX = 200;
/** After a fault of the store, or while the configuration does not allow a model; in milliseconds. */
const PLAN_AGAIN_MS = 3_000;

const OPEN = ['in_progress', 'cancelling'] as const;

interface Gathered extends BatchInput {
  readonly items: readonly LeasedItem[];
}

export class NativeJob implements BatchOwner {
  runner = 0;
  endsBecause: BatchOwner['endsBecause'] = null;
  readonly stopping: AbortSignal;
  readonly closing: AbortSignal;
  readonly #host: JobHost;
  readonly #runner: NativeRunner;
  readonly #kind: JobKind;
  readonly #shared: NativeShared;
  readonly #ending = new AbortController();
  readonly #stop = new AbortController();
  #job: OpenJob;
  #records: NativeRecord[] = []; // at most BATCHES_MAX
  #planned: Set<string>;
  #former: readonly string[] = []; // at most BATCHES_MAX
  readonly #batches = new Set<Promise<void>>();
  #running: Promise<void> | null = null;
  /** The outcome of a lease may have been lost. */
  #isUnsure = false;

  constructor(host: JobHost, runner: NativeRunner, kind: JobKind, job: OpenJob, scope: NativeScope) {
    this.#host = host;
    this.#runner = runner;
    this.#kind = kind;
    this.#job = job;
    this.#planned = new Set(nativeData(job).planned);
    this.#shared = scope.shared;
    this.stopping = AbortSignal.any([scope.stopping, this.#stop.signal]);
    this.closing = scope.closing;
  }

  get remotes(): KnownRemotes {
    return this.#shared.remotes;
  }

  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  get isBusy(): boolean {
    return this.#running !== null;
  }

  /** Batches at providers are not forgotten yet. */
  get holdsBatches(): boolean {
    return this.#running !== null && this.#records.length > 0;
  }

  /** Items of the model that are queued are not run here yet. */
  keeps(model: string): boolean {
    return this.endsBecause === null && !this.#planned.has(model) && !this.#isTooLate;
  }

  /** Takes the job's latest state, and starts the work on it unless another process holds it. */
  look(job: OpenJob): void {
    this.#job = job;
    if (job.ending !== null && this.endsBecause === null) {
      this.endsBecause = job.ending;
      this.#ending.abort();
    }
    if (this.#running !== null) return;
    for (const model of nativeData(job).planned) this.#planned.add(model);
    const isDone = this.#records.length === 0 && (job.ending !== null || job.models.every((model) => this.#planned.has(model)));
    if (!isDone || nativeData(job).batches.length > 0) this.#running = this.#run().finally(() => (this.#running = null));
  }

  /** Resolves once nothing of it is running. */
  async idle(): Promise<void> {
    await this.#running;
  }

  /** The job was deleted: its batches are cancelled. */
  async abandon(): Promise<void> {
    this.#stop.abort();
    await this.idle();
    for (const record of this.#records) await this.#batchOf(record)?.abandon();
  }

  allows(model: string): Promise<boolean> {
    return this.#runner.allows(this.#job.id, model);
  }

  run(model: string, item: LeasedItem, delivered: DeliveredResponse): Promise<void> {
    return this.#runner.run(this.#job.id, model, item, delivered);
  }

  async save(): Promise<void> {
    const native: NativeData = { batches: this.#records, planned: [...this.#planned], former: this.#former };
    const change = { heldBy: this.runner, data: { native } };
    const changed = await saved(this.#host, this.closing, () => this.#host.store.changeJob(this.#job.id, OPEN, change));
    if (changed === null || changed === undefined) throw new HeldElsewhere();
  }

  get #isTooLate(): boolean {
    return this.#job.endsAtMs - this.#host.clock.epochMs() < WINDOW_MIN_MS;
  }

  /** Another process holds the job now. */
  get isLost(): boolean {
    return this.#stop.signal.aborted;
  }

  async #run(): Promise<void> {
    const { store } = this.#host;
    const { number } = this.#runner;
    if (number === null || this.stopping.aborted) return;
    try {
      if (!(await store.claimJob(this.#job.id, number))) return;
      this.runner = number;
      const job = await store.getJob(this.#job.client, this.#job.id);
      if (job === null) return;
      const { batches, planned, former = [] } = nativeData(job);
      this.#records = batches.map((record) => ({ ...record }));
      this.#planned = new Set(planned);
      this.#former = former;
      for (const remote of [...former, ...batches.map((record) => record.remote)]) if (remote !== null) this.remotes.add(remote);
      const isOver = job.succeeded + job.failed >= job.total;
      const resumed = this.#records.map((record) => this.#resume(record, isOver));
      await Promise.all(resumed); // items of a batch that was never created are planned again
      await this.#planAll();
    } catch (error) {
      this.#noteFault(error, `the provider's batches of ${this.#job.id} are paused`);
    }
    while (this.#batches.size > 0) await Promise.race(this.#batches);
  }

  #noteFault(error: unknown, what: string): void {
    if (error instanceof HeldElsewhere) this.#stop.abort();
    else if (!this.stopping.aborted) this.#host.warn(what, messageOf(error));
  }

  /** Models that the configuration does not allow are planned again later, and do not delay the others. */
  async #planAll(): Promise<void> {
    for (let left = this.#job.models; left.length > 0 && !this.stopping.aborted;) {
      const withheld: string[] = [];
      for (const model of left) if (!(await this.#planInsistently(model))) withheld.push(model);
      left = withheld;
      if (left.length > 0) await sleep(this.#host, PLAN_AGAIN_MS, AbortSignal.any([this.stopping, this.ending]));
    }
  }

  /** False: the configuration does not allow its items at present. */
  async #planInsistently(model: string): Promise<boolean> {
    for (;;) {
      try {
        await this.#plan(model);
        if (this.#isUnsure && !this.stopping.aborted) await this.#recover(model);
        return true;
      } catch (error) {
        if (error instanceof Withheld) return false;
        if (error instanceof HeldElsewhere || this.stopping.aborted) throw error;
        this.#isUnsure = true;
        this.#noteFault(error, `the requests of ${this.#job.id} can't be handed over at present`);
        await sleep(this.#host, PLAN_AGAIN_MS, this.stopping);
      }
    }
  }

  /** Hands over what is queued of a model, batch by batch. */
  async #plan(model: string): Promise<void> {
    if (this.#planned.has(model) || this.endsBecause !== null) return;
    while (this.keeps(model) && this.#host.native.isOn() && !this.stopping.aborted) {
      while (this.#batches.size >= BATCHES_MAX) await Promise.race(this.#batches);
      if (!(await this.allows(model))) throw new Withheld();
      const target = this.#host.native.find(model);
      if (target === null) break;
      const isMore = await this.#handOver(model, target);
      if (!isMore) break;
    }
    if (this.stopping.aborted) return;
    this.#planned.add(model);
    await this.save();
    this.#runner.onQueued(this.#job.id);
  }

  /** Hands over one batch. False if no items are left for another, or the provider accepts none. */
  async #handOver(model: string, target: NativeTarget): Promise<boolean> {
    const { inputs } = this.#shared;
    if (!(await inputs.take(INPUT_BYTES, AbortSignal.any([this.stopping, this.ending])))) return false;
    let bytes = INPUT_BYTES;
    try {
      if (!this.keeps(model)) return false;
      const id = createId(this.#host.random, 'nb');
      const { gathered, isMore } = await this.#gather(id, model, target, apiOf(this.#host, target, this.closing));
      if (gathered === null) return isMore;
      bytes = gathered.parts.reduce((sum, part) => sum + part.byteLength, 0);
      inputs.give(INPUT_BYTES - bytes);
      return await this.#submit(id, model, target, gathered, isMore);
    } finally {
      inputs.give(bytes);
    }
  }

  async #submit(id: string, model: string, target: NativeTarget, gathered: Gathered, isMore: boolean): Promise<boolean> {
    const { clock, store } = this.#host;
    const nowMs = clock.epochMs();
    const { state } = target.target;
    if (this.ending.aborted || this.isLost) return this.#putBack(gathered.items);
    // The items of a runner that stops are queued again.
    if (this.stopping.aborted) return isMore;
    const record: NativeRecord = {
      id,
      model,
      target: state.name,
      credential: state.credential.id,
      items: gathered.items.length,
      createdAtMs: nowMs,
      takeBackAtMs: nowMs + (this.#job.endsAtMs - nowMs) * SHARE_MAX,
      stage: 'uploading',
      file: null,
      remote: null,
    };
    this.#records.push(record);
    try {
      await this.save();
    } catch (error) {
      await this.#putBack(gathered.items);
      throw error;
    }
    for (let from = 0; from < gathered.items.length; from += SAVED_MAX) {
      const items = gathered.items.slice(from, from + SAVED_MAX);
      await saved(this.#host, this.closing, () => store.handOver(items, id));
    }
    const batch = new NativeBatch(this.#host, this.#job.id, this, record, target, apiOf(this.#host, target, this.closing));
    const isTaken = await batch.submit(gathered);
    if (isTaken) this.#start(batch);
    else await this.#forget(record);
    return isMore && isTaken;
  }

  /** Leases and encodes items without an earlier round. Those that can't be handed over run here. */
  async #gather(
    id: string,
    model: string,
    target: NativeTarget,
    api: BatchApi,
  ): Promise<{ readonly gathered: Gathered | null; readonly isMore: boolean }> {
    const lane = { job: this.#job, kind: this.#kind };
    const held = new Set<LeasedItem>(); // leased and not run here, in the order of `parts`
    const parts: Uint8Array[] = [];
    let first: Pick<BatchInput, 'path' | 'headers'> | null = null;
    let [bytes, unfit] = [0, 0];
    let isMore = true;
    try {
      while (isMore && held.size < ITEMS_MAX && bytes < BYTES_MAX && !this.stopping.aborted && !this.ending.aborted) {
        const lease = await this.#lease(model, Math.min(LEASE_MAX, ITEMS_MAX - held.size));
        isMore = lease.hasMore;
        for (const item of lease.items) held.add(item);
        for (const item of lease.items) {
          const isNew = item.rounds === 0 && item.repeated === 0;
          // Items with an earlier round come last.
          if (!isNew) isMore = false;
          const encoded = isNew ? await encodePart(this.#host, lane, item, target.target, api, `${id}-${item.n}`) : null;
          if (encoded === null || (first !== null && first.path !== encoded.path)) {
            if (++unfit >= UNFIT_MAX) isMore = false;
            held.delete(item);
            void this.#runner.run(this.#job.id, model, item, null);
            continue;
          }
          const { path, headers, part } = encoded;
          first ??= { path, headers };
          bytes += part.byteLength;
          parts.push(part);
        }
      }
    } catch (error) {
      await this.#putBack([...held]);
      throw error;
    }
    return { gathered: first === null ? null : { ...first, parts, items: [...held].map(withoutBody) }, isMore };
  }

  /** Queues the items of a lease whose outcome was lost. */
  async #recover(model: string): Promise<void> {
    const { items } = await this.#lease(model, 1);
    await this.#putBack(items);
  }

  async #lease(model: string, countMax: number): Promise<Lease> {
    const { store, clock } = this.#host;
    const { id: job } = this.#job;
    const query = { runner: this.runner, job, model, countMax, bytesMax: LEASE_BYTES_MAX, nowMs: clock.epochMs() };
    const lease = await store.lease(this.#isUnsure ? { ...query, known: this.#runner.known(job, model) } : query);
    this.#isUnsure = false;
    return lease;
  }

  /** Returns false, for a caller that ends with it. */
  async #putBack(items: readonly LeasedItem[]): Promise<false> {
    const requeue = { notBeforeMs: 0, round: false, strike: false, note: '' };
    const put = (item: LeasedItem) => saved(this.#host, this.closing, () => this.#host.store.requeueItem(item, requeue));
    await Promise.all(items.map(put));
    this.#runner.onQueued(this.#job.id);
    return false;
  }

  /** After a restart: a batch that exists continues, beside others; the items of one that does not exist are queued. */
  async #resume(record: NativeRecord, isOver: boolean): Promise<void> {
    try {
      const batch = this.#batchOf(record);
      if (batch === null) await this.#endUnknown(record);
      else if (isOver) await batch.discard();
      else if (await batch.resume()) return this.#start(batch);
      if (!this.stopping.aborted) await this.#forget(record);
    } catch (error) {
      this.#notePaused(record, error);
    }
  }

  /** Runs a batch to its end, beside others. */
  #start(batch: NativeBatch): void {
    const { record } = batch;
    const run = async (): Promise<void> => {
      try {
        await batch.run();
        if (!this.stopping.aborted) await this.#forget(record);
      } catch (error) {
        this.#notePaused(record, error);
      }
    };
    const running = run().finally(() => this.#batches.delete(running));
    this.#batches.add(running);
  }

  #notePaused(record: NativeRecord, error: unknown): void {
    this.#noteFault(error, `the batch ${record.remote ?? record.id} of ${record.target} is paused`);
  }

  async #forget(record: NativeRecord): Promise<void> {
    this.#records = this.#records.filter((other) => other !== record);
    if (record.remote !== null) this.#former = [...this.#former, record.remote].slice(-BATCHES_MAX);
    await this.save();
    this.#runner.onQueued(this.#job.id);
  }

  /** Its provider or key is no longer in the config. */
  async #endUnknown({ id }: NativeRecord): Promise<void> {
    const note = 'the provider of the batch is no longer configured';
    await endHandover(this.#host, this.closing, { job: this.#job.id, batch: id, repeated: true, round: true, note });
  }

  #batchOf(record: NativeRecord): NativeBatch | null {
    const target = this.#host.native.findOwner(record.model, record);
    return target === null
      ? null
      : new NativeBatch(this.#host, this.#job.id, this, record, target, apiOf(this.#host, target, this.closing));
  }
}

const NO_BODY = new Uint8Array(0);

/** Releases the body: it is encoded already, and a batch has thousands. */
function withoutBody(item: LeasedItem): LeasedItem {
  return { ...item, body: NO_BODY };
}
