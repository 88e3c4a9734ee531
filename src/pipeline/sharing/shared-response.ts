/**
 * One upstream response with several readers, as a bounded append-only log. To the request that produces it, it takes the place
 * of the caller: it receives the response, and cancels the request when no reader needs it. It serves concurrent identical requests,
 * repeats under an idempotency key, and the cache.
 *
 * Back-pressure: while one reader keeps up, slow ones may fall behind by a megabyte, then delay the others for a second in total, and are
 * then disconnected; when all are behind, the provider is paused as for a single caller. The log is complete while memory allows, so that
 * a late reader gets everything; otherwise it holds only what its readers have not taken, and no further reader can join.
 */
import type { HeaderPairs } from '../../core/headers.ts';
import type { Timer } from '../../core/clock.ts';
import { BreakwaterError } from '../../core/errors.ts';
import type { TokenUsage } from '../../core/facts.ts';
import type { LifeCheck } from './life-check.ts';
import { ResponseLog, type LogRoom } from './response-log.ts';
import type { ResponseHead, ResponseReader, ResponseReaderOwner, ReaderParts, SharedReader } from './response-reader.ts';
import type { Caller } from '../request/caller.ts';
import type { Outlet, UpstreamRefusal } from '../delivery/downstream.ts';
import { STALE_STANDS_IN, type ResponseProducer } from './response-producer.ts';
import { SlowReaderPolicy } from './slow-reader-policy.ts';
import { sharedHeaders, type ResponsePurpose, type WholeResponse } from './whole-response.ts';

/** How long a response with an idempotency key continues after its last reader left, in milliseconds. */
export const KEYED_GRACE_MS = 60_000;

/** Registers shared responses, and receives their outcome. */
export interface SharedResponseOwner extends LogRoom {
  /** The response is complete and the same for all readers; `isGood`: it may be cached. */
  onComplete(response: SharedResponse, whole: WholeResponse, isGood: boolean): void;
  /** The response can no longer be joined, and is not replayed. */
  onDiscarded(response: SharedResponse): void;
}

export class SharedResponse implements Outlet, Caller, ResponseReaderOwner {
  readonly #engine: ReaderParts;
  readonly #owner: SharedResponseOwner;
  readonly #first: ResponseReader;
  readonly #readers: SharedReader[] = [];
  #producer: ResponseProducer | null = null;
  hasLeft = false;
  onLeave: (() => void) | null = null;
  /** Called once when it is over or given up; `isWhole`: it may be replayed. */
  onEnded: ((isWhole: boolean) => void) | null = null;
  readonly purpose: ResponsePurpose;
  /** Names it is registered under. */
  names: readonly string[] = [];
  inFlightName: string | null = null;
  /** It has an idempotency key, so that it continues without readers. */
  isKeyed = false;
  /** A stale cached response that is used if every target fails. */
  stale: WholeResponse | null = null;
  /** Another instance makes it. */
  isFollowing = false;
  /** Of a response that is followed. */
  lifeCheck: LifeCheck | null = null;
  #head: ResponseHead | null = null;
  isOver = false;
  readonly #log: ResponseLog;
  #onDrained: (() => void) | null = null;
  /** Null: no reader has been behind the others. */
  #slowReaders: SlowReaderPolicy | null = null;
  #grace: Timer | null = null;

  /** `first`: the reader of the request that produces the response. */
  constructor(engine: ReaderParts, owner: SharedResponseOwner, first: ResponseReader, purpose: ResponsePurpose) {
    this.purpose = purpose;
    this.#engine = engine;
    this.#owner = owner;
    this.#log = new ResponseLog(owner);
    this.#first = first;
    first.isFirst = true;
    first.follow(this);
    this.#readers.push(first);
  }

  get isStarted(): boolean {
    return this.#head !== null;
  }

  get firstId(): string {
    return this.#first.request.id;
  }

  /** The outcome of the first reader, if it ended before its `ActiveRequest`. */
  get firstEnd(): ResponseReader['ownEnd'] {
    return this.#first.ownEnd;
  }

