import { Buffer } from 'node:buffer';
import type { Dialect } from '../dialect.ts';
import { canConvertForm } from '../parse-limits.ts';
import { encodePieces } from '../edit-request.ts';
import { ParsedOpening } from '../parsed-opening.ts';
import { readString } from '../json-values.ts';
import type { RequestBody } from '../request-body.ts';
import { identityParts } from '../request-identity.ts';
import { decodeGeminiRequest } from './decode-request.ts';
import { geminiErrors } from './encode-error.ts';
import { readGeminiFormat } from './format.ts';
import { geminiOpaque } from './opaque.ts';
import { createGeminiStreamParser } from './parse-response.ts';
import { readGeminiResponse } from './read-response.ts';
import { createGeminiStreamReader } from './stream-reader.ts';
import {
  geminiChoices, geminiInForm, GeminiStreamFold, geminiToStream, isUnfinished, streamToGemini, withGeminiTexts,
} from './whole-response.ts'; // prettier-ignore

/** Members that do not affect the content of the response. */
const IGNORED: ReadonlySet<string> = new Set(['labels', 'serviceTier', 'service_tier']);
/** Google's SDK skips blank lines but not comments. */
const BLANK: Uint8Array = Buffer.from('\n\n');
const NOTHING: Uint8Array = Buffer.alloc(0);

/** The model in the body, which is rare beside that of the path, is written `models/NAME`. */
function namesCollection({ bytes, members }: RequestBody): boolean {
  return members.some((member) => member.name === 'model' && readString(bytes, member)?.startsWith('models/') === true);
}

export const gemini: Dialect = {
  name: 'gemini',
  protocol: 'gemini',
  request: {
    decode: (_operation, bytes, scan, path) => decodeGeminiRequest(bytes, scan, path),
    edit: (body, edits) => encodePieces(body, namesCollection(body) ? { ...edits, model: `models/${edits.model}` } : edits),
    identity: (body) => identityParts(body, IGNORED),
    format: readGeminiFormat,
  },
  response: {
    read: (_operation, body, _choices, outline) => readGeminiResponse(body, outline),
    choices: geminiChoices,
    withTexts: withGeminiTexts,
    toStream: geminiToStream,
    fromStream: streamToGemini,
    createFold: () => new GeminiStreamFold(),
    canConvertForm,
    convertForm: geminiInForm,
    isUnfinished,
  },
  opaque: geminiOpaque,
  stream: {
    watch: ({ operation, maxEventSize, choices }) => (operation === 'chat' ? createGeminiStreamReader(maxEventSize, choices ?? 1) : null),
    createOpeningReader: () => new ParsedOpening(createGeminiStreamParser()),
    comment: () => NOTHING,
    keepAlive: BLANK,
  },
  error: geminiErrors,
};
