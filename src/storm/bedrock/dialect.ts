/**
 * Amazon Bedrock's runtime: Converse, and InvokeModel with Anthropic's Messages. The key is a bearer key or the access
 * key id of a signature.
 */
import { readMessages } from '../anthropic/messages.ts';
import type { MessagesHost } from '../anthropic/messages.ts';
import type { Dialect, Endpoint, Received } from '../dialect.ts';
import { decodePart } from '../request.ts';
import type { Seals } from '../seals.ts';
import { readConverse } from './converse.ts';
import { INVOKE_STREAM } from './event-stream.ts';
import { toFailureResponse, toFailureEvent } from './failures.ts';

const PATH = /^\/model\/([^/]+)\/(converse|converse-stream|invoke|invoke-with-response-stream)$/;

/** Creates the dialect. */
export function createBedrockDialect(seals: Seals): Dialect {
  const parts = { seals, keyOf };
  const host = (stream: boolean): MessagesHost => ({ ...parts, version: 'body', stream, framing: INVOKE_STREAM });
  const reads: Readonly<Record<string, Endpoint['read']>> = {
    converse: (received) => readConverse(received, false, parts),
    'converse-stream': (received) => readConverse(received, true, parts),
    invoke: (received) => readMessages(received, host(false)),
    'invoke-with-response-stream': (received) => readMessages(received, host(true)),
  };
  return {
    name: 'bedrock',
    route({ method, path }) {
      const [, model = '', verb = ''] = PATH.exec(path) ?? [];
      const read = reads[verb];
      if (method !== 'POST' || read === undefined) return undefined;
      return { label: `/model/{id}/${verb}`, counted: true, read: (received) => read({ ...received, model: decodePart(model) }) };
    },
    claims: (path) => path.startsWith('/model/'),
    keyOf,
    failure: toFailureResponse,
    failureEvent: toFailureEvent,
    limitHeaders: () => ({}),
    waits: 'none',
    limitsPerModel: true,
    requestIdHeader: 'x-amzn-requestid',
  };
}

/**
 * The bearer key, or the access key id of a signature (`AWS4-HMAC-SHA256 Credential=AKID/…`). Storm has no secrets, so
 * signatures are not verified.
 */
function keyOf({ headers: { authorization = '' } }: Received): string {
  if (authorization.startsWith('Bearer ')) return authorization.slice(7);
  return /^AWS4-HMAC-SHA256 Credential=([^/]+)\//.exec(authorization)?.[1] ?? '';
}
