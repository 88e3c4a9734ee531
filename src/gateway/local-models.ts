/** The models of a config that run on this machine, as their transport takes them. */
import { availableParallelism } from 'node:os';
import type { LocalModel } from '../transport/local/local-transport.ts';
import { builtinProvider } from './config/index.ts';
import type { Config, ProviderConfig } from './config/index.ts';

export function localModels({ providers }: Config): LocalModel[] {
  const builtin = providers[builtinProvider.name] === undefined ? [builtinProvider] : [];
  return [...Object.values(providers), ...builtin].flatMap(modelsOf);
}

function modelsOf({ name: provider, baseUrl, engine }: ProviderConfig): LocalModel[] {
  // Simulated providers have an address.
  if (engine === null || baseUrl !== '') return [];
  const { name, warm, threads, maxHeap, cacheDir, directory } = engine;
  // One processor is left to those who are served meanwhile.
  const own = { engine: name, threads: threads ?? Math.max(1, availableParallelism() - 1), maxHeap, cacheDir, directory };
  return Object.entries(engine.models).map(([model, settings]) => ({
    // Whatever its provider is called, a summary without a model says what it is.
    spec: {
      name: `${provider}/${model}`,
      responseModel: name === 'extract' ? 'local/extract' : `${provider}/${model}`,
      ...own,
      ...settings,
    },
    warm: warm && isLoadable(settings),
  }));
}

/** A model that nobody configured is not loaded before it is asked for. */
function isLoadable({ weights, hub, mayDownload }: { weights: string | null; hub: string | null; mayDownload: boolean }): boolean {
  return weights !== null || hub === null || mayDownload;
}
