import { Buffer } from 'node:buffer';
import { ERROR_CATALOGUE } from '../../core/errors.ts';
import type { Dialect } from '../dialect.ts';
import { canConvertForm } from '../parse-limits.ts';
import { encodePieces } from '../edit-request.ts';
import { identityParts } from '../request-identity.ts';
import { encodeComment } from '../sse/comment.ts';
import { betasFor } from './betas.ts';
import { decodeMessages } from './decode-request.ts';
import { encodeErrorBody, encodeErrorEvent, fromForeign } from './encode-error.ts';
import { typeOfStatus } from './error-types.ts';
import { readMessagesFormat } from './format.ts';
import { messagesOpaque } from './opaque.ts';
import { ParsedOpening } from '../parsed-opening.ts';
import { createMessagesStreamParser } from './parse-stream.ts';
import { readMessageResponse } from './read-response.ts';
import { createMessagesStreamReader } from './stream-reader.ts';
import {
  isUnfinished, messageChoices, messageInForm, MessageStreamFold, messageToStream, streamToMessage, withMessageTexts,
} from './whole-message.ts'; // prettier-ignore

/** Members that do not affect the content of the response. */
const IGNORED: ReadonlySet<string> = new Set(['stream', 'metadata', 'service_tier', 'diagnostics', 'workspace_id', 'user_profile_id']);

export const anthropicMessages: Dialect = {
  name: 'anthropic-messages',
  protocol: 'anthropic',
  request: {
    decode: (_operation, bytes, scan) => decodeMessages(bytes, scan),
    edit: encodePieces,
    identity: (body) => identityParts(body, IGNORED),
    format: readMessagesFormat,
    tied: { name: 'anthropic-beta', valueFor: betasFor },
  },
  response: {
    read: (_operation, body, _choices, outline) => readMessageResponse(body, outline),
    choices: messageChoices,
    withTexts: withMessageTexts,
    toStream: messageToStream,
    fromStream: streamToMessage,
    createFold: () => new MessageStreamFold(),
    canConvertForm,
    convertForm: messageInForm,
    isUnfinished,
  },
  stream: {
    watch: ({ operation, ...options }) => (operation === 'chat' ? createMessagesStreamReader(options) : null),
    createOpeningReader: () => new ParsedOpening(createMessagesStreamParser()),
    comment: encodeComment,
    keepAlive: Buffer.from('event: ping\ndata: {"type":"ping"}\n\n'),
  },
  error: {
    body: encodeErrorBody,
    event: encodeErrorEvent,
    // A platform that serves Claude may have its own error format.
    isOwn: ({ type }) => type === 'error',
    foreign: fromForeign,
    typeOf: ({ code, status }) => (code === 'all_targets_failed' ? typeOfStatus(status) : ERROR_CATALOGUE[code].anthropicType),
    requestIdHeader: 'request-id',
  },
  opaque: messagesOpaque,
};
