/** Every way to address a provider. */
import { anthropicEndpoint } from './anthropic.ts';
import type { Endpoint } from './endpoint.ts';
import { openaiEndpoint } from './openai.ts';

/** By the protocol that a provider's configuration names. */
export function endpointOf(protocol: string): Endpoint {
  return protocol === 'anthropic' ? anthropicEndpoint : openaiEndpoint;
}
