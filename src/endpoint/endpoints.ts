/** Every way to address a provider. */
import { anthropicEndpoint } from './anthropic.ts';
import type { Endpoint } from './endpoint.ts';
import { geminiEndpoint } from './gemini.ts';
import { openaiEndpoint } from './openai.ts';

/** By the protocol that a provider's configuration names. */
export function endpointOf(protocol: string): Endpoint {
  if (protocol === 'anthropic') return anthropicEndpoint;
  return protocol === 'gemini' ? geminiEndpoint : openaiEndpoint;
}
