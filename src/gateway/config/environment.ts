/** Builds a config without a file: from API keys in the environment and model servers on this machine. */
import { missingInEnvironment } from './build-cloud.ts';
import type { Environment } from './interpolate.ts';
import { parseConfig, type ConfigResult, type ParseOptions } from './parse-config.ts';
import { presets, type Preset, type PresetName } from './presets.ts';

/** Fetches the model names of a server; null or a rejection: no model list in time. */
export type Probe = (url: string, timeoutMs: number) => Promise<readonly string[] | null>;

/** Timeout of a probe of a local server. */
export const probeTimeoutMs = 300;

/** The local servers that are probed on their default ports. */
const probed = ['ollama', 'llamacpp', 'vllm', 'lmstudio'] as const satisfies readonly PresetName[];

export interface FoundProvider {
  readonly name: PresetName;
  /** The environment variable with its key, or the base URL that responded. */
  readonly from: string;
  /** The models that it listed; empty if it was not probed. */
  readonly models: readonly string[];
}

export interface SkippedProvider {
  readonly name: PresetName;
  readonly from: string;
  readonly why: string;
}

export interface EnvironmentConfig {
  /** May be a valid config without providers. */
  readonly result: ConfigResult;
  readonly found: readonly FoundProvider[];
  /** Providers with a key that lack another setting. */
  readonly skipped: readonly SkippedProvider[];
}

/** Builds a config from the environment. Servers are probed in parallel. */
export async function configFromEnvironment(
  env: Environment,
  probe: Probe,
  overrides: ParseOptions['overrides'] = {},
): Promise<EnvironmentConfig> {
  const found: FoundProvider[] = [];
  const skipped: SkippedProvider[] = [];
  const providers: Record<string, object> = {};
  for (const [name, preset] of Object.entries<Preset>(presets) as [PresetName, Preset][]) {
    const key = preset.keyNames.find((variable) => read(env, variable) !== '');
    const address = addressNames(name, preset).find((variable) => read(env, variable) !== '');
    const from = [key, address].filter((variable) => variable !== undefined).join(' and ');
    const missing = missingInEnvironment(preset.endpoint, env);
    if (missing === null && address === undefined) {
      found.push({ name, from: from || 'GOOGLE_APPLICATION_CREDENTIALS', models: [] });
      providers[name] = {};
      continue;
    }
    if (from === '') {
      if (typeof missing === 'string') skipped.push({ name, from: 'GOOGLE_GENAI_USE_VERTEXAI', why: missing });
      continue;
    }
    if (typeof missing === 'string' && address === undefined) skipped.push({ name, from, why: missing });
    else if (address !== undefined) {
      found.push({ name, from, models: [] });
      // The key is set explicitly, as both key and address come from the environment.
      providers[name] = { baseUrl: read(env, address), ...(key !== undefined && { apiKey: read(env, key) }) };
    } else if (preset.baseUrl !== null) {
      found.push({ name, from, models: [] });
      providers[name] = {};
    }
  }
  const servers = await Promise.all(
    probed.map(async (name): Promise<FoundProvider | null> => {
      if (providers[name] !== undefined) return null;
      const models = await probe(`${presets[name].baseUrl}/models`, probeTimeoutMs).catch(() => null);
      return models === null ? null : { name, from: presets[name].baseUrl, models };
    }),
  );
  found.push(...servers.filter((server) => server !== null));
  for (const { name } of found) providers[name] ??= {};
  return { result: parseConfig({ providers }, { env, source: 'environment', overrides }), found, skipped };
}

function read(env: Environment, variable: string): string {
  return env[variable]?.trim() ?? '';
}

/** The variables that SDKs and tools read a provider's address from: `OPENAI_BASE_URL` along with `OPENAI_API_KEY`. */
function addressNames(name: PresetName, { keyNames }: Preset): readonly string[] {
  const stems = new Set([...keyNames.map((key) => key.replace(/_(?:API_)?(?:KEY|TOKEN)$/, '')), name.toUpperCase().replace(/\W/g, '_')]);
  return [...stems].flatMap((stem) => [`${stem}_BASE_URL`, `${stem}_API_BASE`]);
}
