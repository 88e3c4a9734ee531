/** The conversation of a request: roles, function calls and responses, and thought signatures. */
import { asText } from '../request.ts';
import { isRecord } from '../../core/json.ts';
import type { Failure } from '../dialect.ts';
import type { Fields } from '../request.ts';
import type { SealOwner, Seals } from '../seals.ts';
import { camelFields, listField } from './fields.ts';

export interface Content {
  readonly role: string;
  readonly parts: readonly Fields[];
}

/** Parses `contents`, or returns the validation error. */
export function readContents(fields: Fields): readonly Content[] | Failure {
  const given = listField(fields, 'contents');
  if (given.length === 0) return invalid('* GenerateContentRequest.contents: contents is not specified\n');
  const contents: Content[] = [];
  for (const [index, content] of given.entries()) {
    const { role = 'user' } = isRecord(content) ? content : {};
    const parts = isRecord(content) ? listField(content, 'parts').filter(isRecord).map(camelFields) : [];
    if (role !== 'user' && role !== 'model' && role !== 'function') return invalid('Please use a valid role: user, model.');
    if (parts.length === 0) return invalid(`* GenerateContentRequest.contents[${index}].parts: contents.parts must not be empty.\n`);
    const unstructured = faultInStructs(parts, index);
    if (unstructured !== undefined) return unstructured;
    contents.push({ role, parts });
  }
  return faultInCalls(contents) ?? contents;
}

/** Arguments and responses must be objects. */
function faultInStructs(parts: readonly Fields[], index: number): Failure | undefined {
  for (const [at, { functionCall: call, functionResponse: response }] of parts.entries()) {
    const [place, value] = isRecord(call)
      ? ['function_call.args', call['args'] ?? {}]
      : isRecord(response)
        ? ['function_response.response', response['response']]
        : ['', {}];
    if (isRecord(value)) continue;
    return invalid(
      `Invalid value at 'contents[${index}].parts[${at}].${asText(place)}' (type.googleapis.com/google.protobuf.Struct), ${JSON.stringify(value)}`,
    );
  }
  return undefined;
}

const callsOf = ({ parts }: Content) => parts.filter(({ functionCall }) => isRecord(functionCall));
const responsesOf = ({ parts }: Content) => parts.filter(({ functionResponse }) => isRecord(functionResponse));

/** Function calls must follow a user turn, and be followed by as many responses. */
function faultInCalls(contents: readonly Content[]): Failure | undefined {
  for (const [index, content] of contents.entries()) {
    const calls = callsOf(content).length;
    if (calls > 0 && (index === 0 || contents[index - 1]?.role === 'model')) {
      return invalid('Please ensure that function call turn comes immediately after a user turn or after a function response turn.');
    }
    const before = contents[index - 1];
    const open = before === undefined ? 0 : callsOf(before).length;
    const responses = responsesOf(content).length;
    if (responses > 0 && open === 0) {
      return invalid('Please ensure that function response turn comes immediately after a function call turn.');
    }
    if (responses !== open) {
      return invalid(
        'Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.',
      );
    }
  }
  return undefined;
}

/** Values that Google accepts as signatures in conversations started by another model. */
const PLACEHOLDERS = ['context_engineering_is_the_way_to_go', 'skip_thought_signature_validator'];

/**
 * Every signature must be Storm's own for this key and model; if thinking is on, each step of the current turn needs
 * one at its first call.
 */
export function faultInSignatures(contents: readonly Content[], thinks: boolean, seals: Seals, owner: SealOwner): Failure | undefined {
  const turn = contents.findLastIndex(
    ({ role, parts }) => role === 'user' && parts.some(({ functionResponse }) => functionResponse === undefined),
  );
  for (const [index, content] of contents.entries()) {
    for (const { thoughtSignature: signature } of content.parts) {
      if (signature === undefined || PLACEHOLDERS.includes(asText(signature))) continue;
      const verdict = seals.verify('thought', signature, owner, '');
      if (verdict !== 'good') return invalid(verdict === 'broken' ? 'Corrupted thought signature.' : 'Thought signature is not valid.');
    }
    const [call] = callsOf(content);
    if (thinks && index > turn && content.role === 'model' && call !== undefined && call['thoughtSignature'] === undefined) {
      return invalid(unsigned(asText((call['functionCall'] as Fields)['name']), index + 1));
    }
  }
  return undefined;
}

function unsigned(name: string, position: number): string {
  return `Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, and missing thought_signature may lead to degraded model performance. Additional data, function call \`default_api:${name}\` , position ${position}. Please refer to https://ai.google.dev/gemini-api/docs/thought-signatures for more details.`;
}

/** The text of a turn. */
export function textOf({ parts }: Content): string {
  return parts.map(({ text }) => (typeof text === 'string' ? text : '')).join('');
}

/** The last non-empty text of a user turn. */
export function lastUserText(contents: readonly Content[]): string {
  const content = contents.findLast((one) => one.role === 'user' && textOf(one) !== '');
  return (content?.parts ?? []).flatMap(({ text }) => (typeof text === 'string' ? [text] : [])).join('\n');
}

function invalid(message: string): Failure {
  return { reason: 'invalid', message };
}
