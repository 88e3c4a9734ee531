/** All kinds of endpoints. */
import { anthropicEndpoint } from './anthropic.ts';
import { azureEndpoint } from './azure.ts';
import { bedrockEndpoint } from './bedrock.ts';
import type { Endpoint } from './endpoint.ts';
import { geminiEndpoint } from './gemini.ts';
import { openaiEndpoint } from './openai.ts';
import type { EndpointSettings } from './settings.ts';
import { vertexEndpoint } from './vertex.ts';

/** `protocol`: that of the requested model; a cloud serves several. */
export function endpointOf(settings: EndpointSettings, protocol: string): Endpoint {
  switch (settings.name) {
    case 'azure':
      return azureEndpoint(settings, protocol);
    case 'bedrock':
      return bedrockEndpoint(settings, protocol);
    case 'vertex':
      return vertexEndpoint(settings, protocol);
    case 'direct':
      if (protocol === 'anthropic') return anthropicEndpoint;
      return protocol === 'gemini' ? geminiEndpoint : openaiEndpoint;
  }
}
