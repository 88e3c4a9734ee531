/**
 * Amazon Bedrock. OpenAI's dialects are served by both services under a path of their own; Claude by InvokeModel, whose path holds the model
 * and whose streams come in AWS's own framing, or by the Messages API.
 */
import type { Endpoint, EndpointCall } from './endpoint.ts';
import { ANTHROPIC_HEADERS } from './anthropic.ts';
import { openaiPath } from './openai.ts';
import type { EndpointSettings } from './settings.ts';

type BedrockSettings = Extract<EndpointSettings, { name: 'bedrock' }>;

/** The version that InvokeModel demands in the body of every Claude model. */
const INVOKE_VERSION = 'bedrock-2023-05-31';

export function bedrockEndpoint({ service, claude }: BedrockSettings, protocol: string): Endpoint {
  const common = { modelsPath: () => null, credentialHeader: () => 'authorization' };
  if (protocol !== 'anthropic') {
    const place = service === 'runtime' ? '/openai/v1' : '/v1';
    return {
      ...common,
      path: (basePath, call) => (isVersioned(basePath) ? basePath : basePath + place) + openaiPath(call),
      defaultHeaders: [],
    };
  }
  if (service === 'runtime' && claude === 'invoke') {
    return {
      ...common,
      path: (basePath, call) => rootOf(basePath) + invokePath(call),
      defaultHeaders: [],
      serves: (operation) => operation !== 'bytes',
      body: {
        omit: ['model', 'stream'],
        set: { anthropic_version: INVOKE_VERSION },
        listHeader: { header: 'anthropic-beta', member: 'anthropic_beta' },
      },
    };
  }
  return {
    ...common,
    path: (basePath, { path }) => `${rootOf(basePath)}/anthropic/v1${path ?? '/messages'}`,
    defaultHeaders: ANTHROPIC_HEADERS,
  };
}

function isVersioned(basePath: string): boolean {
  return /\/v\d+$/.test(basePath);
}

/** The base URL is that of the service, or what an SDK takes for one of its dialects. */
function rootOf(basePath: string): string {
  return basePath.replace(/\/(?:(?:openai|anthropic)(?:\/v1)?|v1)$/, '');
}

/** Names hold colons, and those of inference profiles slashes. */
function invokePath({ model, stream }: EndpointCall): string {
  return `/model/${encodeURIComponent(model)}/${stream ? 'invoke-with-response-stream' : 'invoke'}`;
}
