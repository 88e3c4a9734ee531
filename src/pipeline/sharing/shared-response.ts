/**
 * One upstream answer with several readers: an append-only, bounded log (design 4.8). It stands where a run's own caller would:
 * the run puts its answer in here, and stops when nobody wants it any more. Serves those who ask for the same at the same time, those
 * who repeat a request under its idempotency key, and the filling of the cache.
 *
 * Back-pressure: while one reader keeps up, those behind are carried for a megabyte, waited for a second and then let go, so that
 * nobody is slowed by them for longer; when all are behind, the provider is held back as for a single caller. The log is kept from its beginning as long as there is room,
 * so that a late reader gets everything; without room it keeps what its readers have still to take, and nobody can join any more.
 */
import type { HeaderPairs } from '../../core/headers.ts';
import type { Instant, Timer } from '../../core/clock.ts';
import { BreakwaterError } from '../../core/errors.ts';
import type { TokenUsage } from '../../core/facts.ts';
import type { SchedulingClass } from '../../core/request.ts';
import { AnswerLog, type LogRoom } from './response-log.ts';
import type { AnswerHead, AnswerReader, ReadAnswerOwner, ReaderParts } from './response-reader.ts';
import type { Caller } from '../request/caller.ts';
import type { Outlet, UpstreamRefusal } from '../delivery/downstream.ts';
import { LaggardWatch } from './slow-reader-policy.ts';
import { sharedHeaders, type AnswerPurpose, type WholeAnswer } from './whole-response.ts';

/** How long an answer under an idempotency key runs on after its last reader left, in milliseconds. */
export const KEYED_RUNS_ON_MS = 60_000;

/** Who keeps shared answers, and is told how they end. */
export interface AnswerKeeper extends LogRoom {
  /** Complete, and the same for everybody who asks; `isGood`: worth to be kept for others too. */
  onWhole(answer: SharedAnswer, whole: WholeAnswer, isGood: boolean): void;
  /** Nobody can join it any more, and it is not to be replayed. */
  onLost(answer: SharedAnswer): void;
}

/** What makes the answer. */
export interface AnswerRun {
  readonly deadline: Instant;
  /** Somebody else wants the answer too: it waits in the better class of both, and until the later deadline. */
  raise(by: { readonly priority: SchedulingClass; readonly deadline: Instant }): void;
  note(note: string): void;
}

/** Ends that a kept answer beyond its time is better than. The others lie in the request, or in the gateway's own end. */
const STALE_STANDS_IN: ReadonlySet<string> = new Set([
  'all_targets_failed', 'no_target_available', 'rate_limited', 'queue_full', 'budget_exceeded', 'deadline_exceeded', 'upstream_auth_failed', 'internal_error',
]); // prettier-ignore

export class SharedAnswer implements Outlet, Caller, ReadAnswerOwner {
  readonly #engine: ReaderParts;
  readonly #keeper: AnswerKeeper;
  readonly #first: AnswerReader;
  readonly #readers: AnswerReader[] = [];
  #run: AnswerRun | null = null;
  hasLeft = false;
  onLeave: (() => void) | null = null;
  readonly purpose: AnswerPurpose;
  /** Names under which it is known to its keeper. */
  names: readonly string[] = [];
  flyingAs: string | null = null;
  /** Somebody may repeat the request under its key: it runs on without readers. */
  isKeyed = false;
  /** What may stand in if nobody answers. */
  stale: WholeAnswer | null = null;
  #head: AnswerHead | null = null;
  #isOver = false;
  readonly #log: AnswerLog;
  #onDrained: (() => void) | null = null;
  /** Null: nobody was ever behind others. */
  #laggards: LaggardWatch | null = null;
  #grace: Timer | null = null;

  /** `first`: whose request brings the answer about. */
  constructor(engine: ReaderParts, keeper: AnswerKeeper, first: AnswerReader, purpose: AnswerPurpose) {
    this.purpose = purpose;
    this.#engine = engine;
    this.#keeper = keeper;
    this.#log = new AnswerLog(keeper);
    this.#first = first;
    first.isFirst = true;
    first.follow(this);
    this.#readers.push(first);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get isStarted(): boolean {
    return this.#head !== null;
  }

  get firstId(): string {
    return this.#first.request.id;
  }

  /** How it ended for the one whose run this is, where that was not by the run's own end. */
  get firstEnd(): AnswerReader['ownEnd'] {
    return this.#first.ownEnd;
  }

  /** False: it is over, given up, or its beginning is gone. */
  get canJoin(): boolean {
    return !this.#isOver && !this.hasLeft && this.#log.keepsAll;
  }

