/** Builds a provider from its input, with defaults from its preset and the environment. */
import { forwardingFault } from '../../wire/forwarded-headers.ts';
import { buildCloud, type Cloud } from './build-cloud.ts';
import { buildEngine } from './build-engine.ts';
import { buildLimits } from './build-limits.ts';
import { gatherPolicy } from './build-policy.ts';
import type { ModelProtocol, ProviderConfig } from './config.ts';
import type { FaultList, Path } from './faults.ts';
import { nearest } from './faults.ts';
import type { Environment } from './interpolate.ts';
import { isPresetName, presets, traitsOf, type Preset, type PresetName } from './presets.ts';
import type { ProviderInput } from './provider-schema.ts';
import { record } from './record.ts';

/** `apiKey: caller` forwards the caller's own credential. */
const callerKey = 'caller';

/** Headers that belong to the connection or to Breakwater; a config can't set them. */
const managedHeaders = new Set(
  'host connection content-length transfer-encoding keep-alive upgrade te trailer expect content-encoding accept-encoding'.split(' '),
);

export interface ProviderContext {
  readonly env: Environment;
  /** The absolute folder that relative paths are resolved against. */
  readonly directory: string;
  readonly faults: FaultList;
}

/** Builds one provider; null: invalid, no further checks are possible. */
export function buildProvider(name: string, input: ProviderInput, { env, directory, faults }: ProviderContext): ProviderConfig | null {
  const path: Path = ['providers', name];
  if (!/^[A-Za-z0-9][\w.-]{0,99}$/.test(name)) {
    faults.add(path, 'must have a name of letters, digits, dots, dashes and underscores, at most 100 characters', name);
    return null;
  }
  const presetName = findPreset(name, input, faults);
  if (presetName === undefined) return null;
  const preset = presetName === null ? null : presets[presetName];
  const protocol = input.protocol ?? preset?.protocol ?? 'openai';
  // The traits of a preset apply to its own protocol only, except for a cloud, where they apply to all protocols.
  const isCloud = preset !== null && preset.endpoint !== 'direct' && protocol !== 'local';
  const known: Preset | null = isCloud || preset?.protocol === protocol ? preset : null;
  const traits = known ?? traitsOf[protocol];
  const prefill = input.prefill ?? traits.prefill;
  const isLocal = protocol === 'local';
  const cloud = buildCloud(traits.endpoint, { input, env, directory, path, faults });
  return {
    auth: traits.auth,
    endpoint: traits.endpoint,
    address: cloud.address,
    identity: cloud.identity,
    knowsMakers: isCloud && input.protocol === undefined,
    limitScope: traits.limitScope,
    countsOutput: traits.countsOutput,
    countsCached: traits.countsCached,
    enforce: traits.enforce,
    rateLimitHeaders: traits.rateLimitHeaders,
    includeUsage: traits.includeUsage,
    forwardHeaders: readForwardHeaders(input, traits.forwardHeaders, path, faults),
    local: traits.local || isLocal,
    prefill,
    nativeBatches: input.nativeBatches ?? traits.nativeBatches,
    name,
    preset: presetName,
    protocol,
    baseUrl: isLocal ? '' : readBaseUrl(name, input.baseUrl ?? cloud.baseUrl ?? known?.baseUrl ?? undefined, path, faults, isCloud),
    apiKeys: readKeys(input, known, cloud, env, path, faults),
    headers: readHeaders(input.headers ?? {}, [...path, 'headers'], faults),
    // A local model runs one request at a time.
    limits: buildLimits(isLocal ? { concurrency: 1, ...input.limits } : input.limits, traits.enforce),
    models: record(Object.entries(input.models ?? {}), (model, modelName) => ({
      limits: buildLimits(model.limits, traits.enforce),
      protocol: readModelProtocol(model.protocol ?? null, cloud, [...path, 'models', modelName, 'protocol'], faults),
      prefill: model.prefill ?? prefill,
    })),
    engine: buildEngine(input, presetName, isLocal, { directory, path, faults }),
    policy: gatherPolicy(input, path, faults),
  };
}

function readModelProtocol(protocol: ModelProtocol | null, { address }: Cloud, path: Path, faults: FaultList): ModelProtocol | null {
  if (protocol === 'converse' && (address.name !== 'bedrock' || address.service !== 'runtime'))
    faults.add(path, 'is supported by preset bedrock with service runtime only', protocol);
  return protocol;
}

function findPreset(name: string, input: ProviderInput, faults: FaultList): PresetName | null | undefined {
  if (input.preset === undefined) {
    // `local` is also a common name for a self-hosted server.
    const isOther = name === 'local' && (input.baseUrl !== undefined || (input.protocol ?? 'local') !== 'local');
    return isPresetName(name) && !isOther ? name : null;
  }
  if (isPresetName(input.preset)) return input.preset;
  const meant = nearest(input.preset, Object.keys(presets));
  faults.add(
    ['providers', name, 'preset'],
    meant === null ? `is unknown; known presets: ${Object.keys(presets).join(', ')}` : `is unknown; did you mean ${meant}?`,
  );
  return undefined;
}

