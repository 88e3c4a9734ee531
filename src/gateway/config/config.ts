/** The config that the gateway is built from: complete, validated, frozen. Durations are in ms, sizes in bytes. */
import type { Price } from '../../core/price.ts';
import type { Priority } from '../../core/request.ts';
import type { BudgetPeriod } from '../../policy/budget/money-budget.ts';
import type { SessionBounds } from '../../policy/budget/session-limits.ts';
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

/** Limits; a missing kind is unlimited, or learned. */
export interface LimitsConfig {
  readonly requestsPerSecond?: number;
  readonly requestsPerMinute?: number;
  readonly requestsPerDay?: number;
  readonly tokensPerMinute?: number;
  readonly tokensPerDay?: number;
  readonly inputTokensPerMinute?: number;
  readonly outputTokensPerMinute?: number;
  readonly concurrency?: number;
  /** The share of a window's limit that may be used at once, in (0, 1]. */
  readonly burst: number;
  readonly window: 'bucket' | 'sliding';
}

export interface ProviderModelConfig {
  readonly limits: LimitsConfig;
  /** Null: determined by the provider and the model name. */
  readonly protocol: ModelProtocol | null;
  /** It continues a partial response. */
  readonly prefill: boolean;
}

/** `converse`: Bedrock's own. */
export type ModelProtocol = ConfiguredProtocol | 'converse';

/** A model that runs on this machine. */
export interface LocalModelConfig {
  readonly task: LocalTask;
  /** Absolute path; null: not from a path. */
  readonly weights: string | null;
  /** Its name in the hub; null: not from the hub. */
  readonly hub: string | null;
  readonly mayDownload: boolean;
  readonly dtype: string | null;
  readonly contextSize: number | null;
  readonly maxTokens: number;
}

/** The engine of a provider with protocol local. */
export interface EngineConfig {
  readonly name: EngineName;
  readonly warm: boolean;
  /** Null: all processors but one. */
  readonly threads: number | null;
  /** In bytes. */
  readonly maxHeap: number;
  readonly cacheDir: string;
  /** The folder of the config; the engine's package is resolved from it too. */
  readonly directory: string;
  /** By name, a record without prototype. */
  readonly models: Readonly<Record<string, LocalModelConfig>>;
}

/** A provider, with the defaults of its preset. */
export interface ProviderConfig extends ProviderTraits {
  readonly name: string;
  readonly preset: PresetName | null;
  readonly protocol: ConfiguredProtocol;
  /** Without a trailing slash; empty for protocol local. */
  readonly baseUrl: string;
  /** Empty: requests have no credential; `caller`: the caller's credential is forwarded. */
  readonly apiKeys: readonly string[] | 'caller';
  readonly address: EndpointSettings;
  /** For signed requests or access tokens; null: keys are used. */
  readonly identity: IdentityConfig | null;
  /** It serves models of several makers: unless configured, the protocol of a model follows from its name. */
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

/** One target of a tier, with its request adjustments. */
export interface TargetSpec {
  readonly provider: string;
  /** The model as the provider names it. */
  readonly model: string;
  /** Its weight in its tier, above 0. */
  readonly weight: number;
  /** Top-level request fields to set. */
  readonly set: Readonly<Record<string, unknown>>;
  /** Top-level request fields to remove. */
  readonly drop: readonly string[];
  /** Its embeddings are interchangeable with those of the other targets. */
  readonly equivalent: boolean;
  /** It continues a partial response. */
  readonly prefill: boolean;
}

/** A route: ordered tiers of weighted targets. */
export interface ModelConfig {
  readonly name: string;
  readonly tiers: readonly (readonly TargetSpec[])[];
  /** In ms. */
  readonly patience: number;
  /** False: `patience` is the default, which does not apply before a last resort. */
  readonly patienceGiven: boolean;
  readonly policy: Frozen<PolicyOverrides>;
}

export interface ClientConfig {
  readonly name: string;
  /** The key; null: only its hash is configured. */
  readonly key: string | null;
  /** `sha256:` and 64 lower-case hex digits, always present. */
  readonly keyHash: string;
  readonly priority: Priority;
  readonly maxPriority: Priority;
  /** Names and patterns (`isModelAllowed`); null: every model. */
  readonly models: readonly string[] | null;
  readonly limits: LimitsConfig;
  readonly budget: BudgetConfig | null;
  readonly sessionLimits: SessionBounds | null;
}

export interface BudgetConfig {
  readonly usd: number;
  readonly per: BudgetPeriod;
  /** A target, `provider/model`, for requests that the budget has no room for; null: they are refused. */
  readonly onExhausted: string | null;
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

/** An empty `adminKey`: none. */
export type ServerConfig = Frozen<Omit<typeof serverSettings.defaults, 'passThrough'>> & {
  readonly passThrough: readonly PassThroughConfig[];
};

/** An empty `requests.file` or `traces.endpoint`: off. */
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
  readonly prices: Readonly<Record<string, Price>>;
  readonly store: StoreConfig;
  readonly cluster: Frozen<typeof clusterSettings.defaults>;
  readonly batch: Frozen<typeof batchSettings.defaults>;
  readonly telemetry: TelemetryConfig;
  /** Every value that must not be shown, logged or passed on (`secrets.ts`); derived, not a setting. */
  readonly secrets: readonly string[];
}
