import { ERROR_CATALOGUE } from '../../core/errors.ts';
import type { Dialect } from '../dialect.ts';
import { canConvertForm } from '../parse-limits.ts';
import { encodePieces } from '../edit-request.ts';
import { encodeErrorBody, fromForeign } from '../openai-error.ts';
import { ParsedOpening } from '../parsed-opening.ts';
import { identityParts } from '../request-identity.ts';
import { encodeComment } from '../sse/comment.ts';
import { decodeResponsesRequest } from './decode-request.ts';
import { encodeErrorEvent } from './encode-error.ts';
import { readResponsesFormat } from './format.ts';
import { responsesOpaque } from './opaque.ts';
import { createResponsesStreamParser } from './parse-response.ts';
import { readResponsesResponse } from './read-response.ts';
import { createResponsesStreamReader } from './stream-reader.ts';
import {
  isUnfinished, responseChoices, responseInForm, ResponseStreamFold, responseToStream, streamToResponse, withResponseTexts,
} from './whole-response.ts'; // prettier-ignore

/** Members that do not affect the content of the response. */
const IGNORED: ReadonlySet<string> = new Set([
  'stream', 'stream_options', 'user', 'safety_identifier', 'metadata', 'client_metadata', 'service_tier', 'prompt_cache_key',
  'prompt_cache_options', 'prompt_cache_retention',
]); // prettier-ignore

export const openaiResponses: Dialect = {
  name: 'openai-responses',
  protocol: 'openai',
  request: {
    decode: (_operation, bytes, scan) => decodeResponsesRequest(bytes, scan),
    edit: encodePieces,
    identity: (body) => identityParts(body, IGNORED),
    format: readResponsesFormat,
  },
  response: {
    read: (_operation, body, _choices, outline) => readResponsesResponse(body, outline),
    choices: responseChoices,
    withTexts: withResponseTexts,
    toStream: responseToStream,
    fromStream: streamToResponse,
    createFold: () => new ResponseStreamFold(),
    canConvertForm,
    convertForm: responseInForm,
    isUnfinished,
  },
  opaque: responsesOpaque,
  stream: {
    watch: ({ operation, ...options }) => (operation === 'chat' ? createResponsesStreamReader(options) : null),
    createOpeningReader: () => new ParsedOpening(createResponsesStreamParser()),
    comment: encodeComment,
    keepAlive: encodeComment('keep-alive'),
  },
  error: {
    body: ({ message, type, param, code }) => encodeErrorBody({ message, type: type ?? 'upstream_error', param, code }),
    event: encodeErrorEvent,
    isOwn: () => true,
    foreign: fromForeign,
    typeOf: ({ code }) => ERROR_CATALOGUE[code].openaiType,
    requestIdHeader: null,
  },
};
