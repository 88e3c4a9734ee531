/** Makes what learns of targets, and keeps it over reloads: of rate limits by their scope, of a target by its name. */
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
import { isOwnNetwork } from './own-network.ts';
import type { LimitResource } from './limits.ts';

/** What is learned of a target whoever calls it. */
export type TargetLearning = Pick<TargetState, 'concurrency' | 'input' | 'output'>;

export function createTargetLearning(name: string): TargetLearning {
  return { concurrency: new AdaptiveConcurrency(`${name}:learned concurrency`), input: new InputEstimate(), output: new OutputEstimate() };
}

/** What is learned of a scope's rate limits, the same object as long as anything uses the scope. */
export class LimitLearners {
  readonly #known = new Map<string, LimitLearner>();
  /** Hears of every one that is made anew. */
  onMade: ((scope: string, learner: LimitLearner) => void) | null = null;

  /** `limits`: those that are configured for the scope; `resources`: what was made of them. */
  of(scope: string, provider: ProviderConfig, limits: readonly LimitsConfig[], resources: readonly LimitResource[]): LimitLearner {
    const configured = resources.filter(isRate);
    const options = KINDS.map((kind) => optionsOf(`${scope}:learned ${kind}`, kind, provider, limits, configured));
    let learner = this.#known.get(scope);
    if (learner === undefined) {
      const [requests, tokens] = options.map((one) => new LearnedRate(one));
      learner = new LimitLearner(requests!, tokens!, new CachedCount(provider.countsCached), readerOf(provider));
      this.#known.set(scope, learner);
      this.onMade?.(scope, learner);
    }
    learner.requests.configure(options[0]!);
    learner.tokens.configure(options[1]!);
    return learner;
  }

  all(): IterableIterator<[string, LimitLearner]> {
    return this.#known.entries();
  }

  /** Of one model; a key's stays as long as the key. */
  forget(scope: string): void {
    this.#known.delete(scope);
  }

  /** Nothing uses the others any more. */
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
    startsCarefully: !isAnySet && !provider.local && !isOwnNetwork(new URL(provider.baseUrl).hostname),
  };
}

/** Groq counts requests by the day and tokens by the minute, under names that say neither. */
function readerOf({ rateLimitHeaders }: ProviderConfig): ReaderOptions {
  return {
    windowOf: (kind) => (rateLimitHeaders === 'groq' && kind === 'requests' ? 'day' : 'minute'),
    bareIsSecond: rateLimitHeaders === 'together',
  };
}

/** What `/admin/targets` shows of it. */
export interface LearnedStatus {
  /** Limits that the provider has told, or that refusals have taught; `credential` or `model`: what they belong to. */
  readonly limits: readonly {
    readonly kind: 'requests' | 'tokens' | 'inputTokens' | 'outputTokens';
    readonly source: 'told' | 'paced';
    readonly windowMs: number;
    readonly limit: number;
    readonly available: number;
  }[];
  /** Calls at once; null: nothing has shown that there is a limit. */
  readonly concurrency: number | null;
  /** Counted input tokens for each that was estimated; null: too little is known. */
  readonly inputFactor: number | null;
  /** The part of all input that the provider had in its cache, from 0 to 1; null: too little is known. */
  readonly cachedShare: number | null;
  /** Whether its token limits count that part. */
  readonly countsCached: boolean;
  /** The length that nine in ten answers stay below, in tokens, by client. */
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
