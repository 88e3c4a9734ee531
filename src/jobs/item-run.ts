/** One item under way: a request that the pipeline runs, with a checkpoint before its first upstream call and after its end. */
import type { Instant } from '../core/clock.ts';
import { BreakwaterError, messageOf } from '../core/errors.ts';
import type { GatewayRequest } from '../pipeline/request/gateway-request.ts';
import type { ItemKey, ItemResult, LeasedItem, OpenJob } from '../store/jobs/job-store.ts';
import { modelNamesIn } from '../wire/model-names.ts';
import { requestKindOf, type JobKind } from './kinds.ts';
import { decodeItem } from './decode-item.ts';
import { WITNESS_MS, type FailingItems } from './failing-items.ts';
import type { AttemptEnd, JobClient, JobHost } from './host.ts';
import { ItemSink } from './item-sink.ts';
import { judgeRound, STRIKES_MAX } from './judge-round.ts';
import { saved } from './saved.ts';

/** The longest that one round may take, in milliseconds. */
const ROUND_MAX_MS = 3_600_000;

const INTERNAL_ERROR = 500;
/** Of a response: the provider is down or overloaded, whatever the request. 0: there is none. */
const OUTAGES: ReadonlySet<number> = new Set([0, 502, 503, 504, 529]);

/** An item whose request can't be prepared now is tried again in so long, in milliseconds: between this and twice this. */
const PREPARE_AGAIN_MS = 2_000;

/** What an item needs of the runner. */
export interface ItemHooks {
  /** Its first upstream call begins. */
  readonly sent: () => void;
  /** Holds more memory until the item ends; false: there is no room. */
  readonly hold: (bytes: number) => boolean;
}

/** What the items of one model share. */
export interface Lane {
  job: OpenJob;
  readonly kind: JobKind;
  /** When one of its items last succeeded. */
  succeededAt: Instant;
  readonly failing: FailingItems;
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
  /** A permit was given, and the checkpoint before the upstream call is made. */
  wasSent = false;
  /** It has its result. */
  isDone = false;
  /** Upstream calls that run now. */
  #calls = 0;
  /** The checkpoint is being made: the call follows it. */
  #isSaving = false;
  /** Nothing new is to be begun for it. */
  #isUnwanted = false;
  /** Why it is given up; null: it is not. */
  #blame: string | null = null;
  #isLost = false;
  /** The round counts; false: the runner gave the place up before the request was sent. */
  #wasWithdrawn = false;

