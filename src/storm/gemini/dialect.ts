/** Google's generateContent API as Storm speaks it: the model and the method stand in the path, the key in a header or the query. */
import type { Dialect, Endpoint, Received } from '../dialect.ts';
import { decodePart } from '../request.ts';
import type { Seals } from '../seals.ts';
import { toFailureAnswer, toFailureEvent } from './failures.ts';
import { readCountTokens, readGenerate } from './generate.ts';
import type { GeminiParts } from './generate.ts';
import { readBatchEmbed, readEmbed, readModel, readModels } from './lookups.ts';

/** `/v1beta/models/{model}` and, after a colon, the method. */
const PATH = /^\/(?:v1|v1beta|v1alpha)\/(?:models|tunedModels)\/([^/]+?)(?::(\w+))?$/;

/** The key of a call, or an empty string. */
export function geminiKeyOf({ headers, query }: Received): string {
  const { 'x-goog-api-key': key, authorization } = headers;
  if (typeof key === 'string') return key;
  if (authorization?.startsWith('Bearer ')) return authorization.slice(7);
  return new URLSearchParams(query).get('key') ?? '';
}

/** Reads each request with the model that its path names. `isArray`: its errors are in an array. */
export function withModel(model: string, endpoint: Endpoint, isArray: boolean): Endpoint {
  const named: Endpoint = { ...endpoint, read: (received) => endpoint.read({ ...received, model }) };
  return isArray ? { ...named, errorShape: 'array' } : named;
}

/** Whether a response is a JSON array: a stream without `alt=sse`. Its errors are in an array, too. */
export function isArrayStream(verb: string | undefined, { query }: Received): boolean {
  return verb === 'streamGenerateContent' && new URLSearchParams(query).get('alt') !== 'sse';
}

/** The endpoints by their method, as the Gemini API and Vertex have them. */
export function methodEndpoints(parts: GeminiParts, prefix: string): ReadonlyMap<string, Endpoint> {
  const label = (method: string) => `${prefix}/{model}:${method}`;
  return new Map<string, Endpoint>([
    ['generateContent', { label: label('generateContent'), counted: true, read: (received) => readGenerate(received, false, parts) }],
    [
      'streamGenerateContent',
      { label: label('streamGenerateContent'), counted: true, read: (received) => readGenerate(received, true, parts) },
    ],
    ['countTokens', { label: label('countTokens'), counted: false, read: readCountTokens }],
    ['embedContent', { label: label('embedContent'), counted: true, read: readEmbed }],
    ['batchEmbedContents', { label: label('batchEmbedContents'), counted: true, read: readBatchEmbed }],
  ]);
}

/** Makes the dialect; `models` are those that it lists. */
export function createGeminiDialect(models: readonly string[], seals: Seals): Dialect {
  const methods = methodEndpoints({ seals, keyOf: geminiKeyOf }, '/v1beta/models');
  const list: Endpoint = { label: '/v1beta/models', counted: false, read: (received) => readModels(models, received) };
  const single: Endpoint = { label: '/v1beta/models/{model}', counted: false, read: (received) => readModel(models, received) };
  const claims = (path: string) => /^\/v1(?:beta|alpha)\/|^\/v1\/models\/[^/]+:\w+$/.test(path);
  return {
    name: 'gemini',
    route(received) {
      const { method, path, headers } = received;
      // OpenAI has the same path for models; only Google's clients send this header.
      if (!claims(path) && headers['x-goog-api-key'] === undefined) return undefined;
      if (method === 'GET' && /^\/[^/]+\/models$/.test(path)) return list;
      const [, model = '', verb] = PATH.exec(path) ?? [];
      if (model === '') return undefined;
      const endpoint = verb === undefined ? single : methods.get(verb);
      const isRead = method === (verb === undefined ? 'GET' : 'POST');
      return endpoint === undefined || !isRead ? undefined : withModel(decodePart(model), endpoint, isArrayStream(verb, received));
    },
    claims,
    keyOf: geminiKeyOf,
    failure: toFailureAnswer,
    failureEvent: toFailureEvent,
    limitHeaders: () => ({}),
    waits: 'retry-info',
    limitsPerModel: true,
    countsInputOnly: true,
  };
}
