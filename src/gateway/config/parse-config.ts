/** Parses input to the config that the gateway is built from, or to a list of all faults. */
import { resolve } from 'node:path';
import { buildClients } from './build-clients.ts';
import { buildModel } from './build-models.ts';
import { buildPrice } from './build-prices.ts';
import { checkPolicy } from './build-policy.ts';
import { buildProvider, readHeaders } from './build-provider.ts';
import { record } from './record.ts';
import { parseRedisUrl } from '../../store/redis/address.ts';
import { builtinProvider, builtinProviderName } from './builtin-provider.ts';
import type { Config, ModelConfig, PassThroughConfig, ProviderConfig, StoreConfig } from './config.ts';
import { FaultList, valueAt, type ConfigFault } from './faults.ts';
import { interpolate, type Environment } from './interpolate.ts';
import { isLoopbackHost } from './loopback.ts';
import { policySettings } from './policy-schema.ts';
import { overlay } from './resolve-policy.ts';
import { batchSettings, clusterSettings, serverSettings, telemetrySettings, type ParsedInput } from './schema.ts';
import { readShape } from './shape.ts';
import { secretsOf } from './secrets.ts';
import { refuseUnavailable } from './unavailable.ts';

export interface ParseOptions {
  /** For `${NAME}` and providers' keys. Default: empty. */
  readonly env?: Environment;
  /**
   * `file`: `${NAME}` is replaced, `BREAKWATER_*` apply to unset settings, and the default store is sqlite. `environment`: the same
   * without `${NAME}`, and the default store is memory. `library`: none of these.
   */
  readonly source: 'file' | 'environment' | 'library';
  /** The folder that relative paths are resolved against: that of the config file. Default: the working directory. */
  readonly directory?: string;
  /** From the command line; takes precedence over everything else. */
  readonly overrides?: {
    readonly host?: string | undefined;
    readonly port?: number | string | undefined;
    readonly logLevel?: string | undefined;
  };
}

export type ConfigResult = { readonly ok: true; readonly config: Config } | { readonly ok: false; readonly faults: readonly ConfigFault[] };

/** Validates a config and fills in defaults. Never throws because of the input. */
export function parseConfig(input: unknown, options: ParseOptions): ConfigResult {
  const env = options.env ?? {};
  const filled = interpolate(input ?? {}, options.source === 'file' ? env : null);
  const value = withStandIns(filled.value, options);
  const clientNames = listClients(value);
  const faults = new FaultList(interpolate(value, null).value, filled.secrets);
  faults.clientNames = clientNames;
  for (const { path, what } of filled.faults) faults.add(path, what, undefined);

  const parsed = readShape(value, faults);
  if (parsed === null) return { ok: false, faults: faults.faults };
  refuseUnavailable(parsed, faults);
  resolveChecks(parsed, options.directory ?? '.');
  const providerNames = new Set(Object.keys(valueAt(faults.input, ['providers']) ?? {}));
  const built = build(parsed, providerNames, options, faults);
  const config = { ...built, secrets: secretsOf(built, filled.inserted) };
  return faults.faults.length > 0 ? { ok: false, faults: faults.faults } : { ok: true, config: freeze(config) };
}

/** Converts a map of clients to a list, in its order; returns their names, or null if they are not a map. */
function listClients(value: unknown): readonly string[] | null {
  const root = value as Record<string, unknown> | null;
  const clients = typeof root === 'object' ? root?.['clients'] : null;
  if (typeof clients !== 'object' || clients === null || Array.isArray(clients)) return null;
  root!['clients'] = Object.entries(clients).map(([name, settings]: [string, unknown]) =>
    typeof settings === 'object' && !Array.isArray(settings) ? { name, ...settings } : settings,
  );
  return Object.keys(clients);
}

