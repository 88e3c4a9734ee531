/** The causes of waiting, named in the operator's terms. */
import type { Blocker } from '../../core/events.ts';
import type { ResourceKind } from '../../core/resource.ts';
import type { Config, LimitsConfig } from '../../gateway/config/index.ts';

/** Causes with less than this share of the longest wait are not bottlenecks. */
const SHARE_MIN = 0.5;
const NAMED_MAX = 2;

const LIMITS_OF = {
  requests: ['requestsPerSecond', 'requestsPerMinute', 'requestsPerDay'],
  tokens: ['tokensPerMinute', 'tokensPerDay', 'inputTokensPerMinute', 'outputTokensPerMinute'],
  concurrency: ['concurrency'],
} as const satisfies Partial<Record<ResourceKind, readonly (keyof LimitsConfig)[]>>;

/** Sums the waiting time per cause. */
export class Bottlenecks {
  readonly #config: Config;
  readonly #waitMs = new Map<string, number>();

  constructor(config: Config) {
    this.#config = config;
  }

  /** Adds the wait of a request that all of these blocked. */
  add(blockers: readonly Blocker[], waitMs: number): void {
    const names = new Set(blockers.flatMap((blocker) => nameOf(blocker, this.#config) ?? []));
    for (const name of names) this.#waitMs.set(name, (this.#waitMs.get(name) ?? 0) + waitMs);
  }

  /** The main causes of waiting, such as `openai's tokensPerMinute`. */
  get names(): readonly string[] {
    const ranked = [...this.#waitMs].toSorted((a, b) => b[1] - a[1]);
    const most = ranked[0]?.[1] ?? 0;
    const named = ranked.filter(([, ms]) => ms > 0 && ms >= most * SHARE_MIN).slice(0, NAMED_MAX);
    return named.map(([name]) => name);
  }
}

function nameOf({ target, kind }: Blocker, config: Config): string | null {
  const provider = target.slice(0, target.indexOf('/'));
  switch (kind) {
    case 'requests':
    case 'tokens':
    case 'concurrency':
      return limitName(target, provider, kind, config);
    case 'cooldown':
    case 'pause':
      return `a pause requested by ${provider}`;
    case 'quarantine':
      return `a disabled key of ${provider}`;
    case 'breaker':
      return `the open breaker of ${target}`;
    case 'client':
      return "the client's own limits";
    case 'budget':
      return "the client's budget";
    case 'incapable':
      return null;
  }
}

function limitName(target: string, provider: string, kind: keyof typeof LIMITS_OF, config: Config): string {
  const set = config.providers[provider];
  const model = target.slice(provider.length + 1);
  const having = (limits: LimitsConfig | undefined): string[] => LIMITS_OF[kind].filter((name) => limits?.[name] !== undefined);
  const [own, shared] = [having(set?.models[model]?.limits), having(set?.limits)];
  if (own.length > 0) return `${target}'s ${own.join(' or ')}`;
  return `${provider}'s ${shared.length > 0 ? shared.join(' or ') : kind}`;
}
