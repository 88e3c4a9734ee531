import type { AnswerFacts, Failure } from '../../core/facts.ts';
import type { Operation } from '../../core/request.ts';
import { createFailure, failureFromErrorValue } from '../failure.ts';
import { scanObject } from '../json-scan.ts';
import { isEmptyContainer, isRecord, kindOf, parseMember } from '../json-values.ts';
import type { BodyMember } from '../request-body.ts';
import { readUsage } from '../usage.ts';
import { findError, isFailedFinish } from './answer-error.ts';
import { holdsContent } from './content.ts';

export type ReadAnswer = { readonly ok: true; readonly facts: AnswerFacts } | { readonly ok: false; readonly failure: Failure };

/** The members that matter. `data`, the vectors of an embedding, is looked at in place: it may be 20 MB. */
const READ = new Set(['choices', 'usage', 'model', 'error', 'object', 'message', 'type', 'param', 'code', 'status', 'x_groq']);

/**
 * Judges a whole body that came with a success status (design 4.2): an answer, an error in disguise, nothing, or no JSON.
 * A byte order mark and white space around the JSON are tolerated (DeepSeek sends empty lines while it queues).
 * An `empty` failure keeps the body: should all else fail, it is the best there is.
 */
export function readAnswer(operation: Operation, bytes: Uint8Array): ReadAnswer {
  if (operation === 'bytes') return { ok: true, facts: { ...noFacts(), hasContent: bytes.length > 0 } };
  const scan = scanObject(bytes);
  if (!scan.ok) return refuse(createFailure('malformed', 'answer', `the answer is ${scan.message}`));
  const value: Record<string, unknown> = {};
  for (const member of scan.members) if (READ.has(member.name)) value[member.name] = parseMember(bytes, member);
  const data = scan.members.findLast((member) => member.name === 'data');
  const error = findError(data === undefined ? value : { ...value, data });
  if (error !== null) return refuse(failureFromErrorValue(error, 'answer', bytes));
  const facts = noFacts();
  facts.model = typeof value['model'] === 'string' && value['model'] !== '' ? value['model'] : null;
  const groq = value['x_groq'];
  facts.usage = readUsage(value['usage']) ?? (isRecord(groq) ? readUsage(groq['usage']) : null);
  const failure = operation === 'embeddings' ? readVectors(bytes, data, facts) : readChoices(bytes, value['choices'], facts);
  return failure === null ? { ok: true, facts } : refuse(failure);
}

function noFacts(): AnswerFacts {
  return { model: null, usage: null, finishReason: null, hasContent: false, toolCallOpen: false };
}

function refuse(failure: Failure): ReadAnswer {
  return { ok: false, failure };
}

function empty(message: string, bytes: Uint8Array): Failure {
  return createFailure('empty', 'answer', message, { body: bytes, contentType: 'application/json' });
}

function readVectors(bytes: Uint8Array, data: BodyMember | undefined, facts: AnswerFacts): Failure | null {
  if (data === undefined || kindOf(bytes, data) !== 'array' || isEmptyContainer(bytes, data))
    return empty('the answer holds no embedding', bytes);
  facts.hasContent = true;
  return null;
}

function readChoices(bytes: Uint8Array, value: unknown, facts: AnswerFacts): Failure | null {
  const choices = Array.isArray(value) ? value.filter(isRecord) : [];
  if (choices.length === 0) return empty('the answer has no choices', bytes);
  let filtered = false;
  for (const choice of choices) {
    const finish = typeof choice['finish_reason'] === 'string' ? choice['finish_reason'] : null;
    if (isFailedFinish(finish)) return failureOfChoice(choice, finish, bytes);
    facts.finishReason ??= finish;
    filtered ||= finish === 'content_filter';
    const hasText = typeof choice['text'] === 'string' && choice['text'] !== '';
    if (hasText || (isRecord(choice['message']) && holdsContent(choice['message']))) facts.hasContent = true;
  }
  // A filtered answer is the provider's last word, and empty by nature.
  return facts.hasContent || filtered ? null : empty('the answer has no content', bytes);
}

function failureOfChoice(choice: Record<string, unknown>, finish: string, bytes: Uint8Array): Failure {
  return failureFromErrorValue(
    choice['error'] ?? { message: `the provider ended the answer with ${finish}`, code: finish },
    'answer',
    bytes,
  );
}
