/** Finds the config: a file, else the environment. */
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

export interface ConfigOptions {
  /** As given on the command line. */
  readonly config?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: string | undefined;
  readonly logLevel?: string | undefined;
}

export interface FoundConfig {
  readonly config: Config;
  /** Null if the config comes from the environment. */
  readonly file: string | null;
  /** Providers found in the environment; empty if a file is used. */
  readonly found: readonly FoundProvider[];
  readonly skipped: readonly SkippedProvider[];
}

/** Throws an OperatorError with one line per fault. */
export async function findConfig(options: ConfigOptions): Promise<FoundConfig> {
  const faults = proxyFaults(process.env);
  if (faults.length > 0) throw new OperatorError(faults);
  const file = options.config ?? (await findConfigFile(process.cwd(), process.env));
  if (file !== null) return { config: await readConfigFile(file, options), file, found: [], skipped: [] };
  const { createProbe } = await import('./probe.ts');
  const { result, found, skipped } = await configFromEnvironment(process.env, createProbe(systemClock), overridesOf(options));
  return { config: assertValid(result, null), file: null, found, skipped };
}

/** Reads and validates a config file. */
export async function readConfigFile(file: string, options: ConfigOptions): Promise<Config> {
  return assertValid(await loadConfigFile(file, process.env, overridesOf(options)), file);
}

export function overridesOf({ host, port, logLevel }: ConfigOptions): Pick<ConfigOptions, 'host' | 'port' | 'logLevel'> {
  return { host, port, logLevel };
}

/** Throws an OperatorError with one line per fault. `file` null: the config is from the environment. */
export function assertValid(result: ConfigResult, file: string | null): Config {
  const faults = result.ok ? [...missingParts(result.config), ...ownAddressFaults(result.config)] : result.faults;
  if (result.ok && faults.length === 0) return result.config;
  const where = file === null ? '' : `${file}: `;
  throw new OperatorError(faults.map(({ path, message }) => (path === '' ? message : where + message)));
}
