/** Where a provider's models run, as far as its settings and its address tell. */
import type { TargetState } from '../pipeline/route/route.ts';
import { isLoopbackHost } from './config/index.ts';
import type { ProviderConfig } from './config/index.ts';
import { isOwnNetwork } from './own-network.ts';

/** True if the models run on this machine: in this process, or in a server of a known local kind at a loopback address. */
export function isOnThisMachine(provider: ProviderConfig): boolean {
  return provider.engine !== null || (provider.local && isLoopbackHost(hostOf(provider)));
}

/** True if the server is the operator's own, by its preset or by its address: a slow first token is normal there. */
export function isOwnServer(provider: ProviderConfig): boolean {
  return provider.local || isOwnNetwork(hostOf(provider));
}

export function placeOf(provider: ProviderConfig): Pick<TargetState, 'ownServer' | 'onThisMachine' | 'runsHere'> {
  return { ownServer: isOwnServer(provider), onThisMachine: isOnThisMachine(provider), runsHere: provider.engine !== null };
}

/** Empty for a model in this process. */
function hostOf({ baseUrl }: ProviderConfig): string {
  return baseUrl === '' ? '' : new URL(baseUrl).hostname;
}
