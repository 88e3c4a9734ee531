/**
 * One batch at a provider, from its input to its results.
 *
 * Each step is saved before it is taken: `uploading`, `creating`, `running`. After a crash, a batch that was only uploaded is dropped, one that
 * may have been created is searched for, and a running one is polled again. The items of one that was never created are planned again, in a
 * new batch. It ends in one of these ways:
 *
 *   results    each item ends with its result; what failed or was not processed is queued again
 *   refusal    the provider rejects it, at its creation or in its validation: all items are queued again
 *   late       it is cancelled at `takeBackAtMs`, or with its job; what was done until then is kept, the rest is queued again
 *
 * Items that are queued after these run as all others do, and are not handed over a second time.
 */
import type { HandoverEnd, LeasedItem } from '../../store/jobs/job-store.ts';
import type { DeliveredResponse } from '../../pipeline/request/gateway-request.ts';
import type { JobHost } from '../host.ts';
import { saved, sleep } from '../saved.ts';
import { ProviderRefusal, type BatchApi, type FoundBatch, type RemoteBatch, type RemoteResult } from './batch-api.ts';
import { endHandover } from './end-handover.ts';
import { HeldElsewhere, type NativeRecord, type NativeTarget } from './native-host.ts';
import type { KnownRemotes } from './native-shared.ts';
import { storedTransport } from './stored-transport.ts';

/** Between two polls of a batch, by their number, in milliseconds. */
const POLLS_MS = [2_000, 4_000, 8_000, 15_000, 30_000, 60_000];
/** How long a creation is retried after refusals by a limit or an outage, in milliseconds. */
const SUBMIT_MAX_MS = 30 * 60_000;
/** How long a cancelled batch may take to end, in milliseconds: of a cancelled job, and of an expired one. */
const CANCEL_MAX_MS = 10 * 60_000;
const EXPIRED_MAX_MS = 60_000;
/** How often a batch of a deleted job is cancelled, until that is accepted. */
const CANCELS_MAX = 5;
/** How long the deletion of the provider's files is waited for, in milliseconds. */
const CLEAN_UP_MAX_MS = 10_000;
/** Downloads of results that are incomplete, before the rest counts as lost. */
const DOWNLOADS_MAX = 5;
/** Results processed at the same time. */
const RESULTS_MAX = 16;

/** What a batch needs from its job. */
export interface BatchOwner {
  /** The number of this process among the runners. */
  readonly runner: number;
  /** Aborted: nothing new may start. */
  readonly stopping: AbortSignal;
  /** Aborted: nothing may be waited for. */
  readonly closing: AbortSignal;
  /** Aborted when the job is cancelled or expires. */
  readonly ending: AbortSignal;
  /** Why the job is ending; null: it is not. */
  readonly endsBecause: 'expired' | 'cancelled' | null;
  /** Batches at providers that belong to any record. */
  readonly remotes: KnownRemotes;
  /** Saves the records of the job. Throws `HeldElsewhere`. */
  save(): Promise<void>;
  /** Whether the configuration allows items of the model now. If not, their results stay at the provider. */
  allows(model: string): Promise<boolean>;
  /** Runs an item to the end of its round. */
  run(model: string, item: LeasedItem, delivered: DeliveredResponse): Promise<void>;
}

export interface BatchInput {
  readonly path: string;
  /** Of the first request: names alternating with values. */
  readonly headers: readonly string[];
  readonly parts: readonly Uint8Array[];
}

/** How the items that the batch still holds return to the queue. */
type End = Pick<HandoverEnd, 'repeated' | 'round' | 'note'>;

const NOT_SENT = (note: string): End => ({ repeated: false, round: false, note });
const NOT_PROCESSED = (note: string): End => ({ repeated: false, round: true, note });
const MAYBE_PROCESSED = (note: string): End => ({ repeated: true, round: true, note });

export class NativeBatch {
  readonly record: NativeRecord;
  readonly #host: JobHost;
  readonly #job: string;
  readonly #owner: BatchOwner;
  readonly #target: NativeTarget;
  readonly #api: BatchApi;
  #results: readonly string[] = [];
  /** Results are there, and the configuration does not allow them to be read. */
  #isWithheld = false;

  constructor(host: JobHost, job: string, owner: BatchOwner, record: NativeRecord, target: NativeTarget, api: BatchApi) {
    this.#host = host;
    this.#job = job;
    this.#owner = owner;
    this.record = record;
    this.#target = target;
    this.#api = api;
  }

