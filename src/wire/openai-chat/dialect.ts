import { ERROR_CATALOGUE } from '../../core/errors.ts';
import type { Dialect } from '../dialect.ts';
import { encodePieces } from '../edit-request.ts';
import { identityParts } from '../request-identity.ts';
import { canConvertForm, convertForm, isUnfinished } from './response-forms.ts';
import { completionToStream } from './completion-to-stream.ts';
import { readChoices, withTexts } from './response-choices.ts';
import { readFormat } from './response-format.ts';
import { decodeScanned } from '../decode-request.ts';
import { encodeComment } from '../sse/comment.ts';
import { encodeErrorBody, encodeStreamError, fromForeign } from '../openai-error.ts';
import { chatOpaque } from './opaque.ts';
import { OpeningReader } from './opening-reader.ts';
import { readChatResponse } from './read-response.ts';
import { StreamFold, streamToCompletion } from './stream-to-completion.ts';
import { createChatStreamReader } from './stream-reader.ts';

/** Members that do not change the response. */
export const IGNORED: ReadonlySet<string> = new Set([
  'stream', 'stream_options', 'user', 'safety_identifier', 'metadata', 'store', 'service_tier',
  'prompt_cache_key', 'prompt_cache_options', 'prompt_cache_retention',
]); // prettier-ignore

/** Chat completions, and what shares their paths and errors: legacy completions, embeddings, and bodies passed through as bytes. */
export const openaiChat: Dialect = {
  name: 'openai-chat',
  protocol: 'openai',
  request: {
    decode: (operation, bytes, scan) => decodeScanned(operation === 'bytes' ? 'chat' : operation, bytes, scan),
    edit: encodePieces,
    identity: (body) => identityParts(body, IGNORED),
    format: readFormat,
  },
  response: {
    read: readChatResponse,
    choices: readChoices,
    withTexts,
    toStream: completionToStream,
    fromStream: streamToCompletion,
    createFold: () => new StreamFold(),
    canConvertForm,
    convertForm,
    isUnfinished,
  },
  stream: {
    watch({ operation, ...options }) {
      return operation === 'chat' || operation === 'completions' ? createChatStreamReader({ operation, ...options }) : null;
    },
    createOpeningReader: () => new OpeningReader(),
    comment: encodeComment,
    keepAlive: encodeComment('keep-alive'),
  },
  error: {
    body: ({ message, type, param, code }) => encodeErrorBody({ message, type: type ?? 'upstream_error', param, code }),
    event: ({ message, type, param, code }) => encodeStreamError({ message, type: type ?? 'upstream_error', param, code }),
    isOwn: () => true,
    foreign: fromForeign,
    typeOf: ({ code }) => ERROR_CATALOGUE[code].openaiType,
    requestIdHeader: null,
  },
  opaque: chatOpaque,
};
