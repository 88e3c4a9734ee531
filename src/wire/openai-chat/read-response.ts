import { Buffer, isAscii, isUtf8 } from 'node:buffer';
import { isBlankText } from '../../core/blank-text.ts';
import type { ResponseFacts, Failure, TokenUsage } from '../../core/facts.ts';
import { isAtLimit, isFailedFinish, isWithheld, mayBeEmpty } from '../../core/finish-reason.ts';
import { isRecord, parseOrUndefined } from '../../core/json.ts';
import type { Operation } from '../../core/request.ts';
import { asBuffer, byteOrderMarkLength, isBlank } from '../bytes.ts';
import type { ReadResponse } from '../dialect.ts';
import { cutCallFailure } from '../cut-arguments.ts';
import { createFailure, failureFromErrorValue } from '../failure.ts';
import type { JsonOutline } from '../json-outline.ts';
import { scanObject } from '../json-scan.ts';
import { parseMember } from '../json-values.ts';
import { CHARS_PER_TOKEN, readUsage } from '../usage.ts';
import { findError } from '../response-error.ts';
import { writeJson } from '../write-json.ts';
import { objectName, shapedChoice } from './response-shape.ts';
import type { ShapedOperation } from './response-shape.ts';
import { holdsCutCall } from './call-arguments.ts';
import { estimatedTokens, holdsOutput, holdsContent } from './content.ts';
import { noteChatMessage } from './opaque.ts';
import { INVALID_VECTOR, countVectors, countVectorsIn } from './vectors.ts';

/**
 * Classifies a complete body that came with a success status: a response, an error, an empty response, or not JSON. A byte order mark and
 * white space around the JSON are tolerated (DeepSeek sends empty lines while a request is queued).
 * `choices`: the number requested; no embedding may be missing, or the following ones would be assigned to the wrong inputs.
 * `outline`: of a large body, which is then not parsed completely.
 * `estimatedOutputTokens`: set if the response reports no usage.
 * `converted`: the response in the requested shape, if it came in another.
 * An `empty` failure includes the body if it is a response: it is the last resort if every attempt fails.
 */
export function readChatResponse(operation: Operation, bytes: Uint8Array, choices = 1, outline: JsonOutline | null = null): ReadResponse {
  if (operation === 'bytes') return { ok: true, facts: { ...noFacts(), hasContent: bytes.length > 0 } };
  if (isBlank(bytes)) return refuse(empty('the response has no body', null));
  const value = operation === 'embeddings' ? readAroundVectors(bytes, outline) : parseWhole(bytes, outline);
  if (value === null) return refuse(createFailure('malformed', 'answer', 'the response is not a JSON object'));
  const facts = noFacts();
  const groq = value['x_groq'];
  facts.usage = readUsage(value['usage'], value['service_tier']) ?? (isRecord(groq) ? readUsage(groq['usage']) : null);
  const error = findError(value);
  if (error !== null) return refuse(failureFromErrorValue(error, 'answer', bytes), facts.usage);
  facts.model = typeof value['model'] === 'string' && value['model'] !== '' ? value['model'].slice(0, MODEL_LENGTH_MAX) : null;
  const failure =
    operation === 'embeddings'
      ? readVectors(value['data'] ?? value['embeddings'], choices, facts)
      : readChoices(value['choices'], facts, bytes);
  if (failure !== null) return refuse(failure, facts.usage);
  if (operation === 'embeddings') return facts.usage !== null ? { ok: true, facts } : { ok: true, facts, estimatedOutputTokens: 0 };
  const shaped = reshape(operation, value, outline === null);
  if (shaped === 'too large') return refuse(malformed('the response has the shape of another endpoint'), facts.usage);
  const converted = shaped === null ? NOT_CONVERTED : { converted: shaped };
  if (facts.usage !== null) return { ok: true, facts, ...converted };
  // An outline does not contain long texts.
  const estimatedOutputTokens = outline === null ? estimatedTokens(value['choices']) : Math.ceil(bytes.length / CHARS_PER_TOKEN);
  return { ok: true, facts, estimatedOutputTokens, ...converted };
}

const NOT_CONVERTED = {};

function malformed(message: string): Failure {
  return createFailure('malformed', 'answer', message);
}

/** Null: it has the shape of its operation. `isWhole`: `value` is the complete response. */
function reshape(operation: ShapedOperation, value: Record<string, unknown>, isWhole: boolean): Uint8Array | 'too large' | null {
  const all = value['choices'] as unknown[];
  if (!all.some((choice) => isRecord(choice) && shapedChoice(choice, operation) !== choice)) return null;
  if (!isWhole) return 'too large';
  const choices = all.filter(isRecord).map((choice) => shapedChoice(choice, operation));
  return Buffer.from(writeJson({ ...value, object: objectName(operation, false), choices }));
}

