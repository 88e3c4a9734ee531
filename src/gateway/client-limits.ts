/** Client limits, as resources that requests are charged to. */
import type { Resource } from '../core/resource.ts';
import { createClients } from './clients.ts';
import type { Clients } from './clients.ts';
import type { ClientConfig, Config } from './config/index.ts';
import type { TargetState } from '../pipeline/route/route.ts';
import type { LimitRegistry } from './limits.ts';
import type { ClientMoney } from './money/client-money.ts';

export function makeClients(config: Config, limits: LimitRegistry, money: ClientMoney): Clients {
  return createClients(config, (client) => ({
    resources: clientLimits(client, limits),
    budget: money.budgetOf(client),
    sessions: money.sessionsOf(client),
  }));
}

function clientLimits(client: ClientConfig, limits: LimitRegistry): readonly Resource[] {
  const scope = `client ${client.name}`;
  return limits.make(scope, scope, client.limits, 'client');
}

/** The limits that the targets and the clients of a config use. */
export function limitsInUse(config: Config, limits: LimitRegistry, targets: readonly TargetState[]): ReadonlySet<Resource> {
  const ofTargets = targets.flatMap((state) => state.limits);
  return new Set(ofTargets.concat(config.clients.flatMap((client) => clientLimits(client, limits))));
}
