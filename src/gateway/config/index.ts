/** The configuration of Breakwater: a contents page. */
export type {
  ClientConfig,
  Config,
  LimitsConfig,
  ModelConfig,
  PassThroughConfig,
  PriceConfig,
  ProviderConfig,
  ProviderModelConfig,
  ServerConfig,
  StoreConfig,
  TargetSpec,
  TelemetryConfig,
} from './config.ts';
export type { ConfigFault } from './faults.ts';
export type { Environment } from './interpolate.ts';
export type { Policy, PolicyOverrides, QualityCheck } from './policy-schema.ts';
export type { AuthStyle, Preset, PresetName, ProviderTraits, RateLimitDialect } from './presets.ts';
export type { ConfigInput } from './schema.ts';
export type { EnvironmentConfig, FoundProvider, Probe, SkippedProvider } from './environment.ts';
export type { ModelLists, ResolvedBy, ResolvedModel } from './resolve-model.ts';
export type { ConfigResult, ParseOptions } from './parse-config.ts';
export { hashKey } from './build-clients.ts';
export { effectiveConfig } from './effective.ts';
export { configFromEnvironment, probeTimeoutMs } from './environment.ts';
export { configJsonSchema } from './json-schema.ts';
export { configFileNames, findConfigFile, loadConfigFile, parseYaml } from './load-config.ts';
export { isThinkingModel, matchesPattern } from './model-names.ts';
export { isLoopbackHost } from './loopback.ts';
export { defaultPatienceMs } from './model-schema.ts';
export { parseConfig } from './parse-config.ts';
export { patternFlags } from './policy-schema.ts';
export { isPresetName, presets } from './presets.ts';
export { isModelAllowed, resolveModel } from './resolve-model.ts';
export { resolvePolicy } from './resolve-policy.ts';