/** In characters; a longer name is cut, since it is written to logs and metrics. */
const MODEL_LENGTH_MAX = 200;
/** Up to these limits a body is parsed completely even if it has an outline. */
const PARSED_BYTES_MAX = 1024 * 1024;
const PARSED_VALUES_MAX = 20_000;

function parseWhole(bytes: Uint8Array, outline: JsonOutline | null): Record<string, unknown> | null {
  const isPlain = isAscii(bytes);
  if (!isPlain && !isUtf8(bytes)) return null;
  const isLarge = outline !== null && (bytes.length > PARSED_BYTES_MAX || outline.values > PARSED_VALUES_MAX);
  const value = isLarge
    ? outline.parse()
    : parseOrUndefined(isPlain ? asBuffer(bytes).toString('latin1') : asBuffer(bytes).toString('utf8', byteOrderMarkLength(bytes)));
  // Google sends errors in a list, but never a response.
  const first: unknown = Array.isArray(value) && value.length === 1 ? value[0] : null;
  if (isRecord(first) && findError(first) !== null) return first;
  return isRecord(value) ? value : null;
}

/** Vectors may be 20 MB and are not needed as values: they are checked in place, and replaced with their count. */
function readAroundVectors(bytes: Uint8Array, outline: JsonOutline | null): Record<string, unknown> | null {
  if (outline !== null && bytes.length > PARSED_BYTES_MAX) {
    const value = outline.parse();
    if (!isRecord(value)) return null;
    if (Array.isArray(value['data'])) return { ...value, data: countVectorsIn(asBuffer(bytes)) };
    return Array.isArray(value['embeddings']) ? { ...value, embeddings: value['embeddings'].length } : value;
  }
  const scan = scanObject(bytes);
  if (!scan.ok) return null;
  const value: Record<string, unknown> = {};
  for (const member of scan.members) {
    const isData = member.name === 'data' || member.name === 'embeddings';
    value[member.name] = isData ? countVectors(bytes, member) : parseMember(bytes, member);
  }
  return value;
}

function noFacts(): ResponseFacts {
  return { model: null, usage: null, finishReason: null, hasContent: false };
}

/** `usage`: reported in spite of the failure. */
function refuse(failure: Failure, usage: TokenUsage | null = null): ReadResponse {
  return { ok: false, failure, usage };
}

/** `bytes`: null if they can't be sent to a caller. */
function empty(message: string, bytes: Uint8Array | null): Failure {
  return createFailure('empty', 'answer', message, { body: bytes, contentType: 'application/json' });
}

function readVectors(count: unknown, asked: number, facts: ResponseFacts): Failure | null {
  if (count === INVALID_VECTOR) return empty('the response contains an embedding without numbers', null);
  if (typeof count !== 'number' || count === 0) return empty('the response contains no embedding', null);
  if (count < asked) return createFailure('malformed', 'answer', `the response contains ${count} embeddings for ${asked} inputs`);
  facts.hasContent = true;
  return null;
}

function readChoices(value: unknown, facts: ResponseFacts, bytes: Uint8Array): Failure | null {
  const choices = Array.isArray(value) ? value.filter(isRecord) : [];
  if (choices.length === 0) return empty('the response has no choices', null);
  let hasOutput = false;
  let isAllowedEmpty = false;
  for (const choice of choices) {
    const finish = typeof choice['finish_reason'] === 'string' ? choice['finish_reason'] : null;
    if (isFailedFinish(finish)) return failureOfChoice(choice, finish, bytes);
    if (isRecord(choice['message']) && isCutCall(choice['message'], finish)) return cutCallFailure('answer', 'response');
    facts.finishReason ??= finish;
    isAllowedEmpty ||= mayBeEmpty(finish, facts.usage);
    const hasText = typeof choice['text'] === 'string' && !isBlankText(choice['text']);
    const message = isRecord(choice['message']) ? choice['message'] : null;
    if (message !== null) noteChatMessage(facts, message);
    hasOutput ||= hasText || (message !== null && holdsOutput(message));
    if (hasOutput || (message !== null && holdsContent(message))) facts.hasContent = true;
  }
  if (facts.hasContent && !hasOutput) facts.onlyReasoning = true;
  if (facts.hasContent || isAllowedEmpty) return null;
  // Without a finished choice it can't be sent to a caller.
  return empty('the response has no content', facts.finishReason === null ? null : bytes);
}

/** A limit or a filter may end a response anywhere. */
function isCutCall(message: Record<string, unknown>, finish: string | null): boolean {
  return !isAtLimit(finish) && !isWithheld(finish) && holdsCutCall(message);
}

function failureOfChoice(choice: Record<string, unknown>, finish: string, bytes: Uint8Array): Failure {
  return failureFromErrorValue(
    choice['error'] ?? { message: `the provider ended the response with ${finish}`, code: finish },
    'answer',
    bytes,
  );
}