/** `isCloud`: a missing address is reported already. */
function readBaseUrl(name: string, given: string | undefined, providerPath: Path, faults: FaultList, isCloud: boolean): string {
  const path = [...providerPath, 'baseUrl'];
  if (given === undefined || given === '') {
    if (isCloud) return '';
    const meant = isPresetName(name) ? null : nearest(name, Object.keys(presets));
    faults.add(path, `is missing, and ${name} is not a known provider with a default${meant === null ? '' : `; did you mean ${meant}?`}`);
    return '';
  }
  const url = URL.canParse(given) ? new URL(given) : null;
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    faults.add(path, 'must be a URL that starts with http:// or https://');
  else if (url.username !== '' || url.password !== '') faults.add(path, 'must not contain a user or password; use apiKey or headers');
  else if (url.search !== '' || url.hash !== '') faults.add(path, 'must not contain a query or fragment');
  else if (/\/(chat\/completions|completions|embeddings|responses|messages)\/?$/.test(url.pathname)) {
    faults.add(path, 'must be the base URL for an SDK, without the path of an operation');
  }
  return given.replace(/\/+$/, '');
}

function readKeys(
  input: ProviderInput,
  known: Preset | null,
  cloud: Cloud,
  env: Environment,
  path: Path,
  faults: FaultList,
): readonly string[] | 'caller' {
  if (input.apiKey === callerKey) return callerKey;
  if (input.apiKey !== undefined && input.apiKeys !== undefined) {
    faults.add([...path, 'apiKeys'], 'must not be combined with apiKey; list all keys here');
  }
  if (input.apiKeys !== undefined) return checkKeys(input.apiKeys, (index) => [...path, 'apiKeys', index], faults);
  if (cloud.identity !== null) return [];
  const single = input.apiKey?.trim() || cloud.envKey || keyFromEnvironment(input, known, env);
  if (single !== '') return checkKeys([single], () => [...path, 'apiKey'], faults);
  if (known?.needsKey !== true) return [];
  if (input.baseUrl === undefined || cloud.takesEnvironment) {
    const other = OTHER_CREDENTIALS[known.endpoint] ?? '';
    faults.add([...path, 'apiKey'], `is missing; set it, or ${known.keyNames.join(' or ')}${other}`);
  }
  return [];
}

/** Alternatives to a key. */
const OTHER_CREDENTIALS: Readonly<Partial<Record<Preset['endpoint'], string>>> = {
  azure: ', or entra',
  bedrock: ', or aws (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE)',
};

/** Only with the preset's own address: a key from the environment is never sent to a configured host. */
function keyFromEnvironment(input: ProviderInput, known: Preset | null, env: Environment): string {
  if (known === null || input.baseUrl !== undefined) return '';
  return known.keyNames.map((name) => env[name]?.trim() ?? '').find((key) => key !== '') ?? '';
}

function checkKeys(written: readonly string[], pathOf: (index: number) => Path, faults: FaultList): readonly string[] {
  const keys = written.map((key) => key.trim());
  for (const [index, key] of keys.entries()) {
    if (key === '') faults.add(pathOf(index), 'must not be empty');
    else if (key === callerKey) faults.add(pathOf(index), 'must not be caller among other keys; use apiKey: caller');
    else if (/[^\x21-\x7e]/.test(key)) faults.add(pathOf(index), 'must contain only printable ASCII characters without spaces', key);
    else if (keys.indexOf(key) < index) faults.add(pathOf(index), `is the same key as apiKeys[${keys.indexOf(key)}]`);
  }
  return keys;
}

function readForwardHeaders(input: ProviderInput, known: readonly string[], providerPath: Path, faults: FaultList): readonly string[] {
  const names = (input.forwardHeaders ?? []).map((name) => name.trim().toLowerCase());
  for (const [index, name] of names.entries()) {
    const fault = forwardingFault(name, input.apiKey === callerKey);
    // An invalid name may be a whole header with its value, so it is not shown.
    if (fault !== null) faults.add([...providerPath, 'forwardHeaders', index], fault, /^[\w-]+$/.test(name) ? name : '****');
  }
  return [...new Set([...known, ...names])];
}

/** Headers to add to messages, with lower-case names; `above`: the path of the setting. */
export function readHeaders(input: Readonly<Record<string, string>>, above: Path, faults: FaultList): Record<string, string> {
  for (const [name, value] of Object.entries(input)) {
    const path = [...above, name];
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) faults.add(path, 'is not a valid header name', name);
    else if (managedHeaders.has(name.toLowerCase())) faults.add(path, 'is a header that Breakwater sets itself');
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    else if (/[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]/.test(value)) faults.add(path, 'must not contain control or non-Latin characters');
  }
  return record(
    Object.entries(input).map(([name, value]) => [name.toLowerCase(), value] as const),
    (value) => value.trim(),
  );
}