/** Applies the command line and `BREAKWATER_*` to the given object, and returns it. */
function withStandIns(value: unknown, options: ParseOptions): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const root = value as Record<string, unknown>;
  const env = options.source === 'library' ? {} : (options.env ?? {});
  const server = section(root, 'server');
  const { host, port, logLevel } = options.overrides ?? {};
  const put = (target: Record<string, unknown> | null, key: string, given: unknown) => {
    if (target !== null && given !== undefined && given !== '') target[key] = given;
  };
  const isUnset = (key: string) => (server?.[key] ?? '') === '';
  if (isUnset('host')) put(server, 'host', env['BREAKWATER_HOST']);
  // Kubernetes sets BREAKWATER_PORT=tcp://ADDRESS:PORT in pods beside a service named breakwater.
  if (isUnset('port') && env['BREAKWATER_PORT']?.startsWith('tcp://') !== true) put(server, 'port', env['BREAKWATER_PORT']);
  if (isUnset('adminKey')) put(server, 'adminKey', env['BREAKWATER_ADMIN_KEY']);
  if (isUnset('listener')) put(server, 'listener', env['BREAKWATER_LISTENER']);
  if (isUnset('httpClient')) put(server, 'httpClient', env['BREAKWATER_HTTP_CLIENT']);
  put(server, 'host', host);
  put(server, 'port', port);
  if (server !== null && Object.keys(server).length > 0) root['server'] = server;
  const key = env['BREAKWATER_KEY'] || (needsKey(server) ? env['BREAKWATER_GENERATED_KEY'] : '');
  if ((root['clients'] ?? undefined) === undefined && (key ?? '') !== '') root['clients'] = [{ name: 'default', key }];
  const telemetry = section(root, 'telemetry');
  const traces = telemetry === null ? null : section(telemetry, 'traces');
  if (traces !== null && traces['endpoint'] === undefined) put(traces, 'endpoint', otlpEndpoint(env));
  if (traces !== null && Object.keys(traces).length > 0) root['telemetry'] = Object.assign(telemetry!, { traces });
  if (telemetry !== null && logLevel !== undefined) {
    const logs = section(telemetry, 'logs');
    put(logs, 'level', logLevel);
    if (logs !== null) Object.assign(telemetry, { logs });
    root['telemetry'] = telemetry;
  }
  return root;
}

/** Whether the given settings open the gateway to the network; its key may then be a generated one. */
function needsKey(server: Record<string, unknown> | null): boolean {
  const { host, socket = '', allowAnonymous } = server ?? {};
  return typeof host === 'string' && !isLoopbackHost(host) && socket === '' && allowAnonymous !== true && allowAnonymous !== 'true';
}

/** The endpoint of OpenTelemetry's own variables; undefined: none, or they switch traces off. */
function otlpEndpoint(env: Environment): string | undefined {
  if (env['OTEL_SDK_DISABLED'] === 'true' || env['OTEL_TRACES_EXPORTER'] === 'none') return undefined;
  return env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] || env['OTEL_EXPORTER_OTLP_ENDPOINT'];
}

/** A block of the config: empty if missing, null if it is not an object. */
function section(root: Record<string, unknown>, key: string): Record<string, unknown> | null {
  const value = root[key] ?? {};
  return typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
}

function build(parsed: ParsedInput, providerNames: ReadonlySet<string>, options: ParseOptions, faults: FaultList): Config {
  const providers = Object.create(null) as Record<string, ProviderConfig>;
  for (const [name, input] of Object.entries(parsed.providers ?? {})) {
    const provider = buildProvider(name, input, { env: options.env ?? {}, directory: resolve(options.directory ?? '.'), faults });
    if (provider !== null) providers[name] = provider;
  }
  const known = providerNames.has(builtinProviderName) ? providers : { ...providers, [builtinProviderName]: builtinProvider };
  const models = record(Object.entries(parsed.models ?? {}), (input, name) =>
    buildModel(name, input, { providerNames: new Set([...providerNames, builtinProviderName]), providers: known, faults }),
  );
  const isNamed = Object.values(models).some((model) => model.tiers.flat().some(({ provider }) => provider === builtinProviderName));
  if (isNamed && !providerNames.has(builtinProviderName)) providers[builtinProviderName] = builtinProvider;
  const config: Config = {
    server: buildServer(parsed, providerNames, options, faults),
    providers,
    models,
    policy: overlay(policySettings.defaults, parsed.policy),
    clients: buildClients(parsed.clients ?? [], providerNames, faults),
    prices: record(Object.entries(parsed.prices ?? {}), buildPrice),
    store: buildStore(parsed.store, options, faults),
    cluster: overlay(clusterSettings.defaults, parsed.cluster),
    batch: overlay(batchSettings.defaults, parsed.batch),
    telemetry: buildTelemetry(parsed, options, faults),
    secrets: [],
  };
  checkPolicies(config, parsed, faults);
  checkExposure(config, faults);
  if (config.server.cors.origins.length > 0 && config.clients.length === 0)
    faults.add(['server', 'cors'], 'requires clients: without keys any web page could spend your money');
  return config;
}

