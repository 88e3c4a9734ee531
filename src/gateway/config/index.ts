/** The configuration of Breakwater: a contents page for the other rooms. */
export type { ClientConfig, Config, LimitsConfig, PassThroughConfig, ProviderConfig, TargetSpec } from './config.ts';
export { patternFlags, type Policy } from './policy-schema.ts';
export type { ConfigInput } from './schema.ts';
export type { FoundProvider, Probe, SkippedProvider } from './environment.ts';
export type { ModelLists, ResolvedModel } from './resolve-model.ts';
export type { ConfigResult } from './parse-config.ts';
export { builtinProvider, providerNamed } from './builtin-provider.ts';
export { hashKey } from './build-clients.ts';
export { effectiveConfig } from './effective.ts';
export { configFromEnvironment } from './environment.ts';
export { findConfigFile, loadConfigFile } from './load-config.ts';
export { isThinkingModel } from './model-names.ts';
export { isLoopbackHost } from './loopback.ts';
export { maskUrls } from './mask.ts';
export { parseConfig } from './parse-config.ts';
export { missingParts } from './missing-parts.ts';
export { isModelAllowed, resolveModel } from './resolve-model.ts';
export { resolvePolicy } from './resolve-policy.ts';
