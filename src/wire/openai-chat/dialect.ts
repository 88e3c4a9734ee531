import { ERROR_CATALOGUE } from '../../core/errors.ts';
import type { Dialect } from '../dialect.ts';
import { canBeInForm, inForm, isUnfinished } from './answer-again.ts';
import { answerAsStream } from './answer-as-stream.ts';
import { readChoices, withTexts } from './answer-choices.ts';
import { readFormat } from './answer-format.ts';
import { decodeScanned } from './decode-request.ts';
import { encodeComment, encodeErrorBody, encodeStreamError } from './encode-error.ts';
import { encodePieces } from './encode-request.ts';
import { identityParts } from './normal-form.ts';
import { OpeningReader } from './opening-reader.ts';
import { readAnswer } from './read-answer.ts';
import { StreamFold, streamAsAnswer } from './stream-as-answer.ts';
import { createChatStreamReader } from './stream-reader.ts';

/** Chat completions, and what shares their paths and errors: legacy completions, embeddings, and bodies that pass unread. */
export const openaiChat: Dialect = {
  name: 'openai-chat',
  protocol: 'openai',
  request: {
    decode: (operation, bytes, scan) => decodeScanned(operation === 'bytes' ? 'chat' : operation, bytes, scan),
    edit: encodePieces,
    identity: identityParts,
    format: readFormat,
  },
  response: {
    read: readAnswer,
    choices: readChoices,
    withTexts,
    toStream: answerAsStream,
    toPlain: streamAsAnswer,
    createFold: () => new StreamFold(),
    canBeInForm,
    inForm,
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
    typeOf: ({ code }) => ERROR_CATALOGUE[code].openaiType,
    requestIdHeader: null,
  },
};
