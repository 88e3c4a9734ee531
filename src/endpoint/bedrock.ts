/**
 * Amazon Bedrock. OpenAI's dialects are served by both services under a path of their own, every model of the runtime by Converse, and Claude
 * by InvokeModel or the Messages API. In Converse and InvokeModel the path holds the model, and streams come in AWS's own framing.
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

/** The base URL is that of the service, or what an SDK takes for one of its dialects. */
function rootOf(basePath: string): string {
  return basePath.replace(/\/(?:(?:openai|anthropic)(?:\/v1)?|v1)$/, '');
}

/** Names hold colons, and those of inference profiles slashes. */
function modelPath({ model, stream }: EndpointCall, whole: string, streamed: string): string {
  return `/model/${encodeURIComponent(model)}/${stream ? streamed : whole}`;
}
