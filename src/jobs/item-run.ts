/** One round of an item: a request that the pipeline runs, with a checkpoint before its first upstream call and after its end. */
import type { Instant } from '../core/clock.ts';
import { BreakwaterError, messageOf } from '../core/errors.ts';
import type { DeliveredResponse, GatewayRequest } from '../pipeline/request/gateway-request.ts';
import type { ItemError, ItemKey, ItemResult, LeasedItem, OpenJob } from '../store/jobs/job-store.ts';
import { prepareItem, refusal } from './item-request.ts';
import type { JobKind } from './kinds.ts';
import { SINGLE_RULE, WITNESS_MS, type FailingItems, type FailureRule } from './failing-items.ts';
import type { AttemptEnd, JobHost, RequestEnd } from './host.ts';
import { ItemSink } from './item-sink.ts';
import { judgeRound, ROUNDS_MIN, type RoundFacts, type RoundJudgement } from './judge-round.ts';
import { STRIKES_MAX, type RoundOdds } from './round-odds.ts';
import { saved } from './saved.ts';
import { wasUnavailable } from './unavailable-models.ts';

/** The longest that one round may take, in milliseconds. */
const ROUND_MAX_MS = 3_600_000;

const INTERNAL_ERROR = 500;
/** Response statuses of a provider that is down or overloaded, whatever the request. 0: no response. */
const OUTAGES: ReadonlySet<number> = new Set([0, 502, 503, 504, 529]);

/** Over at least this time an item of a batch must fail with an internal error before its request is at fault, in milliseconds. */
const ERRORS_SPAN_MS = 40_000;
/** Failed rounds of a single item, outages not counted, before it ends: each is paid for, and its caller polls. */
const SINGLE_ROUNDS_MAX = 3;

/** The shortest wait before an item whose request can't be prepared is tried again, in milliseconds; the longest is twice as long. */
const PREPARE_AGAIN_MS = 2_000;

/** What an item needs from the runner. */
export interface ItemHooks {
  /** Its first upstream call starts. */
  readonly sent: () => void;
  /** Reserves more memory until the item ends; false if there is none. */
  readonly reserve: (bytes: number) => boolean;
}

/** What the items of one model share. */
export interface Lane {
  job: OpenJob;
  readonly model: string;
  readonly kind: JobKind;
  /** When one of its items last succeeded. */
  succeededAt: Instant;
  readonly failing: FailingItems;
  readonly odds: RoundOdds;
  /** The job expires at this instant. */
  endsAt: Instant;
}

export class ItemRun {
  readonly sink: ItemSink;
  readonly item: LeasedItem;
  readonly #host: JobHost;
  readonly #lane: Lane;
  readonly #hooks: ItemHooks;
  readonly #closing: AbortSignal;
  readonly #startedAt: Instant;
  readonly #delivered: DeliveredResponse | null;
  /** It got a permit, and the checkpoint before the upstream call has started. */
  wasSent = false;
  /** It has its result. */
  isDone = false;
  /** Why the configuration does not allow it at present; null: it does, or this is not known. */
  withheld: ItemError | null = null;
  /** Of an error of Breakwater. */
  #code: string | null = null;
  /** Of this round, in US dollars; null: none, or not known. */
  #costUsd: number | null = null;
  /** Running upstream calls. */
  #calls = 0;
  /** The last call ended without a complete response, so the provider may have processed it. */
  #wasCut = false;
  /** The checkpoint is being saved; the call follows it. */
  #isSaving = false;
  /** No further call may start for it. */
  #isUnwanted = false;
  /** Why the request is at fault; null: it is not. */
  #blame: string | null = null;
  #isLost = false;
  /** The runner withdrew it before the request was sent, so that the round does not count. */
  #wasWithdrawn = false;

  /** `delivered`: its response, if a batch of the provider has made one. */
  constructor(
    host: JobHost,
    lane: Lane,
    item: LeasedItem,
    hooks: ItemHooks,
    closing: AbortSignal,
    delivered: DeliveredResponse | null = null,
  ) {
    this.#delivered = delivered;
    this.#host = host;
    this.#lane = lane;
    this.item = item;
    this.sink = lane.kind.createSink?.(lane.job, item, closing) ?? new ItemSink();
    this.#hooks = hooks;
    this.#closing = closing;
    this.#startedAt = host.clock.now();
  }