  /** Uploads and creates it. False if it was refused; its items are queued again. */
  async submit(input: BatchInput): Promise<boolean> {
    try {
      this.record.file = await this.#insisting(() => this.#api.upload(this.record, input.parts));
      this.record.stage = 'creating';
      await this.#owner.save();
      await this.#insisting(() => this.#create(input));
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

  /** After a restart: whether it exists. The items of a batch that does not exist may be handed over again. */
  async resume(): Promise<boolean> {
    const { record } = this;
    if (record.stage === 'running') return true;
    const note = 'the gateway stopped before the batch was created at the provider';
    if (record.stage === 'creating') {
      const found = await this.#find();
      if (found === null && this.#owner.stopping.aborted) return true; // the next process continues
      if (found === null) return this.#end(MAYBE_PROCESSED(note));
      this.#adopt(found);
    }
    if (record.remote === null) return this.#end(NOT_SENT(note));
    record.stage = 'running';
    await this.#owner.save();
    return true;
  }

  /** Polls it and collects its results. Resolves once it has ended, or the gateway is stopping. */
  async run(): Promise<void> {
    const { clock } = this.#host;
    let giveUpAtMs = Infinity;
    let isCancelled = false;
    for (let polls = 0; !this.#owner.stopping.aborted; polls++) {
      const isEnding = this.#owner.endsBecause !== null || clock.epochMs() >= this.record.takeBackAtMs;
      if (isEnding && !isCancelled) isCancelled = await this.#cancel();
      if (isEnding && giveUpAtMs === Infinity) {
        const isShort = this.#owner.endsBecause === 'expired' || this.record.isGuess === true;
        giveUpAtMs = clock.epochMs() + (isShort ? EXPIRED_MAX_MS : CANCEL_MAX_MS);
        polls = 0;
      }
      const end = await this.#poll(giveUpAtMs < Infinity);
      if (end !== null) return void (await this.#end(end));
      if (this.#owner.stopping.aborted) return;
      if (clock.epochMs() >= giveUpAtMs && (!this.#isWithheld || this.#owner.endsBecause !== null)) {
        return void (await this.#end(MAYBE_PROCESSED('the provider did not deliver the result of its batch in time')));
      }
      await this.#pause(polls, giveUpAtMs);
    }
  }

  /** Its job was deleted: cancels it and deletes its files. */
  async abandon(): Promise<void> {
    const { record } = this;
    if (record.stage === 'creating' && this.#api.findsExactly) this.#adopt(await this.#api.find(record, this.#owner.remotes));
    for (let tries = 1; record.remote !== null && !(await this.#cancel()); tries++) {
      const remote = await this.#api.get(record.remote).catch(() => undefined);
      const hasEnded = remote !== undefined && remote?.state !== 'running';
      if (hasEnded || tries === CANCELS_MAX || this.#owner.closing.aborted) break;
      await sleep(this.#host, 1_000 * 2 ** tries, this.#owner.closing);
    }
    await this.discard();
  }

  /** Deletes its files: none of its items is left. */
  async discard(): Promise<void> {
    const { remote } = this.record;
    if (remote !== null) this.#results = (await this.#api.get(remote).catch(() => null))?.results ?? [];
    await this.#cleanUp();
  }

  /** Whether nothing is left to cancel. */
  #cancel(): Promise<boolean> {
    const { remote, isGuess } = this.record;
    return remote === null || isGuess === true ? Promise.resolve(true) : this.#api.cancel(remote);
  }

  #adopt(found: FoundBatch | null): void {
    this.record.remote = found?.remote ?? null;
    if (found?.isGuess === true && found.remote !== null) this.record.isGuess = true;
    if (this.record.remote !== null) this.#owner.remotes.add(this.record.remote);
  }

  #pause(polls: number, giveUpAtMs: number): Promise<void> {
    const { clock, random } = this.#host;
    const pauseMs = POLLS_MS[Math.min(polls, POLLS_MS.length - 1)]! * (0.75 + random.next() / 2);
    const isOver = clock.epochMs() >= giveUpAtMs; // and results are withheld
    const untilMs = isOver ? Infinity : giveUpAtMs < Infinity ? giveUpAtMs : this.record.takeBackAtMs;
    const { stopping, ending } = this.#owner;
    const signal = giveUpAtMs < Infinity && !isOver ? stopping : AbortSignal.any([stopping, ending]);
    return sleep(this.#host, Math.max(1, Math.min(pauseMs, untilMs - clock.epochMs())), signal);
  }

  /** Polls it once. Null if it is running, or its state is unknown. `isCancelled`: it was cancelled by this process. */
  async #poll(isCancelled: boolean): Promise<End | null> {
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
    // Result files may be named later than the end of the batch.
    if (remote.results.length === 0 && (remote.expected ?? 0) > 0) return null;
    return this.#collect(remote, isCancelled);
  }

  /** Null if the gateway is stopping, or the configuration does not allow the requests at present. */
  async #collect(remote: RemoteBatch, isCancelled: boolean): Promise<End | null> {
    this.#results = remote.results;
    this.#isWithheld = false;
    for (let downloads = 1; ; downloads++) {
      const seen = new Set<string>();
      let isWhole = true;
      try {
        for (const path of remote.results) if (!this.#isWithheld) await this.#read(path, seen);
        isWhole = remote.expected === null || seen.size >= Math.min(remote.expected, this.record.items);
      } catch (error) {
        if (error instanceof HeldElsewhere) throw error;
        isWhole = false;
      }
      if (this.#owner.stopping.aborted || this.#isWithheld) return null;
      const prefix = `${this.record.id}-`;
      if (isWhole && this.record.isGuess === true && ![...seen].some((id) => id.startsWith(prefix)))
        return MAYBE_PROCESSED('the reply to the creation of the batch was lost');
      if (isWhole)
        return NOT_PROCESSED(
          isCancelled ? 'the provider did not process the request in time' : 'the batch of the provider ended without the request',
        );
      if (downloads === DOWNLOADS_MAX) return MAYBE_PROCESSED('the results of the provider cannot be read');
      await sleep(this.#host, 1_000 * 2 ** downloads, this.#owner.stopping);
    }
  }

  async #read(path: string, seen: Set<string>): Promise<void> {
    const running = new Set<Promise<void>>();
    const faults: unknown[] = [];
    try {
      for await (const result of this.#api.results(path)) {
        if (this.#owner.stopping.aborted) break;
        this.#isWithheld = !(await this.#owner.allows(this.record.model));
        if (this.#isWithheld) break;
        seen.add(result.customId);
        if (running.size >= RESULTS_MAX) await Promise.race(running);
        const taking: Promise<void> = this.#take(result)
          .catch((error: unknown) => void faults.push(error))
          .finally(() => running.delete(taking));
        running.add(taking);
      }
    } finally {
      await Promise.all(running);
    }
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

  /** Ends it. Returns false, for callers that return it. */
  async #end(end: End): Promise<false> {
    await endHandover(this.#host, this.#owner.closing, { job: this.#job, batch: this.record.id, ...end });
    await this.#cleanUp();
    return false;
  }

  /** Deletes the provider's files, which hold prompts and responses, while the record is still saved. */
  async #cleanUp(): Promise<void> {
    const done = new AbortController();
    const signal = AbortSignal.any([done.signal, this.#owner.closing]);
    // Of another batch, the results are not deleted.
    const cleanUp = this.#api.cleanUp(this.record, this.record.isGuess === true ? [] : this.#results);
    await Promise.race([cleanUp, sleep(this.#host, CLEAN_UP_MAX_MS, signal)]);
    done.abort();
  }

  /** After a lost reply, the batch is searched for before it is created again. */
  async #create(input: BatchInput): Promise<void> {
    try {
      this.#adopt({ remote: await this.#api.create(this.record, input), isGuess: false });
    } catch (error) {
      if (!(error instanceof ProviderRefusal)) throw error;
      if (!error.isAmbiguous && !(this.#api.findsExactly && error.reply.status >= 500)) throw error;
      const found = await this.#find();
      if (found === null || found.remote === null) throw error;
      this.#adopt(found);
    }
  }

  async #find(): Promise<FoundBatch | null> {
    for (let tries = 1; ; tries++) {
      const found = await this.#api.find(this.record, this.#owner.remotes);
      if (found !== null || tries === DOWNLOADS_MAX || this.#owner.stopping.aborted) return found;
      await sleep(this.#host, 1_000 * 2 ** tries, this.#owner.stopping);
    }
  }

  /** Retries temporary refusals. Throws the last one. */
  async #insisting<T>(act: () => Promise<T>): Promise<T> {
    const { clock } = this.#host;
    const untilMs = Math.min(clock.epochMs() + SUBMIT_MAX_MS, this.record.takeBackAtMs);
    for (let tries = 0; ; tries++) {
      try {
        return await act();
      } catch (error) {
        if (!(error instanceof ProviderRefusal) || !error.mayPass) throw error;
        const pauseMs = Math.max(error.reply.retryAfterMs ?? 0, POLLS_MS[Math.min(tries, POLLS_MS.length - 1)]!);
        const { stopping, ending } = this.#owner;
        if (clock.epochMs() + pauseMs >= untilMs || ending.aborted) throw error;
        await sleep(this.#host, pauseMs, AbortSignal.any([stopping, ending]));
        if (stopping.aborted || ending.aborted) throw error;
      }
    }
  }
}