  /** The run that makes the answer has begun. */
  begin(run: AnswerRun): void {
    this.#run = run;
    for (const reader of this.#readers) if (reader !== this.#first) this.#raise(run, reader);
  }

  /** One more who asks for the same: gets what there is so far, and then the rest as it comes. */
  join(reader: AnswerReader): void {
    reader.follow(this);
    this.#readers.push(reader);
    this.#grace?.cancel();
    this.#grace = null;
    const head = this.#head;
    // Whoever gets it whole has nothing of it before its end.
    if (head === null || !reader.canFollow(head)) reader.watchDeadline((late) => this.#missDeadline(late));
    if (head === null && this.#run !== null) this.#raise(this.#run, reader);
    if (head !== null) this.#guarded(reader, () => this.#openFor(reader, head));
    this.#resumeIfRead();
  }

  /** Its key turned out to belong to another request. */
  conflict(error: BreakwaterError): void {
    this.#over();
    this.#first.tellOwnStory();
    this.#each((reader) => reader.fail(error, null));
  }

  /** A kept answer was found after all: everybody gets that one. */
  replay(whole: WholeAnswer): void {
    this.#over();
    this.#first.tellOwnStory();
    this.#each((reader) => reader.take(whole, 'hit'));
  }

  answer(status: number, headers: HeaderPairs, body: Uint8Array, usage: TokenUsage | null, isPoor: boolean): void {
    const { facts } = this.#first.request;
    const isStream = facts.stream && facts.operation !== 'bytes';
    const whole = this.#makeWhole(status, sharedHeaders(headers), body, isStream, usage);
    this.#over();
    this.#keeper.onWhole(this, whole, !isPoor);
    for (const reader of this.#readers.slice()) {
      try {
        if (reader === this.#first) reader.takeOwn(status, headers, body);
        else reader.take(whole, 'coalesced');
      } catch (error) {
        reader.drop(error);
      }
    }
  }

  commit(status: number, headers: HeaderPairs, isEventStream: boolean): void {
    const head: AnswerHead = { status, headers, shared: sharedHeaders(headers), isEventStream };
    this.#head = head;
    this.#each((reader) => this.#openFor(reader, head));
  }

  write(pieces: readonly Uint8Array[]): boolean {
    if (!this.#log.append(pieces)) this.#stopKeeping();
    for (const reader of this.#readers.slice()) {
      try {
        this.#advance(reader);
      } catch (error) {
        reader.drop(error);
      }
    }
    if (this.#readers.length > 1 && !this.#allBehind) {
      (this.#laggards ??= new LaggardWatch(this.#engine.clock, (late) => this.#letGo(late))).look(this.#readers, this.#log.bytes);
    }
    if (!this.#log.keepsAll) this.#trim();
    return this.#goesOn;
  }

  onDrain(listener: () => void): void {
    this.#onDrained = listener;
  }

  readerMoved(): boolean {
    let moved = this.#readers.length === 0;
    for (const reader of this.#readers) if (reader.readerMoved()) moved = true;
    return moved;
  }

  end(usage: TokenUsage | null = null, isPoor = false): void {
    const head = this.#head!;
    const whole = this.#log.keepsAll ? this.#makeWhole(head.status, head.shared, this.#log.toBytes(), head.isEventStream, usage) : null;
    if (this.#readers.some((reader) => reader.isBehind)) this.#each((reader) => this.#writeRest(reader, head));
    this.#over();
    if (whole === null) this.#keeper.onLost(this);
    else this.#keeper.onWhole(this, whole, !isPoor);
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
    this.#over();
    this.#keeper.onLost(this);
    this.#each((reader) => this.#failOne(reader, error, headers, false));
  }

  refuse(refusal: UpstreamRefusal): void {
    const { status, headers, body, words, isFinal, liesInRequest } = refusal;
    const shared = sharedHeaders(headers);
    this.#over();
    if (isFinal) this.#keeper.onWhole(this, { ...this.#makeWhole(status, shared, body, false, null), refusal: words }, false);
    else this.#keeper.onLost(this);
    const stale = isFinal || liesInRequest ? null : this.stale;
    this.#each((reader) => (stale === null ? reader.refuse(refusal, shared) : reader.take(stale, 'stale')));
  }

  leave(): void {
    if (this.#isOver) return;
    this.#over();
    this.#keeper.onLost(this);
    this.#each((reader) => reader.leave(false));
  }

  onDrained(): void {
    this.#each((reader) => this.#advance(reader));
    if (!this.#log.keepsAll) this.#trim();
    this.#laggards?.lookAgain();
    this.#resumeIfRead();
  }

  onGone(reader: AnswerReader): void {
    const at = this.#readers.indexOf(reader);
    if (at >= 0) this.#readers.splice(at, 1);
    if (this.#isOver) return;
    this.#laggards?.lookAgain();
    if (this.#readers.length > 0) {
      if (reader === this.#first) this.#run?.note(`its own caller has its end; ${this.#readers.length} more wait for the answer`);
      return this.#resumeIfRead();
    }
    // Without readers an answer is only of use whole.
    if (!this.isKeyed || !this.#log.keepsAll) return this.giveUp();
    this.#run?.note(`nobody reads it any more: it runs on for ${KEYED_RUNS_ON_MS} ms under its idempotency key`);
    this.#grace = this.#engine.clock.schedule(KEYED_RUNS_ON_MS, () => this.giveUp());
    this.#resumeIfRead();
  }

  /** Nobody is to have it any more. */
  giveUp(): void {
    if (this.hasLeft || this.#isOver) return;
    this.hasLeft = true;
    this.#keeper.onLost(this);
    this.onLeave?.();
  }

  #openFor(reader: AnswerReader, head: AnswerHead): void {
    if (!reader.canFollow(head)) return;
    reader.open(head);
    this.#advance(reader);
  }

  /** Gives a reader what it has not had, as much as its caller takes. */
  #advance(reader: AnswerReader): void {
    if (reader.isOver || reader.isBehind || this.#head === null || !reader.canFollow(this.#head)) return;
    for (;;) {
      const next = this.#log.from(reader.pieces, PIECES_AT_ONCE);
      if (next.length === 0) return;
      reader.pieces += next.length;
      for (const piece of next) reader.bytes += piece.byteLength;
      if (!reader.write(next)) return;
    }
  }

  #letGo(late: readonly AnswerReader[]): void {
    if (!this.#allBehind) {
      for (const reader of late) this.#guarded(reader, () => reader.fail(new BreakwaterError('stream_interrupted', LEFT_BEHIND), null));
    }
    this.#resumeIfRead();
  }

  /** False: the provider is held back. */
  get #goesOn(): boolean {
    return this.#laggards?.isHolding !== true && !this.#allBehind;
  }

  get #allBehind(): boolean {
    return this.#readers.length > 0 && this.#readers.every((reader) => reader.isBehind);
  }

  #resumeIfRead(): void {
    if (this.#onDrained === null || !this.#goesOn) return;
    const listener = this.#onDrained;
    this.#onDrained = null;
    listener();
  }

  /** It has become too large: only those go on who take it as it comes. */
  #stopKeeping(): void {
    this.#keeper.onLost(this);
    this.#each((reader) => {
      if (this.#head !== null && reader.canFollow(this.#head)) return;
      reader.fail(new BreakwaterError('stream_interrupted', TOO_LARGE), null);
    });
    if (this.#readers.length === 0) this.giveUp();
  }

  /** What every reader has taken need not be kept any more. */
  #trim(): void {
    let least = Infinity;
    for (const reader of this.#readers) least = Math.min(least, reader.pieces);
    this.#log.trim(least);
  }

  /** Its caller has time to take it: no more will come. */
  #writeRest(reader: AnswerReader, head: AnswerHead): void {
    if (reader.isBehind && reader.canFollow(head)) reader.write(this.#log.from(reader.pieces));
  }

  #takeAtEnd(reader: AnswerReader, whole: WholeAnswer | null): void {
    if (whole !== null) return reader.take(whole, 'coalesced');
    reader.fail(new BreakwaterError('stream_interrupted', TOO_LARGE), null);
  }

  #missDeadline(reader: AnswerReader): void {
    const waitedMs = Math.round(reader.deadline - reader.request.receivedAt);
    const message = `the deadline of ${waitedMs} ms has passed while the answer to the same request of ${this.firstId} was waited for`;
    this.#guarded(reader, () => this.#failOne(reader, new BreakwaterError('deadline_exceeded', message), null, true));
  }

  #failOne(reader: AnswerReader, error: BreakwaterError, headers: HeaderPairs | null, isEarly: boolean): void {
    if (this.stale !== null && this.#head === null && STALE_STANDS_IN.has(error.code)) reader.take(this.stale, 'stale');
    else reader.fail(error, headers, isEarly);
  }

  /** The run is wanted as long and as urgently as its most patient and most urgent readers want it. */
  #raise(run: AnswerRun, reader: AnswerReader): void {
    if (reader.deadline > run.deadline) this.#first.watchDeadline((late) => this.#missDeadline(late));
    run.raise({ priority: reader.request.priority, deadline: reader.deadline });
  }

  #makeWhole(status: number, shared: readonly string[], body: Uint8Array, isStream: boolean, usage: TokenUsage | null): WholeAnswer {
    const { wantsUsage } = this.#first.request.facts;
    return {
      status,
      headers: shared,
      body,
      isStream,
      tellsUsage: wantsUsage,
      usage,
      refusal: null,
      madeAtMs: this.#engine.clock.epochMs(),
    };
  }

  /** Readers may go while they are told. What every request does is written out above: see `RequestRun.relaying` on closures. */
  #each(tell: (reader: AnswerReader) => void): void {
    for (const reader of this.#readers.slice()) this.#guarded(reader, () => tell(reader));
  }

  /** What goes wrong with one reader hurts no other. */
  #guarded(reader: AnswerReader, work: () => void): void {
    if (reader.isOver) return;
    try {
      work();
    } catch (error) {
      reader.drop(error);
    }
  }

  #over(): void {
    this.#isOver = true;
    this.#grace?.cancel();
    this.#grace = null;
    this.#laggards?.stop();
    this.#log.clear();
    this.#onDrained = null;
  }
}

/** A reader that catches up is given so many pieces before it is asked again whether it has room. */
const PIECES_AT_ONCE = 16;

const LEFT_BEHIND = 'this caller fell more than 1 MB behind the others who read the same answer, and was let go';
const TOO_LARGE = 'the answer has become too large to be kept for a caller who asks for it in another form';
