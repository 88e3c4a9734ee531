/** Google's generateContent API: the path contains the model and method, a header or the query the key. */
import type { Dialect, Endpoint, Received } from '../dialect.ts';
import { decodePart } from '../request.ts';
import type { Seals } from '../seals.ts';
import { toFailureResponse, toFailureEvent } from './failures.ts';
import { readCountTokens, readGenerate } from './generate.ts';
import type { GeminiParts } from './generate.ts';
import { readBatchEmbed, readEmbed, readModel, readModels } from './lookups.ts';

/** `/v1beta/models/{model}`, optionally with `:method`. */
const PATH = /^\/(?:v1|v1beta|v1alpha)\/(?:models|tunedModels)\/([^/]+?)(?::(\w+))?$/;

/** The caller's key, or an empty string. */
export function geminiKeyOf({ headers, query }: Received): string {
  const { 'x-goog-api-key': key, authorization } = headers;
  if (typeof key === 'string') return key;
  if (authorization?.startsWith('Bearer ')) return authorization.slice(7);
  return new URLSearchParams(query).get('key') ?? '';
}

/** Adds the model from the path to each request. With `isArray`, errors are wrapped in an array. */
export function withModel(model: string, endpoint: Endpoint, isArray: boolean): Endpoint {
  const named: Endpoint = { ...endpoint, read: (received) => endpoint.read({ ...received, model }) };
  return isArray ? { ...named, errorShape: 'array' } : named;
}

/** Whether the response is a JSON array: a stream without `alt=sse`. Its errors are wrapped in an array as well. */
export function isArrayStream(verb: string | undefined, { query }: Received): boolean {
  return verb === 'streamGenerateContent' && new URLSearchParams(query).get('alt') !== 'sse';
}

/** The endpoints by method, shared by the Gemini API and Vertex. */
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

/** Creates the dialect, which lists `models`. */
export function createGeminiDialect(models: readonly string[], seals: Seals): Dialect {
  const methods = methodEndpoints({ seals, keyOf: geminiKeyOf }, '/v1beta/models');
  const list: Endpoint = { label: '/v1beta/models', counted: false, read: (received) => readModels(models, received) };
  const single: Endpoint = { label: '/v1beta/models/{model}', counted: false, read: (received) => readModel(models, received) };
  const claims = (path: string) => /^\/v1(?:beta|alpha)\/|^\/v1\/models\/[^/]+:\w+$/.test(path);
  return {
    name: 'gemini',
    route(received) {
      const { method, path, headers } = received;
      // OpenAI has the same path for models; only Google clients send this header.
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
    failure: toFailureResponse,
    failureEvent: toFailureEvent,
    limitHeaders: () => ({}),
    waits: 'retry-info',
    limitsPerModel: true,
    countsInputOnly: true,
  };
}
