import { isUtf8 } from 'node:buffer';
import type { ResponseFacts, Failure, TokenUsage } from '../../core/facts.ts';
import { isFailedFinish, mayBeEmpty } from '../../core/finish-reason.ts';
import { isRecord } from '../../core/json.ts';
import { asBuffer, byteOrderMarkLength, isBlank } from '../bytes.ts';
import type { ReadResponse } from '../dialect.ts';
import { createFailure, failedFinishFailure, failureFromErrorValue } from '../failure.ts';
import { parseBounded } from '../json-outline.ts';
import type { JsonOutline } from '../json-outline.ts';
import { recordsIn, textIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { findWrappedError } from '../wrapped-error.ts';
import { withStatus } from './error-types.ts';
import { finishClassOf } from './parse-stream.ts';
import { noteMessage } from './opaque.ts';
import { readMessagesUsage } from './usage.ts';

/** Classifies the body of a response with a success status: a message, an error object, empty, or malformed. */
export function readMessageResponse(body: Uint8Array, outline: JsonOutline | null): ReadResponse {
  if (isBlank(body)) return refuse(createFailure('empty', 'answer', 'the response has no body'), null);
  const value = outline === null ? parse(body) : outline.parse();
  const usage = isRecord(value) ? (readMessagesUsage(value['usage'])?.usage ?? null) : null;
  const error = value === undefined ? null : errorIn(value);
  if (error !== null) return refuse(withStatus(failureFromErrorValue(error, 'answer', body)), usage);
  if (!isRecord(value)) return refuse(createFailure('malformed', 'answer', 'the response is not one JSON object'), null);
  const content = recordsIn(value['content']);
  const reason = textOrNull(value['stop_reason']);
  if (!Array.isArray(value['content'])) {
    return refuse(createFailure('empty', 'answer', 'the response has no content', { body: null }), usage);
  }
  const facts: ResponseFacts = {
    model: textOrNull(value['model']),
    usage,
    finishReason: reason === null ? null : finishClassOf(reason),
    hasContent: content.some(blockHasContent),
  };
  if (isFailedFinish(reason)) facts.failedFinish = reason;
  noteMessage(facts, value);
  if (facts.hasContent && content.every((block) => !blockHasContent(block) || isReasoning(block))) facts.onlyReasoning = true;
  if (facts.hasContent || mayBeEmpty(facts.finishReason, usage)) return { ok: true, facts };
  const kept = reason === null ? null : body;
  if (facts.failedFinish !== undefined) return refuse(failedFinishFailure(facts.failedFinish, 'answer', kept), usage);
  return refuse(createFailure('empty', 'answer', 'the response has no content', { body: kept, contentType: 'application/json' }), usage);
}

function refuse(failure: Failure, usage: TokenUsage | null): ReadResponse {
  return { ok: false, failure, usage };
}

function errorIn(value: unknown): unknown {
  if (isRecord(value) && Array.isArray(value['content'])) return value['type'] === 'error' ? value : null;
  if (isRecord(value) && value['type'] === 'error') return value;
  return findWrappedError(value);
}

function isReasoning(block: Fields): boolean {
  return block['type'] === 'thinking' || block['type'] === 'redacted_thinking';
}

function blockHasContent(block: Fields): boolean {
  if (block['type'] === 'text') return textIn(block['text']) !== '';
  return block['type'] !== 'thinking' || textIn(block['thinking']) !== '' || textIn(block['signature']) !== '';
}

function parse(body: Uint8Array): unknown {
  if (!isUtf8(body)) return undefined;
  return parseBounded(asBuffer(body).toString('utf8', byteOrderMarkLength(body)));
}
