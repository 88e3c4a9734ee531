/**
 * Known providers, which need only a name and a key.
 *
 * Base URLs, authentication, headers and counting rules come from the providers' documentation or SDKs; values with an "assumed" comment
 * are general knowledge, not verified with the provider.
 */
import type { EndpointSettings } from '../../endpoint/settings.ts';
import { ATTRIBUTION_HEADERS } from '../../wire/forwarded-headers.ts';
import type { protocols } from './provider-schema.ts';

export type ConfiguredProtocol = (typeof protocols)[number];

/** How a credential is sent: `Authorization: Bearer`, or the named header. */
export type AuthStyle = 'bearer' | 'api-key' | 'x-api-key' | 'x-goog-api-key';

/** The family of rate-limit headers in responses; `none`: the provider sends none. */
export type RateLimitDialect =
  | 'openai'
  | 'groq'
  | 'mistral'
  | 'together'
  | 'fireworks'
  | 'cerebras'
  | 'cohere'
  | 'azure'
  | 'anthropic'
  | 'none';

/** Properties of a provider that are not configured. */
export interface ProviderTraits {
  readonly auth: AuthStyle;
  /** The scope of a learned limit: the credential, or one model of it. */
  readonly limitScope: 'credential' | 'model';
  /** Whether the requested output limit (max_tokens) counts when a request is admitted. */
  readonly countsOutput: boolean;
  /** Whether cached input tokens count toward limits. */
  readonly countsCached: boolean;
  /** How the provider enforces limits: refilled continuously, in a sliding minute, or per second. */
  readonly enforce: 'bucket' | 'sliding' | 'perSecond';
  readonly rateLimitHeaders: RateLimitDialect;
  /** Whether it supports `stream_options.include_usage`. */
  readonly includeUsage: boolean;
  /** Headers to forward in addition to those for every provider, in lower case. */
  readonly forwardHeaders: readonly string[];
  /** Whether it is self-hosted: slow first tokens are normal, and requests cost nothing. */
  readonly local: boolean;
  /** Whether it continues a partial response in the last message. */
  readonly prefill: boolean;
  /** Whether it has a batch API of its own, at half the price. */
  readonly nativeBatches: boolean;
  /** Its kind of endpoint: that of its protocol (`direct`), or a cloud's. */
  readonly endpoint: EndpointSettings['name'];
}

export interface Preset extends ProviderTraits {
  readonly protocol: ConfiguredProtocol;
  /** As in the provider's SDK; null: it differs per customer and has to be configured. */
  readonly baseUrl: string | null;
  /** Environment variables for its key, in order of precedence; empty if no key is needed. */
  readonly keyNames: readonly string[];
  /** Whether a key is required. */
  readonly needsKey: boolean;
  /** Names of its own models; `*` matches anything. */
  readonly owns: readonly string[];
  /** Names, in its own form, of other makers' models that it serves. */
  readonly carries: readonly string[];
  /** The prefix under which OpenRouter lists its own models by the same name; null: the names differ, or it has none. */
  readonly openrouterPrefix: string | null;
  /** Models to show before its own list is known. */
  readonly models: readonly string[];
}

/** The traits of a provider without a preset: the safest values. */
const unknownTraits: ProviderTraits = {
  auth: 'bearer',
  limitScope: 'credential',
  countsOutput: true,
  countsCached: true,
  enforce: 'bucket',
  rateLimitHeaders: 'openai',
  includeUsage: true,
  forwardHeaders: [],
  local: false,
  prefill: false,
  nativeBatches: false,
  endpoint: 'direct',
};

/** The default traits of each protocol. */
export const traitsOf: Readonly<Record<ConfiguredProtocol, ProviderTraits>> = {
  openai: unknownTraits,
  local: unknownTraits,
  anthropic: { ...unknownTraits, auth: 'x-api-key', countsCached: false, rateLimitHeaders: 'anthropic' },
  gemini: { ...unknownTraits, auth: 'x-goog-api-key', countsOutput: false, rateLimitHeaders: 'none' },
};

/** Splits space-separated names. */
function namesOf(...lines: readonly string[]): readonly string[] {
  return lines.flatMap((line) => line.split(' '));
}

