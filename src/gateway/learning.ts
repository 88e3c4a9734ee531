/** Creates learned state and keeps it over reloads: rate limits by scope, the rest by target name. */
import type { Instant } from '../core/clock.ts';
import { AdaptiveConcurrency } from '../policy/concurrency-limiter/adaptive-concurrency.ts';
import { ConcurrencyLimiter } from '../policy/concurrency-limiter/concurrency-limiter.ts';
import { CachedCount } from '../policy/rate-limiter/cached-count.ts';
import { LearnedRate } from '../policy/rate-limiter/learned-rate.ts';
import type { LearnedRateOptions } from '../policy/rate-limiter/learned-rate.ts';
import { InputEstimate, OutputEstimate } from '../policy/token-estimate.ts';
import { LimitLearner } from '../pipeline/route/limit-learner.ts';
import { countsCached } from '../pipeline/route/route.ts';
import type { TargetState } from '../pipeline/route/route.ts';
import type { ReaderOptions } from '../wire/rate-limit-reader.ts';
import type { LimitsConfig, ProviderConfig } from './config/index.ts';
import { isPrivateNetwork } from './private-network.ts';
import type { LimitResource } from './limits.ts';

/** Learned state of a target, over all its credentials. */
export type TargetLearning = Pick<TargetState, 'concurrency' | 'input' | 'output'>;

export function createTargetLearning(name: string): TargetLearning {
  return { concurrency: new AdaptiveConcurrency(`${name}:learned concurrency`), input: new InputEstimate(), output: new OutputEstimate() };
}

/** The instances that use the same keys. */
export interface LearningFleet {
  /** How many there are, this one included. */
  readonly instances: number;
  /** A limit was learned that the others do not have yet, or noticeably less remains of one. */
  hasLimitNews(): void;
}

/** The learned rate limits of each scope: the same object while anything uses the scope. */
export class LimitLearners {
  readonly #onNews: () => void;
  readonly #instances: () => number;
  readonly #known = new Map<string, LimitLearner>();
  /** Called for each new learner. */
  onCreated: ((scope: string, learner: LimitLearner) => void) | null = null;

  constructor(fleet: LearningFleet | null = null) {
    this.#onNews = () => fleet?.hasLimitNews();
    this.#instances = () => fleet?.instances ?? 1;
  }

  /** `limits`: the configured limits of the scope; `resources`: the resources built from them. */
  of(scope: string, provider: ProviderConfig, limits: readonly LimitsConfig[], resources: readonly LimitResource[]): LimitLearner {
    const configured = resources.filter(isRate);
    const options = KINDS.map((kind) => ({
      ...optionsOf(`${scope}:learned ${kind}`, kind, provider, limits, configured),
      instances: this.#instances,
    }));
    let learner = this.#known.get(scope);
    if (learner === undefined) {
      const [requests, tokens] = options.map((one) => new LearnedRate(one));
      learner = new LimitLearner(requests!, tokens!, new CachedCount(provider.countsCached), readerOf(provider), this.#onNews);
      this.#known.set(scope, learner);
      this.onCreated?.(scope, learner);
    }
    learner.requests.configure(options[0]!);
    learner.tokens.configure(options[1]!);
    return learner;
  }

  all(): IterableIterator<[string, LimitLearner]> {
    return this.#known.entries();
  }

  /** Drops the learner of one model; that of a key is kept as long as the key. */
  forget(scope: string): void {
    this.#known.delete(scope);
  }

  /** Drops all others, which are no longer in use. */
  keepOnly(used: ReadonlySet<LimitLearner | null>): void {
    for (const [scope, learner] of this.#known) if (!used.has(learner)) this.#known.delete(scope);
  }
}

function isRate(resource: LimitResource): resource is Exclude<LimitResource, ConcurrencyLimiter> {
  return !(resource instanceof ConcurrencyLimiter);
}

const KINDS = ['requests', 'tokens'] as const;
const REQUEST_LIMITS = ['requestsPerSecond', 'requestsPerMinute', 'requestsPerDay'] as const;
const TOKEN_LIMITS = ['tokensPerMinute', 'tokensPerDay', 'inputTokensPerMinute', 'outputTokensPerMinute'] as const;

function optionsOf(
  id: string,
  kind: LearnedRateOptions['kind'],
  provider: ProviderConfig,
  limits: readonly LimitsConfig[],
  configured: LearnedRateOptions['configured'],
): LearnedRateOptions {
  const isSet = (names: readonly (keyof LimitsConfig)[]): boolean => limits.some((one) => names.some((name) => one[name] !== undefined));
  const isAnySet = isSet([...REQUEST_LIMITS, ...TOKEN_LIMITS, 'concurrency']);
  const isSliding = limits.some(({ window }) => window === 'sliding');
  return {
    id,
    kind,
    enforce: isSliding ? 'sliding' : provider.enforce,
    configured,
    isConfigured: isSet(kind === 'requests' ? REQUEST_LIMITS : TOKEN_LIMITS),
    startsCarefully: !isAnySet && !provider.local && !isPrivateNetwork(new URL(provider.baseUrl).hostname),
  };
}

/** Groq counts requests per day and tokens per minute, without either in the header names. */
function readerOf({ rateLimitHeaders }: ProviderConfig): ReaderOptions {
  return {
    windowOf: (kind) => (rateLimitHeaders === 'groq' && kind === 'requests' ? 'day' : 'minute'),
    bareIsSecond: rateLimitHeaders === 'together',
  };
}

/** Learned state as shown in `/admin/targets`. */
export interface LearnedStatus {
  /** Limits that the provider reported, or that were inferred from 429s. */
  readonly limits: readonly {
    readonly kind: 'requests' | 'tokens' | 'inputTokens' | 'outputTokens';
    readonly source: 'reported' | 'inferred';
    readonly windowMs: number;
    readonly limit: number;
    readonly available: number;
  }[];
  /** The inferred concurrency limit; null: no limit was observed. */
  readonly concurrency: number | null;
  /** Reported input tokens per estimated token; null: too few samples. */
  readonly inputFactor: number | null;
  /** The share of input tokens read from the provider's cache, from 0 to 1; null: too few samples. */
  readonly cachedShare: number | null;
  /** Whether its token limits count cached input. */
  readonly countsCached: boolean;
  /** The 90th percentile of output tokens, by client. */
  readonly outputTokens: Readonly<Record<string, number>>;
}

export function learnedStatus(state: TargetState, now: Instant): LearnedStatus {
  const { rates, concurrency, input, output } = state;
  const known = rates === null ? [] : [rates.requests, rates.tokens].flatMap((rate) => rate.known(now).map((one) => ({ rate, one })));
  const isKnown = input.save() !== null;
  return {
    limits: known.map(({ rate, one: { counts, ...one } }) => ({ kind: counts === 'all' ? rate.kind : `${counts}Tokens`, ...one })),
    concurrency: concurrency.limit === Infinity ? null : concurrency.limit,
    inputFactor: isKnown ? thousandths(input.factor) : null,
    cachedShare: isKnown ? thousandths(input.cachedShare) : null,
    countsCached: countsCached(state),
    outputTokens: Object.fromEntries(output.save().map(({ client, tokens }) => [client, tokens])),
  };
}

function thousandths(value: number): number {
  return Math.round(value * 1000) / 1000;
}
