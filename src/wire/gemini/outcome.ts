/** What a chunk of a generateContent response contains. */
import { isFailedFinish } from '../../core/finish-reason.ts';
import { isRecord } from '../../core/json.ts';
import type { FinishClass } from '../model.ts';
import { recordsIn, textIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { finishClassOf } from './parse-response.ts';

export function partsOf(candidate: Fields): readonly Fields[] {
  const { content } = candidate;
  return isRecord(content) ? recordsIn(content['parts']) : [];
}

/** A signature alone is not content. */
export function partHasContent(part: Fields): boolean {
  if (typeof part['text'] === 'string') return part['text'] !== '';
  return Object.keys(part).some((name) => name !== 'thoughtSignature' && name !== 'thought');
}

export function isThought(part: Fields): boolean {
  return part['thought'] === true;
}

export function isCall(part: Fields): boolean {
  return isRecord(part['functionCall']);
}

/** Null while the candidate is unfinished. `hasCall`: it has a call in this or an earlier chunk. */
export function finishOf(candidate: Fields, hasCall: boolean): FinishClass | null {
  const reason = textOrNull(candidate['finishReason']);
  return reason === null ? null : finishClassOf(reason, hasCall);
}

/** The finish reasons of a response that the model, or the server, could not complete. */
const FAILED: ReadonlySet<string> = new Set([
  'OTHER', 'MALFORMED_FUNCTION_CALL', 'MALFORMED_RESPONSE', 'UNEXPECTED_TOOL_CALL', 'TOO_MANY_TOOL_CALLS', 'MISSING_THOUGHT_SIGNATURE',
  'NO_IMAGE', 'IMAGE_OTHER',
]); // prettier-ignore

/** The candidate's finish reason if it denotes a failed generation; null: it does not. */
export function failedFinishOf(candidate: Fields): string | null {
  const reason = textOrNull(candidate['finishReason']);
  return reason !== null && (FAILED.has(reason) || isFailedFinish(reason)) ? reason : null;
}

/** The prompt was blocked; no candidate follows. */
export function isBlocked(chunk: Fields): boolean {
  const feedback = chunk['promptFeedback'];
  return isRecord(feedback) && textIn(feedback['blockReason']) !== '' && recordsIn(chunk['candidates']).length === 0;
}
