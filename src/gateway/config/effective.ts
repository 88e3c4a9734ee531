/** The effective config in the form of a config file: with defaults, and every secret masked. */
import { showPrice } from './build-prices.ts';
import { SecretMask } from '../../core/secrets/secret-mask.ts';
import type { ClientConfig, Config, ModelConfig, ProviderConfig, StoreConfig, TargetSpec } from './config.ts';
import type { IdentityConfig } from './identity.ts';
import { maskHeader, maskSecret, maskUrls } from './mask.ts';
import { formatDuration, formatSize } from './units.ts';

const durationKeys = new Set(
  (
    'deadline maxDeadline connect headers firstContent idle attempt baseDelay maxDelay maxRetryAfter window openFor maxOpenFor delay maxWait ' +
    'keepAlive ttl staleIfError patience drainTimeout checkTimeout retention'
  ).split(' '),
);
const sizeKeys = new Set(['maxBodySize', 'maxBufferedBytes', 'maxCacheBytes', 'maxEventSize', 'maxBytes']);

/** For `breakwater check` and `GET /admin/config`: JSON in the form of a config file, except for the masks. */
export function effectiveConfig(config: Config): Record<string, unknown> {
  return withoutSecrets(showConfig(config), new SecretMask(config.secrets)) as Record<string, unknown>;
}

/** Masks secrets in settings that are not secret by name, such as a header or a `set` field. */
function withoutSecrets(value: unknown, secrets: SecretMask): unknown {
  if (typeof value === 'string') return secrets.text(value);
  if (Array.isArray(value)) return value.map((item) => withoutSecrets(item, secrets));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutSecrets(item, secrets)]));
}

function showConfig(config: Config): Record<string, unknown> {
  const { adminKey, ...server } = config.server;
  const { traces, ...telemetry } = config.telemetry;
  return {
    server: { ...(withUnits(server) as object), adminKey: adminKey === '' ? '' : maskSecret(adminKey) },
    providers: mapValues(config.providers, showProvider),
    models: mapValues(config.models, showModel),
    policy: withUnits(config.policy),
    clients: config.clients.map(showClient),
    prices: mapValues(config.prices, showPrice),
    store: showStore(config.store),
    cluster: { ...config.cluster },
    batch: withUnits(config.batch),
    telemetry: { ...telemetry, traces: { ...traces, endpoint: maskUrls(traces.endpoint) } },
  };
}

function showProvider(provider: ProviderConfig): Record<string, unknown> {
  const { apiKeys } = provider;
  return {
    ...(provider.preset === null ? {} : { preset: provider.preset }),
    // An explicit protocol would apply to the models of all makers.
    ...(provider.knowsMakers ? {} : { protocol: provider.protocol }),
    ...(provider.baseUrl === '' ? {} : { baseUrl: maskUrls(provider.baseUrl) }),
    ...(apiKeys === 'caller' ? { apiKey: 'caller' } : apiKeys.length === 0 ? {} : { apiKeys: apiKeys.map(maskSecret) }),
    ...showCloud(provider),
    ...(provider.engine === null && { headers: mapValues(provider.headers, (value, name) => maskHeader(name, value)) }),
    ...(provider.forwardHeaders.length === 0 ? {} : { forwardHeaders: [...provider.forwardHeaders] }),
    limits: { ...provider.limits },
    models: mapValues(provider.models, ({ limits, protocol, prefill }, name) => ({
      limits: { ...limits },
      ...(protocol === null ? {} : { protocol }),
      prefill,
      ...showLocalModel(provider, name),
    })),
    ...showEngine(provider.engine),
    prefill: provider.prefill,
    nativeBatches: provider.nativeBatches,
    ...(withUnits(provider.policy) as object),
  };
}

function showCloud({ address, identity }: ProviderConfig): Record<string, unknown> {
  return { ...showAddress(address), ...(identity === null ? {} : showIdentity(identity)) };
}

function showAddress(address: ProviderConfig['address']): Record<string, unknown> {
  switch (address.name) {
    case 'azure':
      return address.apiVersion === null ? {} : { apiVersion: address.apiVersion };
    case 'bedrock':
      return { service: address.service, claudeApi: address.claude };
    case 'vertex':
      return { ...(address.project === null ? {} : { project: address.project }), location: address.location };
    case 'direct':
      return {};
  }
}

