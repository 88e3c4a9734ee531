import { Blame } from '../../core/blame.ts';
import type { Instant } from '../../core/clock.ts';
import type { Random } from '../../core/random.ts';
import type { Need, Resource, Settlement } from '../../core/resource.ts';
import { BLAME_LEVELS } from '../../core/source.ts';
import type { BlameLevel, Source } from '../../core/source.ts';
import { EvidenceSources } from '../../core/evidence-sources.ts';
import { SourcePauses } from './source-pauses.ts';

/**
 * When a cooldown ends, everybody who waited for it would start at once and be refused again. The first starts
 * after one are therefore spaced: this far apart at first, jittered, each gap a little shorter than the last.
 */
const FIRST_GAP_MS = 50;
const GAP_SHRINKS_TO = 0.95;
const LAST_GAP_MS = 5;

/**
 * A pause that rests on what one client, or one request, was answered is put to the test by another one after this long, in milliseconds;
 * by another request of the same client only where nothing else could serve it. Each refusal that confirms a pause makes the next test
 * wait twice as long: where limits are real, tests are refusals.
 */
const TEST_AFTER_MS: Readonly<Record<BlameLevel, number>> = { client: 1_000, request: 3_000 };
const TEST_AFTER_MAX_MS = 30_000;
/** A test that has shown nothing is followed by another one after this long, in milliseconds. */
const TEST_AGAIN_MS = 5_000;

/**
 * A pause that a target asked for, or a credential that is out of order (kind `bench`). Takes nothing; it only holds back.
 *
 * Who asked for it matters: what one source (a client, a request) is refused is no proof that others would be. The pause holds everybody
 * back, but another source may soon test it; if that one is answered, the pause is its cause's alone, and so are further refusals of the
 * same source, until others are refused too (core/blame.ts). A negative ticket is that of a test.
 */
export class Cooldown implements Resource {
  readonly id: string;
  readonly #usually: 'cooldown' | 'bench';
  readonly #random: Random;
  readonly #blame = new Blame();
  readonly #pauses = new SourcePauses();
  #kind: 'cooldown' | 'bench';
  #until: Instant = -Infinity;
  /** The sources whose refusals caused the pause; null: it can't be tested. */
  #word: EvidenceSources | null = null;
  /** From when another client, or another request of the same client, may test it. */
  readonly #testAt: Record<BlameLevel, Instant> = { client: Infinity, request: Infinity };
  /** Factor on the wait before a test; grows as refusals confirm the pause. */
  #patience = 1;
  #gapMs = 0;
  #nextStart: Instant = -Infinity;
  /** The newest ticket, and how things stood before it: so that it can be taken back if nothing came after. */
  #ticket = 0;
  #before = { nextStart: -Infinity, gapMs: 0 };

  constructor(id: string, kind: 'cooldown' | 'bench', random: Random) {
    this.id = id;
    this.#usually = kind;
    this.#kind = kind;
    this.#random = random;
  }

  /** `cooldown` while a rate limit is the cause, `bench` for anything else. */
  get kind(): 'cooldown' | 'bench' {
    return this.#kind;
  }

  /** What the source is refused concerns its request, or its client, alone: others are served meanwhile. Null: it concerns everybody. */
  soleCauseLevel(source: Source): BlameLevel | null {
    return this.#blame.soleCauseLevel(source);
  }

  /** Refusals of the source in a row. */
  streakOf(source: Source): number {
    return this.#blame.streakOf(source);
  }

  /** Holds everything back until `until`; never shortens a cooldown that runs. */
  coolUntil(until: Instant, kind: 'cooldown' | 'bench' = this.#usually): void {
    this.#word = null;
    this.#extend(until, kind);
  }

