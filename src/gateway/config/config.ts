/** The config that the gateway is built from: complete, checked, frozen. Durations are in ms, sizes in bytes. */
import type { Priority } from '../../core/request.ts';
import type { Policy, PolicyOverrides } from './policy-schema.ts';
import type { EngineName, LocalTask } from '../../local/engine.ts';
import type { EndpointSettings } from '../../endpoint/settings.ts';
import type { IdentityConfig } from './identity.ts';
import type { ConfiguredProtocol, PresetName, ProviderTraits } from './presets.ts';
import type { batchSettings, clusterSettings, serverSettings, telemetrySettings } from './schema.ts';

/** Recursively readonly. */
export type Frozen<T> = T extends (...args: never) => unknown
  ? T
  : T extends readonly (infer Item)[]
    ? readonly Frozen<Item>[]
    : T extends object
      ? { readonly [K in keyof T]: Frozen<T[K]> }
      : T;

/** Limits; an absent kind is not limited (or learned). */
export interface LimitsConfig {
  readonly requestsPerSecond?: number;
  readonly requestsPerMinute?: number;
  readonly requestsPerDay?: number;
  readonly tokensPerMinute?: number;
  readonly tokensPerDay?: number;
  readonly inputTokensPerMinute?: number;
  readonly outputTokensPerMinute?: number;
  readonly concurrency?: number;
  /** The share of a window's limit that may be spent at once, in (0, 1]. */
  readonly burst: number;
  readonly window: 'bucket' | 'sliding';
}

export interface ProviderModelConfig {
  readonly limits: LimitsConfig;
  /** What it speaks; null: what the provider and its name say. */
  readonly protocol: ModelProtocol | null;
  /** It continues a partial answer. */
  readonly prefill: boolean;
}

/** `converse`: Bedrock's own. */
export type ModelProtocol = ConfiguredProtocol | 'converse';

/** A model that runs on this machine. */
export interface LocalModelConfig {
  readonly task: LocalTask;
  /** Absolute; null: not from a path. */
  readonly weights: string | null;
  /** Its name at the hub; null: not from there. */
  readonly hub: string | null;
  readonly mayDownload: boolean;
  readonly dtype: string | null;
  readonly contextSize: number | null;
  readonly maxTokens: number;
}

/** What runs the models of a provider with protocol local. */
export interface EngineConfig {
  readonly name: EngineName;
  readonly warm: boolean;
  /** Null: all of the machine's but one. */
  readonly threads: number | null;
  /** In bytes. */
  readonly maxHeap: number;
  readonly cacheDir: string;
  /** The folder of the config, from which the engine's package is looked for too. */
  readonly directory: string;
  /** By name, a record without prototype. */
  readonly models: Readonly<Record<string, LocalModelConfig>>;
}

/** A provider, with what its preset knows filled in. */
export interface ProviderConfig extends ProviderTraits {
  readonly name: string;
  readonly preset: PresetName | null;
  readonly protocol: ConfiguredProtocol;
  /** Without a slash at its end; empty for protocol local. */
  readonly baseUrl: string;
  /** Its credentials; none: requests go without; `caller`: the caller's own is forwarded. */
  readonly apiKeys: readonly string[] | 'caller';
  readonly address: EndpointSettings;
  /** Signs its requests, or gets their tokens; null: the keys do. */
  readonly identity: IdentityConfig | null;
  /** It serves models of several makers: a model's name says what it speaks, where nothing else does. */
  readonly knowsMakers: boolean;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  /** Per credential, shared by its models. */
  readonly limits: LimitsConfig;
  /** By model name, a record without prototype. */
  readonly models: Readonly<Record<string, ProviderModelConfig>>;
  /** Null unless the protocol is local. */
  readonly engine: EngineConfig | null;
  readonly policy: Frozen<PolicyOverrides>;
}

/** One target of a tier, with what is adapted for it. */
export interface TargetSpec {
  readonly provider: string;
  /** The model as the provider names it. */
  readonly model: string;
  /** Its part of its tier, above 0. */
  readonly weight: number;
  /** Top-level request fields that are set. */
  readonly set: Readonly<Record<string, unknown>>;
  /** Top-level request fields that are left out. */
  readonly drop: readonly string[];
  /** Its embeddings equal those of the other targets. */
  readonly equivalent: boolean;
  /** It continues a partial answer. */
  readonly prefill: boolean;
}

/** A route: tiers in order, each shared by weight. */
export interface ModelConfig {
  readonly name: string;
  readonly tiers: readonly (readonly TargetSpec[])[];
  /** In ms. */
  readonly patience: number;
  /** False: it is the default, which does not go for a last resort. */
  readonly patienceGiven: boolean;
  readonly policy: Frozen<PolicyOverrides>;
}

export interface ClientConfig {
  readonly name: string;
  /** The key as written; null where only its hash is known. */
  readonly key: string | null;
  /** `sha256:` and 64 lower-case hex digits, always there. */
  readonly keyHash: string;
  readonly priority: Priority;
  readonly maxPriority: Priority;
  /** Names and patterns (`isModelAllowed`); null: every model. */
  readonly models: readonly string[] | null;
  readonly limits: LimitsConfig;
  readonly budget: { readonly usd: number; readonly per: 'hour' | 'day' | 'month' } | null;
}

/** US dollars per million tokens. */
export interface PriceConfig {
  readonly input: number;
  readonly cachedInput: number;
  readonly cacheWrite: number;
  readonly output: number;
}

export interface PassThroughConfig {
  readonly path: string;
  readonly provider: string;
  /** Client names; null: every client. */
  readonly clients: readonly string[] | null;
}

export type StoreConfig =
  | { readonly kind: 'memory' }
  | { readonly kind: 'sqlite'; readonly path: string }
  | { readonly kind: 'redis'; readonly url: string };

/** An empty `adminKey` means that there is none. */
export type ServerConfig = Frozen<Omit<typeof serverSettings.defaults, 'passThrough'>> & {
  readonly passThrough: readonly PassThroughConfig[];
};

/** An empty `requests.file` or `traces.endpoint` means that it is off. */
export type TelemetryConfig = Frozen<typeof telemetrySettings.defaults>;

export interface Config {
  readonly server: ServerConfig;
  /** By name, a record without prototype, in the order written. */
  readonly providers: Readonly<Record<string, ProviderConfig>>;
  /** By name (patterns too), a record without prototype, in the order written. Use `resolveModel` to look one up. */
  readonly models: Readonly<Record<string, ModelConfig>>;
  readonly policy: Frozen<Policy>;
  readonly clients: readonly ClientConfig[];
  /** By `provider/model` or model. */
  readonly prices: Readonly<Record<string, PriceConfig>>;
  readonly store: StoreConfig;
  readonly cluster: Frozen<typeof clusterSettings.defaults>;
  readonly batch: Frozen<typeof batchSettings.defaults>;
  readonly telemetry: TelemetryConfig;
  /** Every value that must not be shown, logged or passed on (`secrets.ts`); no setting of its own. */
  readonly secrets: readonly string[];
}