function showIdentity(identity: IdentityConfig): Record<string, unknown> {
  switch (identity.kind) {
    case 'aws': {
      const { region, accessKeyId, secretAccessKey, sessionToken } = identity;
      const token = sessionToken === null ? {} : { sessionToken: maskSecret(sessionToken) };
      return { region, aws: { accessKeyId: maskSecret(accessKeyId), secretAccessKey: maskSecret(secretAccessKey), ...token } };
    }
    case 'aws-profile': {
      const { region, profile, credentialsFile, configFile } = identity;
      return { region, aws: { profile, credentialsFile, configFile } };
    }
    case 'google-key':
      return { google: identity.file === null ? { key: '****' } : { keyFile: identity.file } };
    case 'google-metadata':
      return { google: { metadata: true } };
    case 'entra': {
      const { tokenUrl, clientId, clientSecret, scope } = identity;
      const [, authority = '', tenantId = ''] = /^(.*)\/([^/]+)\/oauth2\/v2\.0\/token$/.exec(tokenUrl) ?? [];
      return { entra: { tenantId: decodeURIComponent(tenantId), clientId, clientSecret: maskSecret(clientSecret), authority, scope } };
    }
  }
}

function showEngine(engine: ProviderConfig['engine']): Record<string, unknown> {
  if (engine === null) return {};
  const { name, warm, threads, maxHeap, cacheDir } = engine;
  const packaged = name === 'extract' ? {} : { cacheDir, ...(threads === null ? {} : { threads }) };
  return { engine: name, warm, maxHeap: formatSize(maxHeap), ...packaged };
}

function showLocalModel({ engine }: ProviderConfig, name: string): Record<string, unknown> {
  const model = engine?.models[name];
  if (engine === null || model === undefined || engine.name === 'extract') return {};
  const { mayDownload, task, ...rest } = model;
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null));
  if (!mayDownload) delete given['hub'];
  return { ...given, ...(engine.name === 'transformers' && { task }) };
}

function showModel(model: ModelConfig): Record<string, unknown> {
  const targets = model.tiers.map((tier) => (tier.length === 1 ? tier.map(showTarget)[0] : tier.map(showTarget)));
  // The default differs by tier, so only an explicit value can be written.
  const patience = model.patienceGiven ? { patience: formatDuration(model.patience) } : {};
  return { targets, ...patience, ...(withUnits(model.policy) as object) };
}

function showTarget({ provider, model, set, ...rest }: TargetSpec): Record<string, unknown> {
  return { target: `${provider}/${model}`, ...rest, set: { ...set } };
}

function showClient({ key, keyHash, models, budget, sessionLimits, ...client }: ClientConfig): Record<string, unknown> {
  return {
    ...client,
    // The hash of a configured key is not shown: a weak key could be guessed from it.
    ...(key === null ? { keyHash } : { key: maskSecret(key) }),
    ...(models === null ? {} : { models }),
    ...(budget === null ? {} : { budget: { ...budget, onExhausted: budget.onExhausted ?? undefined } }),
    ...(sessionLimits === null ? {} : { sessionLimits: finite(sessionLimits) }),
  };
}

function finite(limits: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== Infinity));
}

function showStore(store: StoreConfig): string {
  if (store.kind === 'memory') return 'memory:';
  return store.kind === 'sqlite' ? `sqlite:${store.path}` : maskUrls(store.url);
}

/** Formats durations and sizes, by their names, with units. Functions are omitted. */
function withUnits(value: unknown, key = ''): unknown {
  if (typeof value === 'number') return durationKeys.has(key) ? formatDuration(value) : sizeKeys.has(key) ? formatSize(value) : value;
  if (Array.isArray(value)) return value.map((item) => withUnits(item));
  if (typeof value !== 'object' || value === null) return value;
  const shown = Object.entries(value).filter(([, item]) => typeof item !== 'function' && item !== null && item !== undefined);
  return Object.fromEntries(shown.map(([name, item]) => [name, withUnits(item, name)]));
}

function mapValues<In, Out>(record: Readonly<Record<string, In>>, show: (value: In, key: string) => Out): Record<string, Out> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, show(value, key)]));
}
