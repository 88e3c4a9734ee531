import { isUtf8 } from 'node:buffer';
import type { ResponseFacts, Failure, TokenUsage } from '../../core/facts.ts';
import { isRecord } from '../../core/json.ts';
import { asBuffer, byteOrderMarkLength, isBlank } from '../bytes.ts';
import { cutCallFailure } from '../cut-arguments.ts';
import type { ReadResponse } from '../dialect.ts';
import { createFailure, failureFromErrorValue } from '../failure.ts';
import { parseBounded } from '../json-outline.ts';
import type { JsonOutline } from '../json-outline.ts';
import { recordsIn, textOrNull } from '../loose-values.ts';
import { readUsage } from '../usage.ts';
import { findWrappedError } from '../wrapped-error.ts';
import { noteResponse } from './opaque.ts';
import { errorOf, finishOf, holdsCutCall, isReasoning, itemHasContent } from './outcome.ts';

/** Classifies the body of a response with a success status: a response, a failed one, an error object, empty, or malformed. */
export function readResponsesResponse(body: Uint8Array, outline: JsonOutline | null): ReadResponse {
  if (isBlank(body)) return refuse(createFailure('empty', 'answer', 'the response has no body'), null);
  const value = outline === null ? parse(body) : outline.parse();
  const usage = isRecord(value) ? readUsage(value['usage'], value['service_tier']) : null;
  const error = value === undefined ? null : isRecord(value) && Array.isArray(value['output']) ? errorOf(value) : findWrappedError(value);
  if (error !== null) return refuse(failureFromErrorValue({ error }, 'answer', body), usage);
  if (!isRecord(value)) return refuse(createFailure('malformed', 'answer', 'the response is not one JSON object'), null);
  if (!Array.isArray(value['output'])) return refuse(createFailure('empty', 'answer', 'the response has no output', { body: null }), usage);
  const output = recordsIn(value['output']);
  const finishReason = finishOf(value);
  if (holdsCutCall(output, finishReason)) return refuse(cutCallFailure('answer', 'response'), usage);
  const facts: ResponseFacts = {
    model: textOrNull(value['model']),
    usage,
    finishReason,
    // A background response has no content yet.
    hasContent: finishReason === null || output.some(itemHasContent),
  };
  if (facts.hasContent && output.length > 0 && output.every((item) => isReasoning(item) || !itemHasContent(item)))
    facts.onlyReasoning = true;
  noteResponse(facts, value);
  if (facts.hasContent || finishReason === 'content_filter') return { ok: true, facts };
  return refuse(createFailure('empty', 'answer', 'the response has no content', { body, contentType: 'application/json' }), usage);
}

function refuse(failure: Failure, usage: TokenUsage | null): ReadResponse {
  return { ok: false, failure, usage };
}

function parse(body: Uint8Array): unknown {
  if (!isUtf8(body)) return undefined;
  return parseBounded(asBuffer(body).toString('utf8', byteOrderMarkLength(body)));
}
