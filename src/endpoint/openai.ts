import type { Endpoint, EndpointCall } from './endpoint.ts';

const PATHS: Readonly<Record<string, string>> = {
  chat: '/chat/completions',
  completions: '/completions',
  embeddings: '/embeddings',
};

/** OpenAI and compatible servers: the version is part of the base URL. */
export const openaiEndpoint: Endpoint = {
  path: (basePath, call) => basePath + openaiPath(call),
  modelsPath: (basePath) => `${basePath}/models`,
  // Azure's key has its own header.
  credentialHeader: (_credential, given) => (given === 'api-key' ? given : 'authorization'),
  defaultHeaders: [],
};

/** The path of a call in OpenAI's dialects, without the version. */
export function openaiPath({ path, dialect, operation }: EndpointCall): string {
  return path ?? (dialect === 'openai-responses' ? '/responses' : (PATHS[operation] ?? ''));
}
