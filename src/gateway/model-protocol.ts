/** What a model of a provider speaks. A cloud serves models of several makers, each in its own protocol. */
import type { ProviderConfig } from './config/index.ts';

export function protocolOf({ protocol, knowsClaude, models }: ProviderConfig, model: string): ProviderConfig['protocol'] {
  return models[model]?.protocol ?? (knowsClaude && isClaude(model) ? 'anthropic' : protocol);
}

/** `claude-sonnet-4-5`, `us.anthropic.claude-…-v1:0`, or the ARN of an inference profile of one. */
function isClaude(model: string): boolean {
  return /(?:^|[./])(?:anthropic[./])?claude-/.test(model);
}
