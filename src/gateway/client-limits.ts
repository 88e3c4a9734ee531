/** Client limits, as resources that requests are charged to. */
import type { Resource } from '../core/resource.ts';
import { createClients } from './clients.ts';
import type { Clients } from './clients.ts';
import type { ClientConfig, Config } from './config/index.ts';
import type { LimitRegistry } from './limits.ts';

export function makeClients(config: Config, limits: LimitRegistry): Clients {
  return createClients(config, (client) => clientLimits(client, limits));
}

export function clientLimits(client: ClientConfig, limits: LimitRegistry): readonly Resource[] {
  const scope = `client ${client.name}`;
  return limits.make(scope, scope, client.limits, 'client');
}
