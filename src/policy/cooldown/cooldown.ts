import { Blame } from '../../core/blame.ts';
import type { Instant } from '../../core/clock.ts';
import type { Random } from '../../core/random.ts';
import type { Need, Resource, Settlement } from '../../core/resource.ts';
import { BLAME_LEVELS } from '../../core/source.ts';
import type { BlameLevel, Source } from '../../core/source.ts';
import { EvidenceSources } from '../../core/evidence-sources.ts';
import { SourcePauses } from './source-pauses.ts';

/**
 * When a cooldown ends, all requests that waited for it would start at once and be refused again. The first starts after one are therefore
 * spaced: by this gap at first, with jitter, and each gap is a little shorter than the one before.
 */
const FIRST_GAP_MS = 50;
const GAP_SHRINKS_TO = 0.95;
const LAST_GAP_MS = 5;

/**
 * A pause caused by the refusals of one client, or of one request, is tested by another client after this long, in milliseconds; by another
 * request of the same client only where no other target could serve it. Each refusal that confirms a pause doubles the wait before the next
 * test: where the limit is real, every test is one more refusal.
 */
const TEST_AFTER_MS: Readonly<Record<BlameLevel, number>> = { client: 1_000, request: 3_000 };
const TEST_AFTER_MAX_MS = 30_000;
/** An inconclusive test is followed by another one after this long, in milliseconds. */
const TEST_AGAIN_MS = 5_000;

/**
 * A pause that a target requested, or that follows its errors. It has no capacity; it only blocks.
 *
 * It depends on who was refused: a refusal of one source (a client, a request) does not prove that others would be refused. The pause
 * blocks every source, but another one may soon test it. If the test is served, the pause applies to its cause alone, and so do further
 * refusals of the same source until other sources are refused too (`core/blame.ts`). A negative ticket belongs to a test.
 */
export class Cooldown implements Resource {
  readonly id: string;
  readonly #defaultKind: 'cooldown' | 'pause';
  readonly #random: Random;
  readonly #blame = new Blame();
  readonly #pauses = new SourcePauses();
  #kind: 'cooldown' | 'pause';
  #until: Instant = -Infinity;
  /** The sources whose refusals caused the pause; null: it cannot be tested. */
  #evidence: EvidenceSources | null = null;
  /** When another client, or another request of the same client, may test it. */
  readonly #testAt: Record<BlameLevel, Instant> = { client: Infinity, request: Infinity };
  /** Factor of the wait before a test; grows with each refusal that confirms a pause. */
  #testDelayFactor = 1;
  #gapMs = 0;
  #nextStart: Instant = -Infinity;
  /** The newest ticket, and the state before it, so that it can be undone while no other start follows. */
  #ticket = 0;
  #before = { nextStart: -Infinity, gapMs: 0 };

  constructor(id: string, kind: 'cooldown' | 'pause', random: Random) {
    this.id = id;
    this.#defaultKind = kind;
    this.#kind = kind;
    this.#random = random;
  }

  /** `cooldown` while a rate limit is the cause, `pause` for any other cause. */
  get kind(): 'cooldown' | 'pause' {
    return this.#kind;
  }

  /**
   * Not null: the source's refusals concern its request, or its client, alone, because others are served. Null: they concern every source.
   */
  soleCauseLevel(source: Source): BlameLevel | null {
    return this.#blame.soleCauseLevel(source);
  }

  /** Consecutive refusals of the source. */
  streakOf(source: Source): number {
    return this.#blame.streakOf(source);
  }

  /** Blocks every source until `until`; never shortens a running cooldown. */
  coolUntil(until: Instant, kind: 'cooldown' | 'pause' = this.#defaultKind): void {
    this.#evidence = null;
    this.#extend(until, kind);
  }

  /** The same for a refusal of one source: another source may test it. */
  refused(now: Instant, source: Source, until: Instant, kind: 'cooldown' | 'pause' = this.#defaultKind): void {
    this.#blame.failed(now, source);
    if (now >= this.#until) this.#begin(now, source);
    else this.#confirm(source);
    this.#extend(until, kind);
  }

  /** Records a refusal of the source that causes no pause. */
  blame(now: Instant, source: Source): void {
    this.#blame.failed(now, source);
  }

  /** Blocks only the source's request or client. */
  pauseSource(now: Instant, source: Source, level: BlameLevel, until: Instant): void {
    this.#blame.failed(now, source);
    this.#pauses.add(now, level, source[level], until);
  }

  /** Ends it at once, by hand or because the target has served a request. */
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
      const level = this.#evidence?.contradictedBy(need?.source);
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
    if (ticket !== this.#ticket) return; // later starts were spaced after it: its gap stays
    this.#nextStart = this.#before.nextStart;
    this.#gapMs = this.#before.gapMs;
    this.#ticket++;
  }

  #extend(until: Instant, kind: 'cooldown' | 'pause'): void {
    if (until <= this.#until) return;
    this.#kind = kind;
    this.#until = until;
    this.#nextStart = Math.max(this.#nextStart, until);
    this.#gapMs = FIRST_GAP_MS;
    this.#ticket++;
  }

  #begin(now: Instant, source: Source): void {
    this.#evidence = new EvidenceSources(source.client, source.request);
    for (const level of BLAME_LEVELS) this.#testAt[level] = now + Math.min(TEST_AFTER_MAX_MS, this.#testDelayFactor * TEST_AFTER_MS[level]);
  }

  /** A refusal of another source: the pause is not caused by the first source alone. */
  #confirm(source: Source): void {
    if (this.#evidence === null || this.#evidence.contradictedBy(source) === null) return;
    this.#evidence.add(source);
    this.#blame.clearContradictions();
    this.#testDelayFactor = Math.min(2 * this.#testDelayFactor, TEST_AFTER_MAX_MS / TEST_AFTER_MS.client);
  }

  /** Without a source: the earliest instant over all sources. */
  #testableFrom(need: Need | undefined): Instant {
    if (this.#evidence === null || need === undefined) return Infinity;
    const { source } = need;
    if (source === undefined) return this.#evidence.isSettled ? Infinity : Math.min(this.#testAt.client, this.#testAt.request);
    const level = this.#evidence.contradictedBy(source);
    if (level === null || (level === 'request' && need.hasNoAlternative !== true)) return Infinity;
    return this.#testAt[level];
  }

  /** A test was served: the pause applies to its cause alone. */
  #contradict(now: Instant, ticket: number, source: Source | undefined): boolean {
    if (ticket >= 0 || now >= this.#until || this.#evidence === null) return false;
    const level = this.#evidence.contradictedBy(source);
    if (level === null) return false;
    const key = this.#evidence[level]!;
    this.#pauses.add(now, level, key, this.#until);
    this.#blame.confirmCause(now, level, key);
    this.#testDelayFactor = 1;
    this.#end(now, FIRST_GAP_MS);
    return true;
  }

  #end(at: Instant, gapMs: number): void {
    this.#until = -Infinity;
    this.#evidence = null;
    this.#nextStart = at;
    this.#gapMs = gapMs;
    this.#ticket++;
  }
}
