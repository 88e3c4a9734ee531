import { isUtf8 } from 'node:buffer';
import type { ResponseFacts, Failure, TokenUsage } from '../../core/facts.ts';
import { isRecord } from '../../core/json.ts';
import { asBuffer, byteOrderMarkLength, isBlank } from '../bytes.ts';
import type { ReadResponse } from '../dialect.ts';
import { createFailure, failedFinishFailure, failureFromErrorValue } from '../failure.ts';
import { parseBounded } from '../json-outline.ts';
import type { JsonOutline } from '../json-outline.ts';
import { recordsIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { findWrappedError } from '../wrapped-error.ts';
import { noteChunk } from './opaque.ts';
import { failedFinishOf, finishOf, isBlocked, isCall, isThought, partsOf, partHasContent } from './outcome.ts';
import { readGeminiUsage } from './usage.ts';

/** Classifies the body of a response with a success status: a response or list of chunks, an error object, empty, or malformed. */
export function readGeminiResponse(body: Uint8Array, outline: JsonOutline | null): ReadResponse {
  if (isBlank(body)) return refuse(createFailure('empty', 'answer', 'the response has no body'), null);
  const value = outline === null ? parse(body) : outline.parse();
  const chunks = Array.isArray(value) ? recordsIn(value) : isRecord(value) ? [value] : [];
  const usage = readGeminiUsage(chunks.at(-1)?.['usageMetadata']);
  const error =
    chunks.map((chunk) => findWrappedError(chunk)).find((found) => found !== null) ??
    (chunks.length === 0 ? findWrappedError(value) : null);
  if (error !== null) return refuse(failureFromErrorValue({ error }, 'answer', body), usage);
  if (chunks.length === 0) return refuse(createFailure('malformed', 'answer', 'the response is not one JSON object'), null);
  const facts = factsOf(chunks, usage);
  if (facts.hasContent || facts.finishReason === 'content_filter') return { ok: true, facts };
  const kept = facts.finishReason === null ? null : body;
  if (facts.failedFinish !== undefined) return refuse(failedFinishFailure(facts.failedFinish, 'answer', kept), usage);
  return refuse(createFailure('empty', 'answer', 'the response has no content', { body: kept, contentType: 'application/json' }), usage);
}

function factsOf(chunks: readonly Fields[], usage: TokenUsage | null): ResponseFacts {
  const candidates = chunks.flatMap((chunk) => recordsIn(chunk['candidates']));
  const content = candidates.flatMap(partsOf).filter(partHasContent);
  const hasCall = content.some(isCall);
  const finish = candidates.map((candidate) => finishOf(candidate, hasCall)).find((reason) => reason !== null) ?? null;
  const facts: ResponseFacts = {
    model: chunks.map((chunk) => textOrNull(chunk['modelVersion'])).find((model) => model !== null) ?? null,
    usage,
    finishReason: chunks.some(isBlocked) ? 'content_filter' : finish,
    hasContent: content.length > 0,
  };
  const failed = candidates.map(failedFinishOf).find((reason) => reason !== null);
  if (failed !== undefined) facts.failedFinish = failed;
  for (const chunk of chunks) noteChunk(facts, chunk);
  if (content.length > 0 && content.every(isThought)) facts.onlyReasoning = true;
  return facts;
}

function refuse(failure: Failure, usage: TokenUsage | null): ReadResponse {
  return { ok: false, failure, usage };
}

function parse(body: Uint8Array): unknown {
  if (!isUtf8(body)) return undefined;
  return parseBounded(asBuffer(body).toString('utf8', byteOrderMarkLength(body)));
}