  constructor(host: JobHost, lane: Lane, item: LeasedItem, hooks: ItemHooks, closing: AbortSignal) {
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

  /** Gives up a place in the queue. A call that runs goes on to its end; no other follows it. */
  withdraw(): void {
    this.#isUnwanted = true;
    if (this.#calls > 0 || this.#isSaving) return;
    this.#wasWithdrawn = true;
    this.sink.leave();
  }

  callBegan(): void {
    this.#calls++;
  }

  callEnded({ isGood, status, message }: AttemptEnd): void {
    this.#calls--;
    const { n } = this.item;
    const now = this.#host.clock.now();
    const isSingle = this.#lane.kind.isSingle === true;
    // With nothing to compare it with, it is not tried for hours.
    if (!isGood && status === INTERNAL_ERROR && this.#lane.failing.failed(n, now, isSingle ? now : this.#lane.succeededAt)) {
      const others = isSingle ? '' : ', while other requests to the model succeeded';
      this.#blame = `the provider answered with status ${status} again and again (${message ?? ''})${others}`;
      queueMicrotask(() => this.sink.leave());
      return;
    }
    // The engine is in the middle of it.
    if (this.#isUnwanted && !isGood) queueMicrotask(() => this.withdraw());
  }

  /** Runs one round and saves how it ended. True: it was the last item of its job. Never rejects. */
  async run(): Promise<boolean> {
    let refused: ItemResult | null;
    try {
      refused = await this.#ask();
    } catch (error) {
      return this.#unprepared(error);
    }
    if (refused !== null) return this.#complete(refused);
    await this.sink.settled();
    if (this.#isLost) return false;
    if (this.#blame !== null && this.sink.status === 0) return this.#complete(refusal('all_targets_failed', this.#blame));
    const { clock, random } = this.#host;
    const now = clock.now();
    const { strikes, rounds } = this.item;
    // The round may have ended by itself with the failure that was one too many: then its response is the result.
    const isBlamed = this.#blame !== null;
    const isOutage = this.#lane.kind.isSingle !== true || OUTAGES.has(this.sink.status);
    const othersSucceed = isBlamed || !isOutage || this.#lane.succeededAt >= this.#startedAt - WITNESS_MS;
    const judged = judgeRound(
      this.sink,
      { strikes: isBlamed ? STRIKES_MAX : strikes, rounds, wasSent: this.wasSent, othersSucceed },
      random,
    );
    if (judged.kind === 'result') {
      if (judged.result.succeeded) this.#lane.succeededAt = now;
      return this.#complete(judged.result);
    }
    const { strike, note } = judged;
    const afterMs = this.#wasWithdrawn ? 0 : judged.afterMs;
    const requeue = { notBeforeMs: clock.epochMs() + afterMs, round: !this.#wasWithdrawn, strike, note: this.#wasWithdrawn ? '' : note };
    await saved(this.#host, this.#closing, () => this.#host.store.requeueItem(this.key, requeue));
    return false;
  }

  /** Null: it was asked, and the sink says how it ended. */
  async #ask(): Promise<ItemResult | null> {
    const { job, kind } = this.#lane;
    const client = this.#host.client(job.client);
    if (client === null) return refusal('invalid_api_key', `the client ${JSON.stringify(job.client)} is no longer configured`);
    const decoded = await decodeItem(job, this.item.body, this.#host.slices);
    if (!decoded.ok) return refusal('invalid_request', decoded.message);
    if (decoded.facts.stream && kind.streams !== true)
      return refusal('invalid_request', 'stream: a request of a batch can not be streamed');
    const denied = deniedModel(client, decoded.facts.model, decoded.body);
    if (denied !== null) return refusal('model_not_allowed', denied);
    const extras = await kind.extras?.(job, this.item.body, (bytes) => {
      if (!this.#hooks.hold(bytes)) throw new BreakwaterError('queue_full', 'there is no memory for the conversation');
    });
    const now = this.#host.clock.now();
    const request: GatewayRequest = {
      id: this.requestId,
      dialect: requestKindOf(job)!.dialect,
      path: job.path,
      method: 'POST',
      facts: decoded.facts,
      body: decoded.body,
      client,
      priority: job.priority as GatewayRequest['priority'],
      receivedAt: now,
      deadline: Math.min(this.#lane.endsAt, now + ROUND_MAX_MS),
      deadlineGiven: true,
      fallback: true,
      callerCredential: null,
      sessionKey: decoded.facts.cacheKey,
      forwardHeaders: [],
      caller: this.sink,
      idempotencyKey: null,
      cache: 'on',
      ...extras,
      beforeSending: () => this.#beforeSending(),
    };
    await this.#host.handle(request, this.sink);
    return null;
  }

  /** What its request refers to can't be read now, is too large for now, or makes no valid request. */
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

  /** The checkpoint before dispatch: whoever finds the item after a crash knows that it may have been sent. */
  async #beforeSending(): Promise<void> {
    this.wasSent = true;
    this.#hooks.sent();
    let isOurs: boolean;
    this.#isSaving = true;
    try {
      isOurs = await this.#host.store.markSent(this.key);
    } catch (error) {
      throw new BreakwaterError('store_unavailable', 'the state of the batch can not be saved', { cause: error });
    } finally {
      this.#isSaving = false;
    }
    if (isOurs) return this.#lane.kind.onSent?.(this.#lane.job);
    // Another process took this one for dead, and runs the item now.
    this.#isLost = true;
    this.sink.leave();
  }

  async #complete(result: ItemResult): Promise<boolean> {
    const outcome = await saved(this.#host, this.#closing, () => this.#host.store.completeItem(this.key, result));
    this.isDone = outcome !== undefined;
    this.#lane.failing.forget(this.item.n);
    return outcome === 'last';
  }
}

function refusal(code: string, message: string): ItemResult {
  return { succeeded: false, status: null, facts: {}, body: null, error: { code, message } };
}

function deniedModel(client: JobClient, model: string, body: GatewayRequest['body']): string | null {
  if (!client.mayUse(model)) return `this client may not use the model ${JSON.stringify(model.slice(0, 200))}`;
  if (!client.isLimited) return null;
  const { names, unreadable } = modelNamesIn(body.bytes, body.members);
  for (const name of names) if (!client.mayUse(name)) return `this client may not use the model ${JSON.stringify(name.slice(0, 200))}`;
  return unreadable === null ? null : `this client may not use every model, and '${unreadable}' is too large to be checked`;
}
