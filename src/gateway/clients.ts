/** The configured clients, looked up by the hash of their key. */
import { hash, timingSafeEqual } from 'node:crypto';
import type { Resource } from '../core/resource.ts';
import type { MoneyBudget } from '../policy/budget/money-budget.ts';
import type { SessionLimits } from '../policy/budget/session-limits.ts';
import { isModelAllowed, type ClientConfig, type Config } from './config/index.ts';
import type { KnownClient } from './gateway.ts';

export interface Clients {
  /** The client that the key belongs to; the anonymous one where no clients are configured; null: unknown. */
  authenticate(credential: string | null): KnownClient | null;
  /** Null: unknown name. */
  named(name: string): KnownClient | null;
}

/** The client of every caller when no clients are configured: all models, any priority. */
export const anonymousName = 'anonymous';

/** What bounds the requests of a client. */
export interface ClientBounds {
  readonly resources: readonly Resource[];
  readonly budget: MoneyBudget | null;
  readonly sessions: SessionLimits | null;
}

/** `makeBounds`: called once for each client. */
export function createClients(config: Pick<Config, 'clients' | 'providers'>, makeBounds: (client: ClientConfig) => ClientBounds): Clients {
  if (config.clients.length === 0) {
    const anonymous = createAnonymous();
    return { authenticate: () => anonymous, named: (name) => (name === anonymousName ? anonymous : null) };
  }
  const byHash = new Map<string, { digest: Buffer; client: KnownClient }>();
  for (const client of config.clients) {
    const hex = client.keyHash.slice('sha256:'.length);
    byHash.set(hex, { digest: Buffer.from(hex, 'hex'), client: toKnownClient(client, config.providers, makeBounds(client)) });
  }
  // Verified keys, at most one per client. The map uses V8's seeded hash, so a lookup leaks no timing information.
  const verified = new Map<string, KnownClient>();
  const byName = new Map([...byHash.values()].map(({ client }) => [client.name, client]));
  return {
    named: (name) => byName.get(name) ?? null,
    authenticate(credential) {
      if (credential === null) return null;
      const before = verified.get(credential);
      if (before !== undefined) return before;
      // A lookup by hash leaks nothing about the key; the digests are compared in constant time.
      const hex = hash('sha256', credential, 'hex');
      const found = byHash.get(hex);
      if (found === undefined || !timingSafeEqual(found.digest, Buffer.from(hex, 'hex'))) return null;
      verified.set(credential, found.client);
      return found.client;
    },
  };
}

function toKnownClient(client: ClientConfig, providers: Config['providers'], bounds: ClientBounds): KnownClient {
  const { resources, budget, sessions } = bounds;
  const overBudget = client.budget?.onExhausted ?? null;
  const { name, priority, maxPriority, models } = client;
  const mayUse = (model: string): boolean => isModelAllowed(models, model, providers);
  return {
    name,
    priority,
    maxPriority,
    resources: budget === null ? resources : [...resources, budget],
    mayUse,
    isLimited: models !== null,
    ...(budget !== null && { budget }),
    ...(sessions !== null && { sessions }),
    ...(overBudget !== null && { overBudget }),
  };
}

function createAnonymous(): KnownClient {
  return { name: anonymousName, priority: 'normal', maxPriority: 'high', resources: [], mayUse: () => true, isLimited: false };
}
