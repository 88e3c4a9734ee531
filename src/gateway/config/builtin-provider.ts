/** The built-in provider `local`, whose model `extract` makes extractive summaries without weights. */
import { buildProvider } from './build-provider.ts';
import type { ProviderConfig } from './config.ts';
import { FaultList } from './faults.ts';

export const builtinProviderName = 'local';

export const builtinProvider: ProviderConfig = buildProvider(
  builtinProviderName,
  {},
  { env: {}, directory: process.cwd(), faults: new FaultList({}, new Set()) },
)!;

/** A configured or built-in provider by name. */
export function providerNamed<P>(providers: Readonly<Record<string, P>>, name: string): P | ProviderConfig | undefined {
  return providers[name] ?? (name === builtinProviderName ? builtinProvider : undefined);
}