/** Resolves the paths of check modules, in every policy, against the folder of the config. */
function resolveChecks(parsed: ParsedInput, directory: string): void {
  const owners = [...Object.values(parsed.providers ?? {}), ...Object.values(parsed.models ?? {})];
  const policies = owners.flatMap((owner) => (Array.isArray(owner) ? [] : [owner, owner.policy ?? {}]));
  for (const { quality } of [parsed.policy ?? {}, ...policies]) {
    if (typeof quality?.check === 'string') quality.check = resolve(directory, quality.check);
  }
}

function buildServer(
  parsed: ParsedInput,
  providerNames: ReadonlySet<string>,
  { directory }: ParseOptions,
  faults: FaultList,
): Config['server'] {
  const clientNames = new Set((parsed.clients ?? []).map((client) => client.name));
  const passThrough = (parsed.server?.passThrough ?? []).map((entry, index): PassThroughConfig => {
    const path = ['server', 'passThrough', index];
    if (!providerNames.has(entry.provider)) faults.add([...path, 'provider'], 'names a provider that is not configured');
    for (const [at, name] of (entry.clients ?? []).entries()) {
      if (!clientNames.has(name)) faults.add([...path, 'clients', at], 'names a client that is not configured');
    }
    return { path: entry.path, provider: entry.provider, clients: entry.clients ?? null };
  });
  const server = overlay(serverSettings.defaults, parsed.server);
  const { socket, tls } = server;
  checkListener(server, faults);
  const path = (given: string): string => (given === '' ? '' : resolve(directory ?? '.', given));
  const drainHeaders = { ...readHeaders(server.drainHeaders, ['server', 'drainHeaders'], faults) };
  return { ...server, drainHeaders, socket: path(socket), tls: { cert: path(tls.cert), key: path(tls.key) }, passThrough };
}

function checkListener({ socket, tls }: Pick<Config['server'], 'socket' | 'tls'>, faults: FaultList): void {
  if ((tls.cert === '') !== (tls.key === ''))
    faults.add(['server', 'tls', tls.cert === '' ? 'cert' : 'key'], 'is missing; cert and key belong together');
  if (socket !== '' && tls.cert !== '') faults.add(['server', 'tls'], 'has no use with server.socket; remove one of them');
}

function buildStore(given: string | undefined, { source, directory }: ParseOptions, faults: FaultList): StoreConfig {
  const text = given ?? (source === 'file' ? 'sqlite:./breakwater.db' : 'memory:');
  if (text === 'memory:') return { kind: 'memory' };
  if (!text.startsWith('sqlite:')) {
    const fault = redisUrlFault(text);
    if (fault !== null) faults.add(['store'], fault);
    return { kind: 'redis', url: text };
  }
  const path = text.slice('sqlite:'.length);
  return { kind: 'sqlite', path: path === ':memory:' ? path : resolve(directory ?? '.', path) };
}

function redisUrlFault(url: string): string | null {
  try {
    parseRedisUrl(url);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message.replace(/^store: /, '') : String(error);
  }
}

function buildTelemetry(parsed: ParsedInput, { directory }: ParseOptions, faults: FaultList): Config['telemetry'] {
  const telemetry = overlay(telemetrySettings.defaults, parsed.telemetry);
  if (telemetry.otlpMetrics && telemetry.traces.endpoint === '')
    faults.add(['telemetry', 'otlpMetrics'], 'needs telemetry.traces.endpoint: there is no address to send metrics to');
  const { file } = telemetry.requests;
  return { ...telemetry, requests: { ...telemetry.requests, file: file === '' ? '' : resolve(directory ?? '.', file) } };
}

function checkPolicies(config: Config, parsed: ParsedInput, faults: FaultList): void {
  checkPolicy(parsed.policy ?? {}, config.policy, ['policy'], faults);
  for (const kind of ['providers', 'models'] as const) {
    const entries: [string, ProviderConfig | ModelConfig][] = Object.entries(config[kind]);
    for (const [name, { policy }] of entries) checkPolicy(policy, overlay(config.policy, policy), [kind, name], faults);
  }
}

/** A gateway that is open to the network can spend the operator's money, so it requires an explicit setting. */
function checkExposure({ server, clients }: Config, faults: FaultList): void {
  if (server.socket !== '' || isLoopbackHost(server.host) || clients.length > 0 || server.allowAnonymous) return;
  faults.add(
    ['server', 'host'],
    'is open to the network without client keys; add clients (or set BREAKWATER_KEY), or set server.allowAnonymous: true',
  );
}

function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const item of Object.values(value)) freeze(item);
  return value;
}