  /** The same for what one source was answered: another one may test it. */
  refused(now: Instant, source: Source, until: Instant, kind: 'cooldown' | 'bench' = this.#usually): void {
    this.#blame.failed(now, source);
    if (now >= this.#until) this.#begin(now, source);
    else this.#confirm(source);
    this.#extend(until, kind);
  }

  /** The source was refused, and that pauses nobody. */
  blame(now: Instant, source: Source): void {
    this.#blame.failed(now, source);
  }

  /** Holds back the source's request or client alone. */
  holdAlone(now: Instant, source: Source, level: BlameLevel, until: Instant): void {
    this.#blame.failed(now, source);
    this.#pauses.add(now, level, source[level], until);
  }

  /** Ends it at once, by hand or because the target has answered. */
  reset(): void {
    this.#blame.clear();
    this.#pauses.clear();
    this.#end(-Infinity, 0);
  }

  remainingMs(now: Instant): number {
    return Math.max(0, this.#until - now);
  }

  earliest(now: Instant, need?: Need): Instant {
    const source = need?.source;
    let at = Math.max(now, this.#nextStart);
    if (at > now && now < this.#until) at = Math.max(now, Math.min(at, this.#testableFrom(need)));
    return source === undefined ? at : Math.max(at, this.#pauses.until(now, source));
  }

  reserve(now: Instant, need?: Need): number {
    this.#pauses.reserve(now, need?.source);
    if (now < this.#until) {
      const level = this.#word?.contradictedBy(need?.source);
      if (level != null) this.#testAt[level] = now + TEST_AGAIN_MS;
      return -++this.#ticket;
    }
    this.#before = { nextStart: this.#nextStart, gapMs: this.#gapMs };
    if (this.#gapMs > LAST_GAP_MS) {
      this.#nextStart = Math.max(now, this.#nextStart) + this.#gapMs * (0.5 + this.#random.next());
      this.#gapMs *= GAP_SHRINKS_TO;
    } else if (this.#gapMs !== 0) {
      this.#gapMs = 0;
    }
    return ++this.#ticket;
  }

  onFirstContent(now: Instant, ticket: number, need?: Need): boolean {
    this.#blame.began(now, need?.source);
    return this.#contradict(now, ticket, need?.source);
  }

  settle(now: Instant, ticket: number, need?: Need, settlement?: Settlement): void {
    if (settlement?.health !== 'success') return;
    this.#contradict(now, ticket, need?.source);
    this.#blame.served(now, need?.source);
    this.#pauses.served(need?.source);
  }

  cancel(now: Instant, ticket: number, need?: Need): void {
    this.#pauses.cancel(now, need?.source);
    if (ticket < 0) this.#testAt.client = this.#testAt.request = now;
    if (ticket !== this.#ticket) return; // others have been spaced after it: its gap stays
    this.#nextStart = this.#before.nextStart;
    this.#gapMs = this.#before.gapMs;
    this.#ticket++;
  }

  #extend(until: Instant, kind: 'cooldown' | 'bench'): void {
    if (until <= this.#until) return;
    this.#kind = kind;
    this.#until = until;
    this.#nextStart = Math.max(this.#nextStart, until);
    this.#gapMs = FIRST_GAP_MS;
    this.#ticket++;
  }

  #begin(now: Instant, source: Source): void {
    this.#word = new EvidenceSources(source.client, source.request);
    for (const level of BLAME_LEVELS) this.#testAt[level] = now + Math.min(TEST_AFTER_MAX_MS, this.#patience * TEST_AFTER_MS[level]);
  }

  /** Another source is refused as well: the pause is not the fault of the first one alone. */
  #confirm(source: Source): void {
    if (this.#word === null || this.#word.contradictedBy(source) === null) return;
    this.#word.add(source);
    this.#blame.clearContradictions();
    this.#patience = Math.min(2 * this.#patience, TEST_AFTER_MAX_MS / TEST_AFTER_MS.client);
  }

  /** Without a source: the earliest over all sources. */
  #testableFrom(need: Need | undefined): Instant {
    if (this.#word === null || need === undefined) return Infinity;
    const { source } = need;
    if (source === undefined) return this.#word.isSettled ? Infinity : Math.min(this.#testAt.client, this.#testAt.request);
    const level = this.#word.contradictedBy(source);
    if (level === null || (level === 'request' && need.hasNoAlternative !== true)) return Infinity;
    return this.#testAt[level];
  }

  /** A test was answered: the pause is its cause's alone. */
  #contradict(now: Instant, ticket: number, source: Source | undefined): boolean {
    if (ticket >= 0 || now >= this.#until || this.#word === null) return false;
    const level = this.#word.contradictedBy(source);
    if (level === null) return false;
    const key = this.#word[level]!;
    this.#pauses.add(now, level, key, this.#until);
    this.#blame.confirmCause(now, level, key);
    this.#patience = 1;
    this.#end(now, FIRST_GAP_MS);
    return true;
  }

  #end(at: Instant, gapMs: number): void {
    this.#until = -Infinity;
    this.#word = null;
    this.#nextStart = at;
    this.#gapMs = gapMs;
    this.#ticket++;
  }
}