  /** False: it is over, cancelled, or its beginning is dropped. */
  get canJoin(): boolean {
    return !this.isOver && !this.hasLeft && this.#log.keepsAll;
  }

  /** The request that produces the response has begun. */
  begin(run: ResponseProducer): void {
    this.#producer = run;
    for (const reader of this.#readers) if (reader !== this.#first) this.#raise(run, reader);
  }

  /** Adds a reader, which gets what has been received so far, and then the rest. */
  join(reader: SharedReader): void {
    reader.follow(this);
    this.#readers.push(reader);
    this.#grace?.cancel();
    this.#grace = null;
    const head = this.#head;
    // A reader in another form gets the response only when it is complete.
    if (head === null || !reader.canFollow(head)) reader.watchDeadline((late) => this.#missDeadline(late));
    if (head === null && this.#producer !== null) this.#raise(this.#producer, reader);
    if (head !== null) this.#guarded(reader, () => this.#openFor(reader, head));
    this.#resumeIfRead();
  }

  /** Its idempotency key belongs to another request. */
  conflict(error: BreakwaterError): void {
    this.#over();
    this.#first.emitOwnEvents();
    this.#each((reader) => reader.fail(error, null));
  }

  /** A stored response was found: all readers get it. */
  replay(whole: WholeResponse): void {
    this.#over();
    this.#first.emitOwnEvents();
    this.#each((reader) => reader.take(whole, 'hit'));
  }

  /** From here on another instance makes the response; its first reader waits like the others. */
  beginFollowing(): void {
    this.isFollowing = true;
    this.#first.watchDeadline((late) => this.#missDeadline(late));
  }

  /** Its first reader emits its own events, since no request of this instance makes the response. */
  emitFirst(): void {
    this.#first.emitOwnEvents();
  }

  /** It is neither joined nor cached any more. */
  discard(): void {
    this.#owner.onDiscarded(this);
  }

  /** All readers get the response that another instance has made. */
  deliver(whole: WholeResponse): void {
    this.#over();
    this.#each((reader) => reader.take(whole, 'coalesced'));
  }

  respond(status: number, headers: HeaderPairs, body: Uint8Array, usage: TokenUsage | null, isUncacheable: boolean): void {
    const { facts } = this.#first.request;
    const isStream = facts.stream && facts.operation !== 'bytes';
    const whole = this.#makeWhole(status, sharedHeaders(headers), body, isStream, usage);
    this.#over();
    this.#owner.onComplete(this, whole, !isUncacheable);
    for (const reader of this.#readers.slice()) {
      try {
        if (reader === this.#first) this.#first.respondOwn(status, headers, body);
        else reader.take(whole, 'coalesced');
      } catch (error) {
        reader.drop(error);
      }
    }
  }

  commit(status: number, headers: HeaderPairs, isEventStream: boolean): void {
    const head: ResponseHead = { status, headers, shared: sharedHeaders(headers), isEventStream };
    this.#head = head;
    this.#each((reader) => this.#openFor(reader, head));
  }

  write(chunks: readonly Uint8Array[]): boolean {
    if (!this.#log.append(chunks)) this.#stopBuffering();
    for (const reader of this.#readers.slice()) {
      try {
        this.#advance(reader);
      } catch (error) {
        reader.drop(error);
      }
    }
    if (this.#readers.length > 1 && !this.#allBehind) {
      (this.#slowReaders ??= new SlowReaderPolicy(this.#engine.clock, (late) => this.#disconnect(late))).check(
        this.#readers,
        this.#log.bytes,
      );
    }
    if (!this.#log.keepsAll) this.#trim();
    return this.#isFlowing;
  }

  onDrain(listener: () => void): void {
    this.#onDrained = listener;
  }

  readerMoved(): boolean {
    let moved = this.#readers.length === 0;
    for (const reader of this.#readers) if (reader.readerMoved()) moved = true;
    return moved;
  }

  end(usage: TokenUsage | null = null, isUncacheable = false): void {
    const head = this.#head!;
    const whole = this.#log.keepsAll ? this.#makeWhole(head.status, head.shared, this.#log.toBytes(), head.isEventStream, usage) : null;
    if (this.#readers.some((reader) => reader.isBehind)) this.#each((reader) => this.#writeRest(reader, head));
    this.#over();
    if (whole === null) this.#owner.onDiscarded(this);
    else this.#owner.onComplete(this, whole, !isUncacheable);
    this.#each((reader) => {
      if (!reader.canFollow(head)) return this.#takeAtEnd(reader, whole);
      reader.end(head);
    });
  }

  endWith(bytes: Uint8Array): void {
    this.write([bytes]);
    this.end(null, true);
  }

  fail(error: BreakwaterError, headers: HeaderPairs = []): void {
    this.#over(false);
    this.#owner.onDiscarded(this);
    this.#each((reader) => this.#failOne(reader, error, headers, false));
  }

  refuse(refusal: UpstreamRefusal): void {
    const { status, headers, body, words, isFinal, requestAtFault } = refusal;
    const shared = sharedHeaders(headers);
    this.#over(isFinal);
    if (isFinal) this.#owner.onComplete(this, { ...this.#makeWhole(status, shared, body, false, null), refusal: words }, false);
    else this.#owner.onDiscarded(this);
    const stale = isFinal || requestAtFault ? null : this.stale;
    this.#each((reader) => (stale === null ? reader.refuse(refusal, shared) : reader.take(stale, 'stale')));
  }

  leave(): void {
    if (this.isOver) return;
    this.#over(false);
    this.#owner.onDiscarded(this);
    this.#each((reader) => reader.leave(false));
  }

  onDrained(): void {
    this.#each((reader) => this.#advance(reader));
    if (!this.#log.keepsAll) this.#trim();
    this.#slowReaders?.recheck();
    this.#resumeIfRead();
  }

  onGone(reader: SharedReader): void {
    const at = this.#readers.indexOf(reader);
    if (at >= 0) this.#readers.splice(at, 1);
    if (this.isOver) return;
    this.#slowReaders?.recheck();
    if (this.#readers.length > 0) {
      if (reader === this.#first) this.#producer?.note(`its own caller is served; ${this.#readers.length} more wait for the response`);
      return this.#resumeIfRead();
    }
    // Without readers, only a complete response is of use.
    if (!this.isKeyed || !this.#log.keepsAll || this.isFollowing) return this.giveUp();
    this.#producer?.note(`no reader is left: it continues for ${KEYED_GRACE_MS} ms under its idempotency key`);
    this.#grace = this.#engine.clock.schedule(KEYED_GRACE_MS, () => this.giveUp());
    this.#resumeIfRead();
  }

  /** Cancels the request that produces the response. */
  giveUp(): void {
    if (this.hasLeft || this.isOver) return;
    this.hasLeft = true;
    this.#owner.onDiscarded(this);
    this.#ended(false);
    this.onLeave?.();
  }

  #openFor(reader: SharedReader, head: ResponseHead): void {
    if (!reader.canFollow(head)) return;
    reader.open(head);
    this.#advance(reader);
  }

  /** Writes further chunks to a reader, as many as it accepts. */
  #advance(reader: SharedReader): void {
    if (reader.isOver || reader.isBehind || this.#head === null || !reader.canFollow(this.#head)) return;
    for (;;) {
      const next = this.#log.from(reader.chunks, CHUNKS_AT_ONCE);
      if (next.length === 0) return;
      reader.chunks += next.length;
      for (const chunk of next) reader.bytes += chunk.byteLength;
      if (!reader.write(next)) return;
    }
  }

  #disconnect(late: readonly SharedReader[]): void {
    if (!this.#allBehind) {
      for (const reader of late) this.#guarded(reader, () => reader.fail(new BreakwaterError('stream_interrupted', TOO_SLOW), null));
    }
    this.#resumeIfRead();
  }

  /** False: the provider is paused. */
  get #isFlowing(): boolean {
    return this.#slowReaders?.isHolding !== true && !this.#allBehind;
  }

  get #allBehind(): boolean {
    return this.#readers.length > 0 && this.#readers.every((reader) => reader.isBehind);
  }

  #resumeIfRead(): void {
    if (this.#onDrained === null || !this.#isFlowing) return;
    const listener = this.#onDrained;
    this.#onDrained = null;
    listener();
  }

  /** The response is too large to be buffered: only readers in its own form continue. */
  #stopBuffering(): void {
    this.#owner.onDiscarded(this);
    this.#each((reader) => {
      if (this.#head !== null && reader.canFollow(this.#head)) return;
      reader.fail(new BreakwaterError('stream_interrupted', TOO_LARGE), null);
    });
    if (this.#readers.length === 0) this.giveUp();
  }

  /** Drops what every reader has taken. */
  #trim(): void {
    let least = Infinity;
    for (const reader of this.#readers) least = Math.min(least, reader.chunks);
    this.#log.trim(least);
  }

  /** Writes the rest to a slow reader at the end of the response. */
  #writeRest(reader: SharedReader, head: ResponseHead): void {
    if (reader.isBehind && reader.canFollow(head)) reader.write(this.#log.from(reader.chunks));
  }

  #takeAtEnd(reader: SharedReader, whole: WholeResponse | null): void {
    if (whole !== null) return reader.take(whole, 'coalesced');
    reader.fail(new BreakwaterError('stream_interrupted', TOO_LARGE), null);
  }

  #missDeadline(reader: ResponseReader): void {
    const waitedMs = Math.round(reader.deadline - reader.request.receivedAt);
    const message = `the deadline of ${waitedMs} ms passed while waiting for the response to an identical request, ${this.firstId}`;
    this.#guarded(reader, () => this.#failOne(reader, new BreakwaterError('deadline_exceeded', message), null, true));
  }

  #failOne(reader: SharedReader, error: BreakwaterError, headers: HeaderPairs | null, isEarly: boolean): void {
    if (this.stale !== null && this.#head === null && STALE_STANDS_IN.has(error.code)) reader.take(this.stale, 'stale');
    else reader.fail(error, headers, isEarly);
  }

  /** The request runs in the highest class and until the latest deadline of its readers. */
  #raise(run: ResponseProducer, reader: SharedReader): void {
    if (reader.deadline > run.deadline) this.#first.watchDeadline((late) => this.#missDeadline(late));
    run.raise({ priority: reader.priority, deadline: reader.deadline });
  }

  #makeWhole(status: number, shared: readonly string[], body: Uint8Array, isStream: boolean, usage: TokenUsage | null): WholeResponse {
    const includesUsage = this.#first.request.facts.wantsUsage;
    return { status, headers: shared, body, isStream, includesUsage, usage, refusal: null, madeAtMs: this.#engine.clock.epochMs() };
  }

  /** Readers may leave during the iteration. The hot paths have loops of their own: see `ActiveRequest.relaying` on closures. */
  #each(action: (reader: SharedReader) => void): void {
    for (const reader of this.#readers.slice()) this.#guarded(reader, () => action(reader));
  }

  /** An error of one reader does not affect the others. */
  #guarded(reader: SharedReader, work: () => void): void {
    if (reader.isOver) return;
    try {
      work();
    } catch (error) {
      reader.drop(error);
    }
  }

  #over(isWhole = true): void {
    this.isOver = true;
    this.#grace?.cancel();
    this.#grace = null;
    this.#slowReaders?.stop();
    this.#log.clear();
    this.#onDrained = null;
    this.#ended(isWhole);
  }

  #ended(isWhole: boolean): void {
    const { onEnded } = this;
    this.onEnded = null;
    onEnded?.(isWhole);
  }
}

/** Chunks written to a reader that catches up, between checks of its buffer. */
const CHUNKS_AT_ONCE = 16;

const TOO_SLOW = 'this caller fell more than 1 MB behind other readers of the same response, and was disconnected';
const TOO_LARGE = 'the response is too large to be buffered for a caller that asks for it in another form';
