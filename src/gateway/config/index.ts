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
export type { ConfigResult, ParseOptions } from './parse-config.ts';
export { hashKey } from './build-clients.ts';
export { isLoopbackHost } from './loopback.ts';
export { defaultPatienceMs } from './model-schema.ts';
export { parseConfig } from './parse-config.ts';
export { patternFlags } from './policy-schema.ts';
export { isThinkingModel, matchesPattern, presets } from './presets.ts';
export { resolvePolicy } from './resolve-policy.ts';
