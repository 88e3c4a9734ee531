/** Which config is served: a file's, else the environment's. */
import {
  configFromEnvironment,
  findConfigFile,
  loadConfigFile,
  missingParts,
  ownAddressFaults,
  type Config,
  type ConfigResult,
  type FoundProvider,
  type SkippedProvider,
} from '../gateway/config/index.ts';
import { systemClock } from '../gateway/system-clock.ts';
import { proxyFaults } from '../transport/proxy-env.ts';
import { OperatorError } from './fail.ts';

export interface ConfigWish {
  /** As given on the command line. */
  readonly config?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: string | undefined;
  readonly logLevel?: string | undefined;
}

export interface FoundConfig {
  readonly config: Config;
  /** Null: made out of the environment. */
  readonly file: string | null;
  /** What the environment gave; empty with a file. */
  readonly found: readonly FoundProvider[];
  readonly skipped: readonly SkippedProvider[];
}

/** Throws an OperatorError with a line for each fault. */
export async function findConfig(wish: ConfigWish): Promise<FoundConfig> {
  const faults = proxyFaults(process.env);
  if (faults.length > 0) throw new OperatorError(faults);
  const file = wish.config ?? (await findConfigFile(process.cwd(), process.env));
  if (file !== null) return { config: await readConfigFile(file, wish), file, found: [], skipped: [] };
  const { createProbe } = await import('./probe.ts');
  const { result, found, skipped } = await configFromEnvironment(process.env, createProbe(systemClock), overridesOf(wish));
  return { config: sound(result, null), file: null, found, skipped };
}

/** The same for a file that is read again. */
export async function readConfigFile(file: string, wish: ConfigWish): Promise<Config> {
  return sound(await loadConfigFile(file, process.env, overridesOf(wish)), file);
}

export function overridesOf({ host, port, logLevel }: ConfigWish): Pick<ConfigWish, 'host' | 'port' | 'logLevel'> {
  return { host, port, logLevel };
}

function sound(result: ConfigResult, file: string | null): Config {
  const faults = result.ok ? [...missingParts(result.config), ...ownAddressFaults(result.config)] : result.faults;
  if (result.ok && faults.length === 0) return result.config;
  const where = file === null ? '' : `${file}: `;
  throw new OperatorError(faults.map(({ path, message }) => (path === '' ? message : where + message)));
}
