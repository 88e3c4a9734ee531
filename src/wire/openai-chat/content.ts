import { isRecord } from '../json-values.ts';

/**
 * True if a message, or a stream's delta, holds something of an answer: text, refusal, reasoning, a tool call, audio, an
 * image. A role alone, empty strings and nulls are none (design 4.5).
 */
export function holdsContent(message: Record<string, unknown>): boolean {
  return (
    holdsAnswer(message) ||
    isFilled(message['reasoning_content']) ||
    isFilled(message['reasoning']) ||
    isFilledArray(message['reasoning_details'])
  );
}

/** The same without thoughts: those alone are no answer to anybody. */
export function holdsAnswer(message: Record<string, unknown>): boolean {
  return (
    isFilled(message['content']) ||
    isFilled(message['refusal']) ||
    holdsToolCall(message) ||
    holdsAudio(message['audio']) ||
    isFilledArray(message['images'])
  );
}

/** True if a message or delta begins or continues a tool call. */
export function holdsToolCall(message: Record<string, unknown>): boolean {
  return isFilledArray(message['tool_calls']) || isRecord(message['function_call']);
}

/** Text, or the parts that some providers send in its place. */
function isFilled(value: unknown): boolean {
  return (typeof value === 'string' && value !== '') || isFilledArray(value);
}

function isFilledArray(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}

/** The first delta of audio has an id only. */
function holdsAudio(audio: unknown): boolean {
  return isRecord(audio) && (isFilled(audio['data']) || isFilled(audio['transcript']));
}
