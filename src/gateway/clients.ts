/** The callers that the config names, found by the hash of their key. */
import { hash, timingSafeEqual } from 'node:crypto';
import type { Resource } from '../core/resource.ts';
import { isModelAllowed, type ClientConfig, type Config } from './config/index.ts';
import type { KnownClient } from './gateway.ts';

export interface Clients {
  /** The client that the key belongs to; the anonymous one where no clients are configured; null: unknown. */
  authenticate(credential: string | null): KnownClient | null;
}

/** What everybody is where no key is asked for: may ask for anything, at any priority. */
const anonymousName = 'anonymous';

/** `makeLimits` gives the resources that a client's own limits and budget are; called once per client. */
export function createClients(
  config: Pick<Config, 'clients' | 'providers'>,
  makeLimits: (client: ClientConfig) => readonly Resource[],
): Clients {
  if (config.clients.length === 0) {
    const anonymous = createAnonymous();
    return { authenticate: () => anonymous };
  }
  const byHash = new Map<string, { digest: Buffer; client: KnownClient }>();
  for (const client of config.clients) {
    const hex = client.keyHash.slice('sha256:'.length);
    byHash.set(hex, { digest: Buffer.from(hex, 'hex'), client: toKnownClient(client, config.providers, makeLimits(client)) });
  }
  return {
    authenticate(credential) {
      if (credential === null) return null;
      // Looking up by hash tells a guesser nothing of the key; the comparison of the digests takes constant time.
      const hex = hash('sha256', credential, 'hex');
      const found = byHash.get(hex);
      return found !== undefined && timingSafeEqual(found.digest, Buffer.from(hex, 'hex')) ? found.client : null;
    },
  };
}

function toKnownClient(client: ClientConfig, providers: Config['providers'], resources: readonly Resource[]): KnownClient {
  const { name, priority, maxPriority, models } = client;
  const mayUse = (model: string): boolean => isModelAllowed(models, model, providers);
  return { name, priority, maxPriority, resources, mayUse };
}

function createAnonymous(): KnownClient {
  return { name: anonymousName, priority: 'normal', maxPriority: 'high', resources: [], mayUse: () => true };
}
