/** Where a provider's models run, by its settings and address. */
import type { TargetState } from '../pipeline/route/route.ts';
import { isLoopbackHost } from './config/index.ts';
import type { ProviderConfig } from './config/index.ts';
import { isPrivateNetwork } from './private-network.ts';

/** True if the models run on this machine: in this process, or in a server of a known local kind at a loopback address. */
export function isOnThisMachine(provider: ProviderConfig): boolean {
  return provider.engine !== null || (provider.local && isLoopbackHost(hostOf(provider)));
}

/** True for a self-hosted server, by preset or address: a slow first token is normal there. */
export function isSelfHosted(provider: ProviderConfig): boolean {
  return provider.local || isPrivateNetwork(hostOf(provider));
}

export function placeOf(provider: ProviderConfig): Pick<TargetState, 'ownServer' | 'onThisMachine' | 'runsHere'> {
  return { ownServer: isSelfHosted(provider), onThisMachine: isOnThisMachine(provider), runsHere: provider.engine !== null };
}

/** Empty for a model that runs in this process. */
function hostOf({ baseUrl }: ProviderConfig): string {
  return baseUrl === '' ? '' : new URL(baseUrl).hostname;
}
