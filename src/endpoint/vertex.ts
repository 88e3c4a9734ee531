/** Vertex AI: Gemini, Claude and an OpenAI-compatible path, below a project and a location; with an API key (express mode), Gemini without either. */
import type { Endpoint, EndpointCall } from './endpoint.ts';
import { openaiPath } from './openai.ts';
import type { EndpointSettings } from './settings.ts';

type VertexSettings = Extract<EndpointSettings, { name: 'vertex' }>;

/** The version required in the body for Claude models. */
const CLAUDE_VERSION = 'vertex-2023-10-16';

export function vertexEndpoint({ project, location }: VertexSettings, protocol: string): Endpoint {
  const place = project === null ? '' : `/projects/${encodeURIComponent(project)}/locations/${encodeURIComponent(location)}`;
  const common: Pick<Endpoint, 'modelsPath' | 'credentialHeader' | 'defaultHeaders'> = {
    modelsPath: () => null,
    credentialHeader: (credential, given) =>
      given === 'authorization' || credential.startsWith('ya29.') ? 'authorization' : 'x-goog-api-key',
    defaultHeaders: [],
  };
  if (protocol === 'anthropic') {
    const models = `${place}/publishers/anthropic/models`;
    return {
      ...common,
      path: (basePath, call) => versioned(basePath) + models + claudePath(call),
      body: { omit: ['model'], set: { anthropic_version: CLAUDE_VERSION }, listHeader: null },
    };
  }
  if (protocol === 'gemini') return { ...common, path: (basePath, call) => versioned(basePath) + place + geminiPath(call) };
  return { ...common, path: (basePath, call) => `${versioned(basePath)}${place}/endpoints/openapi${openaiPath(call)}` };
}

function versioned(basePath: string): string {
  return /\/v\d+[a-z\d]*$/.test(basePath) ? basePath : `${basePath}/v1`;
}

function claudePath({ operation, path, model, stream }: EndpointCall): string {
  if (operation === 'bytes') return path?.startsWith('/messages/count_tokens') === true ? '/count-tokens:rawPredict' : (path ?? '');
  return `/${encodeURIComponent(model)}:${stream ? 'streamRawPredict' : 'rawPredict'}`;
}

/** A model of another publisher is written as `publisher/model`. */
function geminiPath({ operation, path, model, stream }: EndpointCall): string {
  const slash = model.indexOf('/');
  const publisher = slash === -1 ? 'google' : model.slice(0, slash);
  const name = `/publishers/${encodeURIComponent(publisher)}/models/${encodeURIComponent(model.slice(slash + 1))}`;
  if (operation === 'bytes') return name + (path ?? '');
  return name + (stream ? ':streamGenerateContent?alt=sse' : ':generateContent');
}
