/**
 * Amazon Bedrock. Both services serve OpenAI's dialects under a path of their own; Converse serves every model of the runtime, and
 * InvokeModel or the Messages API serve Claude. Converse and InvokeModel have the model in the path, and stream in AWS's own framing.
 */
import type { Endpoint, EndpointCall } from './endpoint.ts';
import { ANTHROPIC_HEADERS } from './anthropic.ts';
import { openaiPath } from './openai.ts';
import type { EndpointSettings } from './settings.ts';

type BedrockSettings = Extract<EndpointSettings, { name: 'bedrock' }>;

/** The version that InvokeModel requires in the body for Claude models. */
const INVOKE_VERSION = 'bedrock-2023-05-31';

export function bedrockEndpoint({ service, claude }: BedrockSettings, protocol: string): Endpoint {
  const common = { modelsPath: () => null, credentialHeader: () => 'authorization' };
  if (protocol === 'converse') {
    return { ...common, path: (basePath, call) => rootOf(basePath) + modelPath(call, 'converse', 'converse-stream'), defaultHeaders: [] };
  }
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
      path: (basePath, call) => rootOf(basePath) + modelPath(call, 'invoke', 'invoke-with-response-stream'),
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

/** The base URL is that of the service, or an SDK's base URL for one of its dialects. */
function rootOf(basePath: string): string {
  return basePath.replace(/\/(?:(?:openai|anthropic)(?:\/v1)?|v1)$/, '');
}

/** Model names contain colons, and names of inference profiles also slashes. */
function modelPath({ model, stream }: EndpointCall, whole: string, streamed: string): string {
  return `/model/${encodeURIComponent(model)}/${stream ? streamed : whole}`;
}
