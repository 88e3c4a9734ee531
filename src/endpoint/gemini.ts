import type { Endpoint } from './endpoint.ts';

/** A stream without `alt=sse`: one JSON list of chunks, which is read as a complete response. */
const LIST_PATH = ':streamGenerateContent';

/** Google's Gemini API: the path contains the model and the method. The base URL may contain the version. */
export const geminiEndpoint: Endpoint = {
  path(basePath, { operation, path, model, stream }) {
    const place = `${versioned(basePath)}/models/${encodeURIComponent(model)}`;
    if (operation === 'bytes' || path === LIST_PATH) return place + (path ?? '');
    return place + (stream ? ':streamGenerateContent?alt=sse' : ':generateContent');
  },
  modelsPath: (basePath) => `${versioned(basePath)}/models?pageSize=1000`,
  // Login tokens are accepted as `Bearer` only.
  credentialHeader: (credential, given) =>
    given === 'authorization' || credential.startsWith('ya29.') ? 'authorization' : 'x-goog-api-key',
  defaultHeaders: [],
};

function versioned(basePath: string): string {
  return /\/v\d+[a-z\d]*$/.test(basePath) ? basePath : `${basePath}/v1beta`;
}
