/** The providers of LiteLLM, by the prefix of its model names. */
import { isPresetName, presets } from '../../gateway/config/presets.ts';

export interface KnownProvider {
  /** A preset, or a name for a provider that speaks OpenAI's protocol. */
  readonly name: string;
  /** Its address, if no preset has it. */
  readonly baseUrl?: string;
}

/** Prefixes that differ from the name of the preset. */
const PRESETS: Readonly<Record<string, string>> = {
  'text-completion-openai': 'openai',
  azure_text: 'azure',
  azure_ai: 'azure',
  vertex_ai: 'vertex',
  vertex_ai_beta: 'vertex',
  bedrock_converse: 'bedrock',
  together_ai: 'together',
  fireworks_ai: 'fireworks',
  cohere_chat: 'cohere',
  ollama_chat: 'ollama',
  hosted_vllm: 'vllm',
  lm_studio: 'lmstudio',
  llamafile: 'llamacpp',
  anthropic_text: 'anthropic',
};

/** Providers without a preset that speak OpenAI's protocol, with their documented addresses. */
const COMPATIBLE: Readonly<Record<string, string>> = {
  nvidia_nim: 'https://integrate.api.nvidia.com/v1',
  sambanova: 'https://api.sambanova.ai/v1',
  moonshot: 'https://api.moonshot.ai/v1',
  dashscope: 'https://dashscope-intl.aliyuncs.com/compatible-mode/v1',
  novita: 'https://api.novita.ai/v3/openai',
  hyperbolic: 'https://api.hyperbolic.xyz/v1',
  nebius: 'https://api.studio.nebius.ai/v1',
  lambda_ai: 'https://api.lambda.ai/v1',
  zai: 'https://api.z.ai/api/paas/v4',
  codestral: 'https://codestral.mistral.ai/v1',
};

export function knownAs(prefix: string): KnownProvider | null {
  const name = PRESETS[prefix] ?? prefix;
  if (isPresetName(name) && name !== 'local') return { name };
  const baseUrl = COMPATIBLE[prefix];
  return baseUrl === undefined ? null : { name: prefix, baseUrl };
}

export function isSelfHosted(prefix: string): boolean {
  const known = knownAs(prefix);
  return known !== null && isPresetName(known.name) && presets[known.name].local;
}

/** The provider of a model that is named without one; null: unknown. */
export function makerOf(model: string): string | null {
  if (/^(?:gpt-|chatgpt-|o\d|text-embedding-|dall-e|whisper|tts-|ft:gpt)/.test(model)) return 'openai';
  if (/^claude-/.test(model)) return 'anthropic';
  if (/^gemini-/.test(model)) return 'vertex_ai';
  if (/^(?:command|embed-|rerank-)/.test(model)) return 'cohere';
  if (/^(?:mistral|codestral|ministral)-/.test(model)) return 'mistral';
  return null;
}
