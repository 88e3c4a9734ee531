import type { HeadersByName } from '../../core/headers.ts';
import type { Instant } from '../../core/clock.ts';
import type { TokenUsage } from '../../core/facts.ts';
import type { Need, Resource } from '../../core/resource.ts';
import type { CachedCount } from '../../policy/rate-limiter/cached-count.ts';
import type { LearnedRate } from '../../policy/rate-limiter/learned-rate.ts';
import type { CountedAs, RateLimit, SharedLimit } from '../../policy/rate-limiter/shared-limit.ts';
import { RateLimitReader } from '../../wire/rate-limit-reader.ts';
import type { LimitListener, ReaderOptions } from '../../wire/rate-limit-reader.ts';
import type { LimitKind, RateLimitHint } from '../../wire/rate-limit-headers.ts';

const COUNTED: Readonly<Record<LimitKind, CountedAs>> = { requests: 'all', tokens: 'all', inputTokens: 'input', outputTokens: 'output' };

/** Learns the rate limits of one scope: a credential, or one model of it, as the preset says. Shared by its targets. */
export class LimitLearner implements LimitListener {
  readonly requests: LearnedRate;
  readonly tokens: LearnedRate;
  /** Whether its token limits count cached input. */
  readonly cached: CachedCount;
  readonly resources: readonly Resource[];
  readonly #reader: RateLimitReader;
  readonly #onNews: () => void;
  #isAnnounced = false;
  /** Of the response being read. */
  #now: Instant = 0;
  #startedAt: Instant = 0;

  /** `onNews`: called once before each `takeNews` that returns something. */
  constructor(requests: LearnedRate, tokens: LearnedRate, cached: CachedCount, reader: ReaderOptions, onNews: () => void = () => {}) {
    this.requests = requests;
    this.tokens = tokens;
    this.cached = cached;
    this.resources = [requests, tokens];
    this.#reader = new RateLimitReader(reader);
    this.#onNews = onNews;
  }

  /** Reads the headers of a response, whatever its status. `startedAt`: start of its call. */
  read(now: Instant, epochMs: number, startedAt: Instant, headers: HeadersByName, thoroughly: boolean): void {
    this.#now = now;
    this.#startedAt = startedAt;
    this.#reader.read(headers, epochMs, this, thoroughly);
    if (this.#isAnnounced || !(this.requests.hasNews || this.tokens.hasNews)) return;
    this.#isAnnounced = true;
    this.#onNews();
  }

  /** What the other instances do not have yet, each once. */
  takeNews(now: Instant): readonly RateLimit[] {
    this.#isAnnounced = false;
    return this.#limits((rate) => rate.takeNews(now));
  }

  /** All that the provider has reported. */
  share(now: Instant): readonly RateLimit[] {
    return this.#limits((rate) => rate.share(now));
  }

  #limits(of: (rate: LearnedRate) => readonly SharedLimit[]): readonly RateLimit[] {
    return [this.requests, this.tokens].flatMap((rate) => of(rate).map((limit) => ({ rate: rate.id, ...limit })));
  }

  /** Applies a limit of one of its rates that another instance has learned. True if a waiting request may start sooner. */
  adopt(now: Instant, rate: LearnedRate, limit: SharedLimit): boolean {
    const { by, hasOpened } = rate.adopt(now, limit);
    if (rate === this.tokens && limit.counts !== 'output' && by !== 0) this.cached.corrected(by);
    return hasOpened;
  }

  /** After `read`: a response has begun. True if a waiting request may start sooner. */
  served(now: Instant, startedAt: Instant, need: Need): boolean {
    const requests = this.requests.served(now, startedAt, need);
    return this.tokens.served(now, startedAt, need) || requests;
  }

  /**
   * After `read`: a rate limit refused the call. `kind`: the limit, where the provider names it; `hasRetryAfter`: the provider names a wait.
   * False: the refusal seems random, and the target needs no pause.
   */
  refused(now: Instant, startedAt: Instant, need: Need, kind: 'requests' | 'tokens' | null, hasRetryAfter: boolean): boolean {
    const requests = kind !== 'tokens' && this.requests.refused(now, startedAt, need);
    const tokens = kind !== 'requests' && this.tokens.refused(now, startedAt, need);
    if (tokens) this.cached.refused();
    return requests || tokens || (hasRetryAfter && this.requests.isCalm(now));
  }

  /** After `read`: the provider has responded, whatever the status. */
  responded(now: Instant): void {
    this.requests.responded(now);
    this.tokens.responded(now);
  }

  reset(): void {
    this.requests.reset();
    this.tokens.reset();
    this.cached.reset();
  }

  /** A response is complete. */
  used({ cachedInputTokens }: TokenUsage): void {
    if (cachedInputTokens > 0) this.cached.used(cachedInputTokens, this.tokens.inputLimit);
  }

  onLimit(hint: RateLimitHint, windowMs: number): void {
    const { family, kind, limit, remaining } = hint;
    const by = this.#rateOf(kind).advertise(this.#now, this.#startedAt, { family, counts: COUNTED[kind], windowMs, limit, remaining });
    this.#noteCorrection(kind, by);
  }

  onRemaining(family: number, kind: LimitKind, remaining: number): void {
    this.#noteCorrection(kind, this.#rateOf(kind).updateRemaining(this.#now, this.#startedAt, family, remaining));
  }

  #noteCorrection(kind: LimitKind, by: number): void {
    if (by !== 0 && (kind === 'tokens' || kind === 'inputTokens')) this.cached.corrected(by);
  }

  #rateOf(kind: LimitKind): LearnedRate {
    return kind === 'requests' ? this.requests : this.tokens;
  }
}