const hosted = {
  ...unknownTraits,
  protocol: 'openai',
  baseUrl: null,
  keyNames: [],
  needsKey: true,
  owns: [],
  carries: [],
  openrouterPrefix: null,
  models: [],
} as const satisfies Preset;

const localServer = {
  ...hosted,
  needsKey: false,
  countsOutput: false,
  rateLimitHeaders: 'none',
  local: true,
} as const satisfies Preset;

// Assumed throughout: the names of environment variables (except OpenAI's, Anthropic's and Azure's), the model names under
// `owns`, `carries` and `models`, the OpenRouter prefixes, `limitScope` (documented for Azure and Anthropic), and `countsOutput`
// without a comment: unknown counts as true, the cautious choice.
export const presets = {
  openai: {
    ...hosted,
    baseUrl: 'https://api.openai.com/v1',
    keyNames: ['OPENAI_API_KEY'],
    limitScope: 'model',
    nativeBatches: true,
    owns: namesOf(
      'gpt-* chatgpt-* o1 o1-* o3 o3-* o4 o4-* codex-* computer-use-* ft:gpt-* text-embedding-* davinci-002 babbage-002',
      'dall-e-* sora-* tts-* whisper-1 omni-moderation-* text-moderation-*',
    ),
    openrouterPrefix: 'openai',
    models: ['gpt-5', 'gpt-5-mini', 'gpt-4o', 'gpt-4o-mini', 'text-embedding-3-small', 'text-embedding-3-large'],
  },
  anthropic: {
    ...hosted,
    protocol: 'anthropic',
    baseUrl: 'https://api.anthropic.com',
    keyNames: ['ANTHROPIC_API_KEY'],
    auth: 'x-api-key',
    limitScope: 'model',
    nativeBatches: true,
    countsCached: false,
    rateLimitHeaders: 'anthropic',
    owns: ['claude-*'],
    models: ['claude-sonnet-4-5', 'claude-haiku-4-5'],
  },
  gemini: {
    ...hosted,
    protocol: 'gemini',
    baseUrl: 'https://generativelanguage.googleapis.com',
    keyNames: ['GEMINI_API_KEY', 'GOOGLE_API_KEY'],
    auth: 'x-goog-api-key',
    limitScope: 'model',
    countsOutput: false,
    rateLimitHeaders: 'none',
    owns: ['gemini-*', 'gemma-*', 'imagen-*'],
    openrouterPrefix: 'google',
  },
  azure: {
    ...hosted,
    endpoint: 'azure',
    keyNames: ['AZURE_OPENAI_API_KEY'],
    auth: 'api-key',
    limitScope: 'model',
    enforce: 'perSecond', // assumed: windows of 1 s and 10 s
    rateLimitHeaders: 'azure',
  },
  bedrock: { ...hosted, endpoint: 'bedrock', keyNames: ['AWS_BEARER_TOKEN_BEDROCK'], limitScope: 'model', rateLimitHeaders: 'none' },
  vertex: {
    ...hosted,
    endpoint: 'vertex',
    protocol: 'gemini',
    needsKey: false, // an access token, or an API key
    auth: 'x-goog-api-key',
    limitScope: 'model',
    countsOutput: false,
    rateLimitHeaders: 'none',
  },
  groq: {
    ...hosted,
    baseUrl: 'https://api.groq.com/openai/v1',
    keyNames: ['GROQ_API_KEY'],
    limitScope: 'model',
    countsCached: false,
    rateLimitHeaders: 'groq',
    owns: ['compound-*', 'groq/*'],
    carries: namesOf('llama-*-versatile llama-*-instant gemma2-* meta-llama/* openai/gpt-oss-* qwen/* moonshotai/* whisper-large-*'),
  },
  mistral: {
    ...hosted,
    baseUrl: 'https://api.mistral.ai/v1',
    keyNames: ['MISTRAL_API_KEY'],
    rateLimitHeaders: 'mistral',
    includeUsage: false, // assumed: it rejects unknown request fields with 422, and always sends usage in the last chunk
    owns: namesOf('mistral-* ministral-* magistral-* codestral-* devstral-* pixtral-* voxtral-* open-mistral-* open-mixtral-*'),
    openrouterPrefix: 'mistralai',
    models: ['mistral-large-latest', 'mistral-small-latest', 'codestral-latest', 'mistral-embed'],
  },
  deepseek: {
    ...hosted,
    baseUrl: 'https://api.deepseek.com/v1',
    keyNames: ['DEEPSEEK_API_KEY'],
    countsOutput: false, // its only limit is concurrency
    rateLimitHeaders: 'none',
    owns: ['deepseek-chat', 'deepseek-reasoner', 'deepseek-coder', 'deepseek-v*'],
    openrouterPrefix: 'deepseek',
    models: ['deepseek-chat', 'deepseek-reasoner'],
  },
  together: {
    ...hosted,
    baseUrl: 'https://api.together.xyz/v1',
    keyNames: ['TOGETHER_API_KEY'],
    enforce: 'perSecond', // from a secondary source, as are its headers
    rateLimitHeaders: 'together',
    carries: namesOf('meta-llama/* Qwen/* mistralai/* deepseek-ai/* moonshotai/* zai-org/* togethercomputer/*'),
  },
  fireworks: {
    ...hosted,
    baseUrl: 'https://api.fireworks.ai/inference/v1',
    keyNames: ['FIREWORKS_API_KEY'],
    rateLimitHeaders: 'fireworks',
    carries: ['accounts/*'],
  },
  openrouter: {
    ...hosted,
    baseUrl: 'https://openrouter.ai/api/v1',
    keyNames: ['OPENROUTER_API_KEY'],
    limitScope: 'model', // most of its refusals are those of the provider behind one model
    forwardHeaders: ATTRIBUTION_HEADERS,
    rateLimitHeaders: 'none',
    owns: ['openrouter/*'],
    carries: ['*/*'], // narrowed in model-names.ts
  },
  xai: {
    ...hosted,
    baseUrl: 'https://api.x.ai/v1',
    keyNames: ['XAI_API_KEY'],
    limitScope: 'model',
    owns: ['grok-*'],
    openrouterPrefix: 'x-ai',
  },
  cohere: {
    ...hosted,
    baseUrl: 'https://api.cohere.ai/compatibility/v1',
    keyNames: ['COHERE_API_KEY', 'CO_API_KEY'],
    rateLimitHeaders: 'cohere',
    owns: ['command-*', 'command', 'c4ai-*', 'embed-*', 'rerank-*'],
    openrouterPrefix: 'cohere',
  },
  cerebras: {
    ...hosted,
    baseUrl: 'https://api.cerebras.ai/v1',
    keyNames: ['CEREBRAS_API_KEY'],
    limitScope: 'model',
    rateLimitHeaders: 'cerebras',
    carries: ['llama3.1-*', 'llama-3.3-70b', 'qwen-3-*', 'gpt-oss-*', 'zai-*'],
  },
  perplexity: {
    ...hosted,
    baseUrl: 'https://api.perplexity.ai',
    keyNames: ['PERPLEXITY_API_KEY'],
    rateLimitHeaders: 'none',
    owns: ['sonar', 'sonar-*'],
    openrouterPrefix: 'perplexity',
    models: ['sonar', 'sonar-pro', 'sonar-reasoning-pro'],
  },
  deepinfra: {
    ...hosted,
    baseUrl: 'https://api.deepinfra.com/v1/openai',
    keyNames: ['DEEPINFRA_API_KEY', 'DEEPINFRA_TOKEN'],
    rateLimitHeaders: 'none',
    carries: namesOf('meta-llama/* Qwen/* mistralai/* deepseek-ai/* moonshotai/* zai-org/* google/* microsoft/*'),
  },
  ollama: { ...localServer, baseUrl: 'http://127.0.0.1:11434/v1' },
  vllm: { ...localServer, baseUrl: 'http://127.0.0.1:8000/v1' },
  sglang: { ...localServer, baseUrl: 'http://127.0.0.1:30000/v1' },
  llamacpp: { ...localServer, baseUrl: 'http://127.0.0.1:8080/v1' },
  lmstudio: { ...localServer, baseUrl: 'http://127.0.0.1:1234/v1' },
  local: { ...localServer, protocol: 'local' },
} as const satisfies Record<string, Preset>;

export type PresetName = keyof typeof presets;

export function isPresetName(name: string): name is PresetName {
  return Object.hasOwn(presets, name);
}
