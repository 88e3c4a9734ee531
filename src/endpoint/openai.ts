import type { Operation } from '../core/request.ts';
import type { Endpoint } from './endpoint.ts';

const PATHS: Readonly<Partial<Record<Operation, string>>> = {
  chat: '/chat/completions',
  completions: '/completions',
  embeddings: '/embeddings',
};

/** OpenAI and everything compatible: the version is part of the base URL. */
export const openaiEndpoint: Endpoint = {
  path: (basePath, { operation, path, dialect }) =>
    basePath + (path ?? (dialect === 'openai-responses' ? '/responses' : (PATHS[operation] ?? ''))),
  modelsPath: (basePath) => `${basePath}/models`,
  // Azure's key has a header of its own.
  credentialHeader: (_credential, given) => (given === 'api-key' ? given : 'authorization'),
  defaultHeaders: [],
};
