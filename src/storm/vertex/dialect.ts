/** Vertex AI: the Gemini and Anthropic dialects under a path with project and location (omitted with an API key), publisher and model. */
import { toFailureResponse as toAnthropicFailure } from '../anthropic/failures.ts';
import { readCount, readMessages } from '../anthropic/messages.ts';
import type { MessagesHost } from '../anthropic/messages.ts';
import type { Dialect, Endpoint, Failure, FailureResponse } from '../dialect.ts';
import type { FailureReason } from '../failure-reasons.ts';
import { geminiKeyOf, isArrayStream, methodEndpoints, withModel } from '../gemini/dialect.ts';
import { toFailureResponse as toGoogleFailure } from '../gemini/failures.ts';
import { decodePart } from '../request.ts';

const PATH = /^\/v1(?:beta1)?(?:\/projects\/[^/]+\/locations\/[^/]+)?\/publishers\/(google|anthropic)\/models\/([^/:]+):(\w+)$/;
const PREFIX = '/v1/projects/{p}/locations/{l}/publishers';

/** Failures of the platform rather than the model. */
const PLATFORM: readonly FailureReason[] = [
  'bad-key',
  'forbidden',
  'no-model',
  'not-found',
  'rate-limit',
  'quota',
  'too-large',
  'slow-down',
];

const CREDENTIALS =
  'Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.';
const EXHAUSTED =
  'Resource exhausted. Please try again later. Please refer to https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429 for more details.';

/** Capacity is shared, so a 429 names no quota and no wait. */
function platformFailure(failure: Failure): FailureResponse {
  const { retryDelay: _wait, refusal: _refusal, ...bare } = failure;
  if (failure.reason === 'bad-key')
    return toGoogleFailure({ message: CREDENTIALS, code: 'UNAUTHENTICATED', status: 401, ...bare, reason: 'forbidden' });
  if (failure.reason === 'rate-limit' || failure.reason === 'too-large')
    return toGoogleFailure({ message: EXHAUSTED, ...bare, reason: 'slow-down' });
  return toGoogleFailure(failure);
}

/** Creates the Vertex variants of the two dialects. */
export function createVertexDialects(gemini: Dialect, anthropic: Dialect, seals: MessagesHost['seals']): readonly Dialect[] {
  const methods = methodEndpoints({ seals, keyOf: geminiKeyOf }, `${PREFIX}/google/models`);
  const host = (stream?: boolean): MessagesHost => ({ seals, keyOf: geminiKeyOf, version: 'body', ...(stream === true && { stream }) });
  const label = (verb: string) => `${PREFIX}/anthropic/models/{model}:${verb}`;
  const claude = new Map<string, Endpoint>([
    ['rawPredict', { label: label('rawPredict'), counted: true, read: (received) => readMessages(received, host()) }],
    ['streamRawPredict', { label: label('streamRawPredict'), counted: true, read: (received) => readMessages(received, host(true)) }],
  ]);
  const count: Endpoint = { label: label('count-tokens'), counted: false, read: readCount };
  const common = { keyOf: geminiKeyOf, claims: () => false, limitHeaders: () => ({}), waits: 'none', limitsPerModel: true } as const;

  function routeOf(publisher: string, endpoints: ReadonlyMap<string, Endpoint>): Dialect['route'] {
    return (received) => {
      const { method, path } = received;
      const [, of, model = '', verb = ''] = PATH.exec(path) ?? [];
      if (method !== 'POST' || of !== publisher) return undefined;
      if (model === 'count-tokens') return count;
      const endpoint = endpoints.get(verb);
      return endpoint && withModel(decodePart(model), endpoint, isArrayStream(verb, received));
    };
  }

  return [
    {
      ...gemini,
      ...common,
      route: routeOf('google', methods),
      failure: platformFailure,
      claims: (path) => /^\/v1(?:beta1)?\/(?:projects|publishers)\//.test(path),
    },
    {
      ...anthropic,
      ...common,
      route: routeOf('anthropic', claude),
      failure: (failure) => (PLATFORM.includes(failure.reason) ? platformFailure(failure) : toAnthropicFailure(failure)),
    },
  ];
}
