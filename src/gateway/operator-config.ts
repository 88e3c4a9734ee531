/** What the dashboard shows of the configuration. Bounded in size. */
import type { ClientConfig, Config } from './config/index.ts';

const targetsMax = 200;
const modelsPerTargetMax = 4;
const clientsMax = 200;

/** A target without which requests for these models are refused. */
export interface OnlyTarget {
  readonly target: string;
  /** The first ones that it alone serves. */
  readonly models: readonly string[];
}

/** The limits of each session of a client; null: none of this kind. */
export interface SessionLimit {
  readonly client: string;
  readonly requestsPerMinute: number | null;
  readonly tokens: number | null;
  readonly usd: number | null;
}

type Clients = readonly Pick<ClientConfig, 'name' | 'sessionLimits'>[];

const known = new WeakMap<object, OnlyTarget[]>();
const knownLimits = new WeakMap<Clients, SessionLimit[]>();

/** Computed once for each configuration. */
export function onlyTargetsOf(config: Pick<Config, 'models'>): OnlyTarget[] {
  const found = known.get(config) ?? findOnlyTargets(config);
  known.set(config, found);
  return found;
}

function findOnlyTargets({ models }: Pick<Config, 'models'>): OnlyTarget[] {
  const found = new Map<string, string[]>();
  for (const { name, tiers } of Object.values(models)) {
    const [target, ...others] = new Set(tiers.flat().map((spec) => `${spec.provider}/${spec.model}`));
    if (target === undefined || others.length > 0) continue;
    const names = found.get(target) ?? [];
    if (names.length < modelsPerTargetMax) names.push(name);
    if (found.has(target) || found.size < targetsMax) found.set(target, names);
  }
  return Array.from(found, ([target, names]) => ({ target, models: names }));
}

/** Computed once for each configuration. */
export function sessionLimitsOf(clients: Clients): SessionLimit[] {
  const found = knownLimits.get(clients) ?? findSessionLimits(clients);
  knownLimits.set(clients, found);
  return found;
}

function findSessionLimits(clients: Clients): SessionLimit[] {
  const bound = (amount: number): number | null => (amount === Infinity ? null : amount);
  return clients
    .flatMap(({ name, sessionLimits }) => {
      if (sessionLimits === null) return [];
      const { requestsPerMinute, tokens, usd } = sessionLimits;
      return [{ client: name, requestsPerMinute: bound(requestsPerMinute), tokens: bound(tokens), usd: bound(usd) }];
    })
    .slice(0, clientsMax);
}