  get requestId(): string {
    const { job, n, lease } = this.item;
    return `req_${job.slice(job.indexOf('_') + 1)}_${n}_${lease}`;
  }

  get key(): ItemKey {
    const { job, n, lease } = this.item;
    return { job, n, lease };
  }

  /** Leaves the queue. A running call continues to its end, and no other follows it. A delivered response is read to its end. */
  withdraw(): void {
    if (this.#delivered !== null && !this.wasSent) return;
    this.#isUnwanted = true;
    if (this.#calls > 0 || this.#isSaving) return;
    this.#wasWithdrawn = true;
    this.sink.leave();
  }

  rejected(error: ItemError): void {
    this.#code = error.code;
    if (error.code === 'model_not_found' && !wasUnavailable(this.#lane.job, this.#lane.model)) this.withheld = error;
  }

  callBegan(): void {
    this.#calls++;
  }

  callEnded({ isGood, status, message }: AttemptEnd): void {
    this.#calls--;
    this.#wasCut = !isGood && (status === null || status < 300);
    const { n } = this.item;
    const now = this.#host.clock.now();
    const isSingle = this.#lane.kind.isSingle === true;
    // A single item has no others to compare with, and must not be retried for hours.
    const failed = (): boolean => this.#lane.failing.failed(n, now, isSingle ? now : this.#lane.succeededAt, this.#errorRule());
    if (!isGood && status === INTERNAL_ERROR && failed()) {
      const others = isSingle ? '' : ', while other requests to the model succeeded';
      this.#blame = `the provider repeatedly responded with status ${status} (${message ?? ''})${others}`;
      queueMicrotask(() => this.sink.leave());
      return;
    }
    // Deferred: the engine is handling the end of the call.
    if (this.#isUnwanted && !isGood) queueMicrotask(() => this.withdraw());
  }

  finished({ costUsd, code }: RequestEnd): void {
    this.#costUsd = costUsd;
    this.#code = code;
  }

  /** Runs one round and saves its outcome. Resolves to true if it was the last item of its job. Never rejects. */
  async run(): Promise<boolean> {
    let refused: ItemResult | null;
    try {
      refused = await this.#ask();
    } catch (error) {
      return this.#unprepared(error);
    }
    if (this.withheld !== null) return this.#putBack();
    if (refused !== null) return this.#complete(refused);
    await this.sink.settled();
    if (this.#isLost) return false;
    if (this.#blame !== null && this.sink.status === 0) return this.#complete(refusal('all_targets_failed', this.#blame));
    const { clock, random } = this.#host;
    // If the round ended by itself with the deciding failure, its response is the result.
    const isBlamed = this.#blame !== null;
    const isOutage = this.#lane.kind.isSingle !== true || OUTAGES.has(this.sink.status);
    const othersSucceed = isBlamed || !isOutage || this.#lane.succeededAt >= this.#startedAt - WITNESS_MS;
    const judged = judgeRound(this.sink, this.#facts(othersSucceed), random);
    this.#learn(judged);
    if (judged.kind === 'result') return this.#complete(judged.result);
    const { strike, note } = judged;
    const isStopped = this.#code === 'shutting_down' || this.#closing.aborted;
    const counts = !this.#wasWithdrawn && !isStopped;
    const requeue = {
      notBeforeMs: clock.epochMs() + (counts ? judged.afterMs : 0),
      round: counts,
      strike: strike && counts,
      wasCut: this.#wasCut && isStopped,
      note: counts ? note : '',
      ...(this.#costUsd !== null && { costUsd: this.#costUsd }),
    };
    await saved(this.#host, this.#closing, () => this.#host.store.requeueItem(this.key, requeue));
    return false;
  }

  #facts(othersSucceed: boolean): RoundFacts {
    const { kind, odds, endsAt } = this.#lane;
    const { strikes, rounds } = this.item;
    const isSingle = kind.isSingle === true;
    return {
      strikes: this.#blame === null ? strikes : STRIKES_MAX,
      rounds,
      ownCode: this.#code,
      wasSent: this.wasSent,
      othersSucceed,
      strikesNeeded: isSingle ? SINGLE_ROUNDS_MAX : odds.strikesNeeded,
      roundsMin: isSingle ? SINGLE_ROUNDS_MAX : ROUNDS_MIN,
      leftMs: endsAt - this.#host.clock.now(),
    };
  }

  #errorRule(): FailureRule {
    const { kind, odds } = this.#lane;
    return kind.isSingle === true ? SINGLE_RULE : { failuresMin: odds.callsNeeded, spanMinMs: ERRORS_SPAN_MS };
  }

  /** What the round says about the other items of the lane. */
  #learn(judged: RoundJudgement): void {
    const { strikes, rounds } = this.item;
    const { odds } = this.#lane;
    const isGood = judged.kind === 'result' && judged.result.succeeded;
    if (isGood) {
      this.#lane.succeededAt = this.#host.clock.now();
      odds.succeeded(strikes);
    }
    if (rounds > 0 || !this.wasSent) return;
    if (judged.kind === 'result') odds.firstEnded(false);
    else if (judged.isFailure) odds.firstEnded(true);
  }

  /** Null if the request was run, or is withheld; the sink holds its outcome. */
  async #ask(): Promise<ItemResult | null> {
    const prepared = await prepareItem(this.#host, this.#lane, this.item.body, (bytes) => {
      if (!this.#hooks.reserve(bytes)) throw new BreakwaterError('queue_full', 'not enough memory for the conversation');
    });
    if ('refused' in prepared) return prepared.refused;
    if ('withheld' in prepared) {
      this.withheld = prepared.withheld;
      return null;
    }
    const now = this.#host.clock.now();
    const request: GatewayRequest = {
      ...prepared.request,
      id: this.requestId,
      receivedAt: now,
      deadline: Math.min(this.#lane.endsAt, now + ROUND_MAX_MS),
      caller: this.sink,
      beforeSending: () => this.#beforeSending(),
      // Its cost must be counted even if the response cache has an entry.
      ...(this.#delivered !== null && { delivered: this.#delivered, cache: 'refresh' }),
    };
    await this.#host.handle(request, this.sink);
    return null;
  }

  /** Queues it again, without a round; but not for another batch of the provider, which would process it twice. */
  async #putBack(): Promise<false> {
    const requeue = { notBeforeMs: this.#host.clock.epochMs(), round: this.#delivered !== null, strike: false, note: '' };
    await saved(this.#host, this.#closing, () => this.#host.store.requeueItem(this.key, requeue));
    return false;
  }

  /** What its request refers to can't be read, is too large at present, or makes the request invalid. */
  async #unprepared(error: unknown): Promise<boolean> {
    if (error instanceof BreakwaterError && error.code === 'invalid_request') return this.#complete(refusal(error.code, error.message));
    const { clock, random } = this.#host;
    const requeue = {
      notBeforeMs: clock.epochMs() + PREPARE_AGAIN_MS * (1 + random.next()),
      round: false,
      strike: false,
      note: messageOf(error),
    };
    await saved(this.#host, this.#closing, () => this.#host.store.requeueItem(this.key, requeue));
    return false;
  }

  /** The checkpoint before dispatch: after a crash the item is known to have possibly been sent. */
  async #beforeSending(): Promise<void> {
    this.wasSent = true;
    this.#hooks.sent();
    let isOurs: boolean;
    this.#isSaving = true;
    try {
      isOurs = await this.#host.store.markSent(this.key);
    } catch (error) {
      throw new BreakwaterError('store_unavailable', 'the state of the batch cannot be saved', { cause: error });
    } finally {
      this.#isSaving = false;
    }
    if (isOurs) return this.#lane.kind.onSent?.(this.#lane.job);
    // Another process considered this one dead, and runs the item now.
    this.#isLost = true;
    this.sink.leave();
  }

  async #complete(ended: ItemResult): Promise<boolean> {
    const result = this.#costUsd === null ? ended : { ...ended, facts: { ...ended.facts, costUsd: this.#costUsd } };
    const outcome = await saved(this.#host, this.#closing, () => this.#host.store.completeItem(this.key, result));
    this.isDone = outcome !== undefined;
    this.#lane.failing.forget(this.item.n);
    return outcome === 'last';
  }
}
