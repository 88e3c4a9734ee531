/**
 * One batch at a provider, from its input to its results.
 *
 * Each step is saved before it is made: `uploading`, `creating`, `running`. After a crash a batch that was only uploaded is given up, one that
 * may have been created is looked for, and one that runs is polled again. It ends in one of these ways:
 *
 *   results    each item ends with its result; what failed or was not processed is queued again
 *   refusal    the provider does not take it, or fails to validate it: all items are queued again
 *   late       it is cancelled at `takeBackAtMs`, or with its job; what was done until then is kept, the rest is queued again
 *
 * Items that are queued again run as all others do, and are not handed over a second time.
 */
import type { LeasedItem } from '../../store/jobs/job-store.ts';
import type { DeliveredResponse } from '../../pipeline/request/gateway-request.ts';
import type { JobHost } from '../host.ts';
import { saved, sleep } from '../saved.ts';
import { ProviderRefusal, type BatchApi, type RemoteBatch, type RemoteResult } from './batch-api.ts';
import { HeldElsewhere, type NativeRecord, type NativeTarget } from './native-host.ts';
import { storedTransport } from './stored-transport.ts';

/** Between two looks at a batch, by their number, in milliseconds. */
const POLLS_MS = [2_000, 4_000, 8_000, 15_000, 30_000, 60_000];
/** A creation that is refused for a limit or an outage is tried again for so long, in milliseconds. */
const SUBMIT_MAX_MS = 30 * 60_000;
/** A cancelled batch ends within this, in milliseconds: of a cancelled job, and of one whose time is over. */
const CANCEL_MAX_MS = 10 * 60_000;
const EXPIRED_MAX_MS = 60_000;
/** Downloads of results that break off, or lack some. */
const DOWNLOADS_MAX = 5;
/** Results that are processed at the same time. */
const RESULTS_MAX = 16;

/** What a batch needs of its job. */
export interface BatchOwner {
  /** Its place among the runners. */
  readonly runner: number;
  /** Aborted: nothing new is started. */
  readonly stopping: AbortSignal;
  /** Aborted: nothing is waited for. */
  readonly closing: AbortSignal;
  /** Aborted: the job was cancelled, or its time is over. */
  readonly ending: AbortSignal;
  /** Why; null: it is not ending. */
  readonly endsBecause: 'expired' | 'cancelled' | null;
  /** Saves the records of the job. Throws `HeldElsewhere`. */
  save(): Promise<void>;
  /** Runs an item to the end of its round. */
  run(model: string, item: LeasedItem, delivered: DeliveredResponse): Promise<void>;
}

export interface BatchInput {
  readonly path: string;
  /** Of the first request: names alternating with values. */
  readonly headers: readonly string[];
  readonly parts: readonly Uint8Array[];
}

/** The items that a batch still holds return to the queue. `repeated`: some may have been processed. */
type End = { readonly repeated: boolean; readonly note: string };

const NOT_PROCESSED = (note: string): End => ({ repeated: false, note });
const MAYBE_PROCESSED = (note: string): End => ({ repeated: true, note });

export class NativeBatch {
  readonly record: NativeRecord;
  readonly #host: JobHost;
  readonly #job: string;
  readonly #owner: BatchOwner;
  readonly #target: NativeTarget;
  readonly #api: BatchApi;
  #results: readonly string[] = [];

  constructor(host: JobHost, job: string, owner: BatchOwner, record: NativeRecord, target: NativeTarget, api: BatchApi) {
    this.#host = host;
    this.#job = job;
    this.#owner = owner;
    this.record = record;
    this.#target = target;
    this.#api = api;
  }

