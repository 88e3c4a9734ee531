import { isBlankText } from '../../core/blank-text.ts';
import { isRecord } from '../../core/json.ts';
import { CHARS_PER_TOKEN } from '../usage.ts';
import { isFilledCall } from './called-tool.ts';

/**
 * Members of a message or delta that are not content, although they may hold text. Every other non-empty member is content: providers send
 * reasoning under names of their own (`reasoning_text`, `thinking`, …), and with a closed list of those a model that is reasoning would
 * look silent.
 */
const NOT_CONTENT: ReadonlySet<string> = new Set(['role', 'id', 'index', 'type', 'name', 'object', 'model', 'finish_reason']);

/** Types of `content` parts that hold reasoning (Mistral, Anthropic-like servers). */
const REASONING_PARTS: ReadonlySet<unknown> = new Set(['thinking', 'reasoning', 'redacted_thinking', 'reasoning_text', 'summary_text']);

/** How deep lists are searched. */
const NESTING_MAX = 8;

/**
 * True if a message, or a stream's delta, holds content: text, refusal, reasoning under any name, a tool call, audio, an image. A role
 * alone, white space, empty lists and nulls are not content.
 */
export function holdsContent(message: Record<string, unknown>): boolean {
  if (holdsOutput(message)) return true;
  for (const name in message) if (!NOT_CONTENT.has(name) && isFilledMember(name, message[name])) return true;
  return false;
}

/** Objects hold all kinds of details; only one whose name indicates reasoning is searched. */
function isFilledMember(name: string, value: unknown): boolean {
  if (isRecord(value)) return /reason|think|thought/.test(name) && Object.values(value).some((part) => isFilled(part));
  return isFilled(value);
}

/** The same without reasoning, which alone is not a response. */
export function holdsOutput(message: Record<string, unknown>): boolean {
  return (
    holdsText(message['content']) ||
    isFilled(message['refusal']) ||
    holdsToolCall(message) ||
    holdsAudio(message['audio']) ||
    isFilledArray(message['images'])
  );
}

/** True if a message or delta begins or continues a tool call. */
export function holdsToolCall(message: Record<string, unknown>): boolean {
  return isFilledArray(message['tool_calls']) || isFilledCall(message['function_call']);
}

/** True if a message continues a stream that already has content: here white space counts too. */
export function holdsMore(message: Record<string, unknown>): boolean {
  for (const name in message) {
    const value = message[name];
    if (!NOT_CONTENT.has(name) && ((typeof value === 'string' && value !== '') || isFilledMember(name, value))) return true;
  }
  return holdsOutput(message);
}

/** Estimated tokens of the texts in a message or delta, for providers that report no usage. */
export function estimatedTokens(message: unknown): number {
  return Math.ceil(textLength(message, NESTING_MAX) / CHARS_PER_TOKEN);
}

function textLength(value: unknown, depth: number): number {
  if (typeof value === 'string') return value.length;
  if (depth === 0 || typeof value !== 'object' || value === null) return 0;
  let length = 0;
  for (const [name, member] of Object.entries(value))
    if (!NOT_CONTENT.has(name) && name !== 'logprobs') length += textLength(member, depth - 1);
  return length;
}

/** Visible text, or a list of parts (text, images) of which at least one is not reasoning. */
function holdsText(content: unknown): boolean {
  if (typeof content === 'string') return !isBlankText(content);
  return Array.isArray(content) && content.some((part) => !isReasoningPart(part) && isFilledPart(part));
}

function isReasoningPart(part: unknown): boolean {
  return isRecord(part) && REASONING_PARTS.has(part['type']);
}

/** A string with visible text, or a list that is not empty. */
function isFilled(value: unknown, depth = NESTING_MAX): boolean {
  if (typeof value === 'string') return !isBlankText(value);
  return depth > 0 && Array.isArray(value) && value.some((part) => isFilledPart(part, depth - 1));
}

/** Text parts count by their text; parts of other types are not searched. */
function isFilledPart(part: unknown, depth = NESTING_MAX): boolean {
  if (!isRecord(part)) return isFilled(part, depth);
  const { text } = part;
  return typeof text === 'string' ? !isBlankText(text) : Object.keys(part).length > 0;
}

function isFilledArray(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}

/** The first delta of audio has only an id. */
function holdsAudio(audio: unknown): boolean {
  return isRecord(audio) && (isFilled(audio['data']) || isFilled(audio['transcript']));
}
