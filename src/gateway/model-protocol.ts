/** The protocol of a provider's model. A cloud serves models of several makers, each in its own protocol. */
import type { ProviderConfig } from './config/index.ts';
import type { ModelProtocol } from './config/config.ts';

export function protocolOf({ protocol, knowsMakers, address, models }: ProviderConfig, model: string): ModelProtocol {
  const written = models[model]?.protocol ?? null;
  if (written !== null || !knowsMakers) return written ?? protocol;
  if (isClaude(model)) return 'anthropic';
  return address.name === 'bedrock' && address.service === 'runtime' && !isOpenai(model) ? 'converse' : protocol;
}

/** `claude-sonnet-4-5`, `us.anthropic.claude-…-v1:0`, or the ARN of its inference profile. */
function isClaude(model: string): boolean {
  return /(?:^|[./])(?:anthropic[./])?claude-/.test(model);
}

/** `openai.gpt-oss-120b-1:0`, `us.openai.…`, or its ARN. */
function isOpenai(model: string): boolean {
  return /(?:^|[./])openai[./]/.test(model);
}
