/** The local models of a config, in the form that their transport takes. */
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
  // One processor is left for the gateway itself.
  const own = { engine: name, threads: threads ?? Math.max(1, availableParallelism() - 1), maxHeap, cacheDir, directory };
  return Object.entries(engine.models).map(([model, settings]) => ({
    // An extractive summary, which no model wrote, is named the same for all providers.
    spec: {
      name: `${provider}/${model}`,
      responseModel: name === 'extract' ? 'local/extract' : `${provider}/${model}`,
      ...own,
      ...settings,
    },
    warm: warm && isLoadable(settings),
  }));
}

/** A model that is not configured is loaded on first use. */
function isLoadable({ weights, hub, mayDownload }: { weights: string | null; hub: string | null; mayDownload: boolean }): boolean {
  return weights !== null || hub === null || mayDownload;
}
