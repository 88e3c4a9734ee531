/** What models accept, by name, for requests converted to another dialect. Unknown models get what nearly all models accept. */
import type { TargetCapabilities } from '../wire/conversion-loss.ts';
import { isReasoningModel } from './config/index.ts';
import { knownModel } from './known-models.ts';
import { protocolOf } from './model-protocol.ts';
import type { ProviderConfig } from './config/index.ts';

export function abilitiesOf(provider: ProviderConfig, model: string): TargetCapabilities {
  const { preset } = provider;
  const protocol = protocolOf(provider, model);
  if (protocol === 'converse') return converseAbilities(preset, model);
  if (protocol === 'anthropic') return messagesAbilities(model);
  return protocol === 'gemini' ? geminiAbilities(preset, model) : chatAbilities(preset, model);
}

/** Gemini 2.5 takes a token budget for reasoning, 3 and later a level; earlier models do not reason. 2.5 Pro cannot turn reasoning off. */
function geminiAbilities(preset: string | null, model: string): TargetCapabilities {
  const name = baseName(model);
  const version = Number(/^gemini-(\d+(?:\.\d+)?)/.exec(name)?.[1] ?? 0);
  const thinking = version >= 3 ? 'adaptive' : version >= 2.5 ? 'budget' : 'none';
  return { ...chatAbilities(preset, model), thinking, thinkingBudgetMin: /^gemini-2\.5-pro/.test(name) ? 128 : 0 };
}

/** Models without image input that the model table does not list. */
const TEXT_ONLY = /^(gpt-3\.5|gpt-oss|o1-mini|o3-mini|deepseek|codestral|llama-?3\.[13]|mixtral|command-r|c4ai-command)/;

function chatAbilities(preset: string | null, model: string): TargetCapabilities {
  const known = knownModel(preset, model)?.abilities ?? null;
  const name = baseName(model);
  const isOpenai = preset === 'openai' || preset === 'azure';
  return {
    outputBoundField: isOpenai ? 'max_completion_tokens' : 'max_tokens',
    reasons: known?.has('r') ?? isReasoningModel(model),
    thinking: 'none',
    samples: true,
    supportsImages: known?.has('i') ?? !TEXT_ONLY.test(name),
    prefills: true,
    formats: true,
    outputMax: null,
  };
}

/** Family and version of a Claude model, in either order in its name; null: not a Claude model, or no version in its name. */
export function claudeVersion(model: string): { readonly family: string; readonly version: number } | null {
  const name = baseName(model).replace(/^.*?(claude-)/, '$1');
  const late = /^claude-([a-z]+)-(\d+)(?:[-.](\d))?(?:\D|$)/.exec(name);
  if (late !== null) return { family: late[1]!, version: Number(`${late[2]!}.${late[3] ?? '0'}`) };
  const early = /^claude-(\d)(?:[-.](\d))?-([a-z]+)/.exec(name);
  return early === null ? null : { family: early[3]!, version: Number(`${early[1]!}.${early[2] ?? '0'}`) };
}

function messagesAbilities(model: string): TargetCapabilities {
  const common = { outputBoundField: 'max_tokens', reasons: true, supportsImages: true } as const;
  const claude = claudeVersion(model);
  if (claude === null) return { ...common, thinking: 'budget', samples: true, prefills: true, formats: false, outputMax: null };
  const { family, version } = claude;
  return {
    ...common,
    thinking: version >= 4.6 ? 'adaptive' : version >= 3.7 ? 'budget' : 'none',
    samples: version < (family === 'opus' ? 4.7 : 5),
    prefills: version < 4.6,
    formats: version >= 4.5 || (family === 'opus' && version >= 4.1),
    outputMax: knownModel('anthropic', model)?.outputTokens ?? outputMaxOf(family, version),
  };
}

/** On Converse, only Claude has a known reasoning parameter, and no model has structured output. */
function converseAbilities(preset: string | null, model: string): TargetCapabilities {
  const isClaude = claudeVersion(model) !== null;
  const can = isClaude ? messagesAbilities(model) : { ...chatAbilities(preset, model), prefills: false };
  return { ...can, thinking: isClaude ? can.thinking : 'none', formats: false };
}

function outputMaxOf(family: string, version: number): number {
  if (version >= 4.6) return 128_000;
  if (family === 'opus' && version >= 4 && version < 4.5) return 32_000;
  if (version >= 3.7) return 64_000;
  return version >= 3.5 ? 8_192 : 4_096;
}

function baseName(model: string): string {
  return model.slice(model.lastIndexOf('/') + 1).toLowerCase();
}
