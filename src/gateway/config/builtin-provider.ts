/** The provider that needs no config: `local`, whose model `extract` makes summaries without weights. */
import { buildProvider } from './build-provider.ts';
import type { Config, ProviderConfig } from './config.ts';
import { FaultList } from './faults.ts';

export const builtinProviderName = 'local';

export const builtinProvider: ProviderConfig = buildProvider(
  builtinProviderName,
  {},
  { env: {}, directory: process.cwd(), faults: new FaultList({}, new Set()) },
)!;

/** A provider by its name; undefined: there is none. */
export function providerNamed(providers: Config['providers'], name: string): ProviderConfig | undefined {
  return providers[name] ?? (name === builtinProviderName ? builtinProvider : undefined);
}
