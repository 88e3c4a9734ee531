/** The limits of clients, as resources that requests are charged to. */
import type { Resource } from '../core/resource.ts';
import { createClients } from './clients.ts';
import type { Clients } from './clients.ts';
import type { ClientConfig, Config } from './config/index.ts';
import type { LimitRegistry } from './limits.ts';
import type { ClientMoney } from './money/client-money.ts';

export function makeClients(config: Config, limits: LimitRegistry, money: ClientMoney): Clients {
  return createClients(config, (client) => ({
    resources: clientLimits(client, limits),
    budget: money.budgetOf(client),
    sessions: money.sessionsOf(client),
  }));
}

export function clientLimits(client: ClientConfig, limits: LimitRegistry): readonly Resource[] {
  const scope = `client ${client.name}`;
  return limits.make(scope, scope, client.limits, 'client');
}