  /** Uploads and creates it. False: it has ended, and its items are queued again. */
  async submit(input: BatchInput): Promise<boolean> {
    try {
      this.record.file = await this.#insisting(() => this.#api.upload(this.record, input.parts));
      this.record.stage = 'creating';
      await this.#owner.save();
      this.record.remote = await this.#insisting(() => this.#create(input));
      this.record.stage = 'running';
      await this.#owner.save();
      return true;
    } catch (error) {
      if (!(error instanceof ProviderRefusal) || this.#owner.stopping.aborted) throw error;
      const note = `the provider's batch API refused the request: ${error.message}`;
      this.#host.warn(`a batch of ${this.record.target} can't be created; its requests run one by one`, error.message);
      await this.#end(error.isAmbiguous && this.record.stage === 'creating' ? MAYBE_PROCESSED(note) : NOT_PROCESSED(note));
      return false;
    }
  }

  /** After a restart: whether it exists. */
  async resume(): Promise<boolean> {
    const { record } = this;
    if (record.stage === 'running') return true;
    const note = 'the gateway stopped before the batch was created at the provider';
    if (record.stage === 'creating') {
      const found = await this.#find();
      if (found === 'unknown') return this.#end(MAYBE_PROCESSED(note));
      record.remote = found;
    }
    if (record.remote === null) return this.#end(NOT_PROCESSED(note));
    record.stage = 'running';
    await this.#owner.save();
    return true;
  }

  /** Polls it, and collects its results. Resolves when it has ended, or when the gateway stops. */
  async run(): Promise<void> {
    const { clock } = this.#host;
    let giveUpAtMs = Infinity;
    for (let polls = 0; !this.#owner.stopping.aborted; polls++) {
      const isEnding = this.#owner.endsBecause !== null;
      if (giveUpAtMs === Infinity && (isEnding || clock.epochMs() >= this.record.takeBackAtMs)) {
        await this.#api.cancel(this.record.remote!);
        giveUpAtMs = clock.epochMs() + (this.#owner.endsBecause === 'expired' ? EXPIRED_MAX_MS : CANCEL_MAX_MS);
        polls = 0;
      }
      const end = await this.#look(giveUpAtMs < Infinity);
      if (end !== null) return void (await this.#end(end));
      if (this.#owner.stopping.aborted) return;
      if (clock.epochMs() >= giveUpAtMs) {
        return void (await this.#end(MAYBE_PROCESSED('the provider did not deliver the result of its batch in time')));
      }
      await this.#pause(polls, giveUpAtMs);
    }
  }

  /** Its job is gone. */
  async abandon(): Promise<void> {
    if (this.record.remote !== null) await this.#api.cancel(this.record.remote);
  }

  #pause(polls: number, giveUpAtMs: number): Promise<void> {
    const { clock, random } = this.#host;
    const pauseMs = POLLS_MS[Math.min(polls, POLLS_MS.length - 1)]! * (0.75 + random.next() / 2);
    const untilMs = giveUpAtMs < Infinity ? giveUpAtMs : this.record.takeBackAtMs;
    const { stopping, ending } = this.#owner;
    const signal = giveUpAtMs < Infinity ? stopping : AbortSignal.any([stopping, ending]);
    return sleep(this.#host, Math.max(1, Math.min(pauseMs, untilMs - clock.epochMs())), signal);
  }

  /** Null: it is still running, as far as is known. `isCancelled`: it was cancelled here. */
  async #look(isCancelled: boolean): Promise<End | null> {
    let remote: RemoteBatch | null;
    try {
      remote = await this.#api.get(this.record.remote!);
    } catch (error) {
      if (error instanceof ProviderRefusal) return null;
      throw error;
    }
    if (remote === null) return MAYBE_PROCESSED('the provider does not have the batch any more');
    if (remote.state === 'running') return null;
    if (remote.state === 'failed') {
      this.#host.warn(`a batch of ${this.record.target} was refused; its requests run one by one`, remote.message);
      return NOT_PROCESSED(`the provider refused the batch: ${remote.message}`);
    }
    // Some providers name the files of results later than the end.
    if (remote.results.length === 0 && (remote.expected ?? 0) > 0) return null;
    return this.#collect(remote, isCancelled);
  }

  /** Null: the gateway stops. */
  async #collect(remote: RemoteBatch, isCancelled: boolean): Promise<End | null> {
    this.#results = remote.results;
    for (let downloads = 1; ; downloads++) {
      const seen = new Set<string>();
      let isWhole = true;
      try {
        for (const path of remote.results) await this.#read(path, seen);
        isWhole = remote.expected === null || seen.size >= Math.min(remote.expected, this.record.items);
      } catch (error) {
        if (error instanceof HeldElsewhere) throw error;
        isWhole = false;
      }
      if (this.#owner.stopping.aborted) return null;
      if (isWhole)
        return NOT_PROCESSED(
          isCancelled ? 'the provider did not process the request in time' : 'the batch of the provider ended without the request',
        );
      if (downloads === DOWNLOADS_MAX) return MAYBE_PROCESSED('the results of the provider can not be read');
      await sleep(this.#host, 1_000 * 2 ** downloads, this.#owner.stopping);
    }
  }

  async #read(path: string, seen: Set<string>): Promise<void> {
    const running = new Set<Promise<void>>();
    const faults: unknown[] = [];
    for await (const result of this.#api.results(path)) {
      if (this.#owner.stopping.aborted) break;
      seen.add(result.customId);
      if (running.size >= RESULTS_MAX) await Promise.race(running);
      const taking: Promise<void> = this.#take(result)
        .catch((error: unknown) => void faults.push(error))
        .finally(() => running.delete(taking));
      running.add(taking);
    }
    await Promise.all(running);
    if (faults.length > 0) throw faults[0];
  }

  /** Ends the item of a result, unless it has ended before. */
  async #take({ customId, kind, body, requestId, message }: RemoteResult): Promise<void> {
    const prefix = `${this.record.id}-`;
    const n = Number(customId.slice(prefix.length));
    if (!customId.startsWith(prefix) || !Number.isSafeInteger(n)) return;
    const { runner, closing } = this.#owner;
    const query = { job: this.#job, n, batch: this.record.id, runner };
    const item = await saved(this.#host, closing, () => this.#host.store.takeBack(query));
    if (item === undefined || item === null) return;
    if (kind === 'done')
      return this.#owner.run(this.record.model, item, { target: this.#target.target, transport: storedTransport(body, requestId) });
    const requeue = { notBeforeMs: Math.floor(this.#host.clock.epochMs()), round: true, strike: false, note: message };
    await saved(this.#host, closing, () => this.#host.store.requeueItem(item, requeue));
  }

  /** Returns false, for callers that end with it. */
  async #end({ repeated, note }: End): Promise<false> {
    const { store } = this.#host;
    const end = { job: this.#job, batch: this.record.id, repeated, note };
    for (let ended = 1; ended > 0;) ended = (await saved(this.#host, this.#owner.closing, () => store.endHandover(end))) ?? 0;
    void this.#api.cleanUp(this.record, this.#results);
    return false;
  }

  /** A creation whose reply was lost is looked for before it is repeated. */
  async #create(input: BatchInput): Promise<string> {
    try {
      return await this.#api.create(this.record, input);
    } catch (error) {
      if (!(error instanceof ProviderRefusal) || !error.isAmbiguous) throw error;
      const found = await this.#find();
      if (found !== null && found !== 'unknown') return found;
      throw error;
    }
  }

  async #find(): Promise<string | null | 'unknown'> {
    for (let tries = 1; ; tries++) {
      const found = await this.#api.find(this.record);
      if (found !== 'unknown' || tries === DOWNLOADS_MAX || this.#owner.stopping.aborted) return found;
      await sleep(this.#host, 1_000 * 2 ** tries, this.#owner.stopping);
    }
  }

  /** Repeats what may pass. Throws the last refusal. */
  async #insisting<T>(act: () => Promise<T>): Promise<T> {
    const { clock } = this.#host;
    const untilMs = Math.min(clock.epochMs() + SUBMIT_MAX_MS, this.record.takeBackAtMs);
    for (let tries = 0; ; tries++) {
      try {
        return await act();
      } catch (error) {
        if (!(error instanceof ProviderRefusal) || !error.mayPass) throw error;
        const pauseMs = error.reply.retryAfterMs ?? POLLS_MS[Math.min(tries, POLLS_MS.length - 1)]!;
        const { stopping, ending } = this.#owner;
        if (clock.epochMs() + pauseMs >= untilMs || ending.aborted) throw error;
        await sleep(this.#host, pauseMs, AbortSignal.any([stopping, ending]));
        if (stopping.aborted || ending.aborted) throw error;
      }
    }
  }
}
