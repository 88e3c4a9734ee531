import type { HeadersByName } from '../../core/headers.ts';
import type { Instant } from '../../core/clock.ts';
import type { TokenUsage } from '../../core/facts.ts';
import type { Need, Resource } from '../../core/resource.ts';
import type { CachedCount } from '../../policy/rate-limiter/cached-count.ts';
import type { CountedAs } from '../../policy/rate-limiter/told-limit.ts';
import type { LearnedRate } from '../../policy/rate-limiter/learned-rate.ts';
import { RateLimitReader } from '../../wire/rate-limit-reader.ts';
import type { LimitListener, ReaderOptions } from '../../wire/rate-limit-reader.ts';
import type { LimitKind, RateLimitHint } from '../../wire/rate-limit-headers.ts';

const COUNTED: Readonly<Record<LimitKind, CountedAs>> = { requests: 'all', tokens: 'all', inputTokens: 'input', outputTokens: 'output' };

/** What is learned of the rate limits of one scope: a credential, or one model of it, as the preset says. Shared by its targets. */
export class LimitLearner implements LimitListener {
  readonly requests: LearnedRate;
  readonly tokens: LearnedRate;
  /** Whether its token limits count input that it has cached. */
  readonly cached: CachedCount;
  readonly resources: readonly Resource[];
  #reader: RateLimitReader;
  /** Of the answer that is being read. */
  #now: Instant = 0;
  #startedAt: Instant = 0;

  constructor(requests: LearnedRate, tokens: LearnedRate, cached: CachedCount, reader: ReaderOptions) {
    this.requests = requests;
    this.tokens = tokens;
    this.cached = cached;
    this.resources = [requests, tokens];
    this.#reader = new RateLimitReader(reader);
  }

  /** The headers of an answer, good or bad. `startedAt`: of its call. */
  read(now: Instant, epochMs: number, startedAt: Instant, headers: HeadersByName, thoroughly: boolean): void {
    this.#now = now;
    this.#startedAt = startedAt;
    this.#reader.read(headers, epochMs, this, thoroughly);
  }

  /** After `read`: an answer has begun. True if somebody may start sooner. */
  served(now: Instant, startedAt: Instant, need: Need): boolean {
    const requests = this.requests.served(now, startedAt, need);
    return this.tokens.served(now, startedAt, need) || requests;
  }

  /**
   * After `read`: a rate limit has refused the call; of which kind, where the provider says so. `asksToWait`: it names a wait. False:
   * the refusal seems to be random, and the target needs no pause.
   */
  refused(now: Instant, startedAt: Instant, need: Need, kind: 'requests' | 'tokens' | null, asksToWait: boolean): boolean {
    const requests = kind !== 'tokens' && this.requests.refused(now, startedAt, need);
    const tokens = kind !== 'requests' && this.tokens.refused(now, startedAt, need);
    if (tokens) this.cached.refused();
    return requests || tokens || (asksToWait && this.requests.isCalm(now));
  }

  /** After `read`: the provider has answered, whatever it was. */
  heard(now: Instant): void {
    this.requests.heard(now);
    this.tokens.heard(now);
  }

  reset(): void {
    this.requests.reset();
    this.tokens.reset();
    this.cached.reset();
  }

  /** An answer has come to its end. */
  used({ cachedInputTokens }: TokenUsage): void {
    if (cachedInputTokens > 0) this.cached.used(cachedInputTokens, this.tokens.inputLimit);
  }

  onLimit(hint: RateLimitHint, windowMs: number): void {
    const { family, kind, limit, remaining } = hint;
    const by = this.#rateOf(kind).tell(this.#now, this.#startedAt, { family, counts: COUNTED[kind], windowMs, limit, remaining });
    this.#noteCorrection(kind, by);
  }

  onRemaining(family: number, kind: LimitKind, remaining: number): void {
    this.#noteCorrection(kind, this.#rateOf(kind).remains(this.#now, this.#startedAt, family, remaining));
  }

  #noteCorrection(kind: LimitKind, by: number): void {
    if (by !== 0 && (kind === 'tokens' || kind === 'inputTokens')) this.cached.corrected(by);
  }

  #rateOf(kind: LimitKind): LearnedRate {
    return kind === 'requests' ? this.requests : this.tokens;
  }
}
