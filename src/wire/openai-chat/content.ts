import { isBlankText } from '../../core/blank-text.ts';
import { isRecord } from '../json-values.ts';
import { isFilledCall } from './called-tool.ts';

/**
 * Members of a message or delta that say nothing by themselves, though they may hold text. Everything else that holds something is
 * content: providers put reasoning under names of their own (`reasoning_text`, `thinking`, …), and a closed list of those would take
 * a model that thinks for a silent one.
 */
const NOT_CONTENT: ReadonlySet<string> = new Set(['role', 'id', 'index', 'type', 'name', 'object', 'model', 'finish_reason']);

/** Parts of `content` in which a model thinks (Mistral, Anthropic-like servers). */
const REASONING_PARTS: ReadonlySet<unknown> = new Set(['thinking', 'reasoning', 'redacted_thinking', 'reasoning_text', 'summary_text']);

export const CHARS_PER_TOKEN = 4;

/** Deeper inside a list nothing is looked for. */
const NESTING_MAX = 8;

/**
 * True if a message, or a stream's delta, holds something of an answer: text, refusal, reasoning by any name, a tool call, audio, an
 * image. A role alone, white space, empty lists and nulls are none (design 4.5).
 */
export function holdsContent(message: Record<string, unknown>): boolean {
  if (holdsAnswer(message)) return true;
  for (const name in message) if (!NOT_CONTENT.has(name) && isFilledMember(name, message[name])) return true;
  return false;
}

/** Objects hold all sorts of details; only one whose name speaks of reasoning is looked into. */
function isFilledMember(name: string, value: unknown): boolean {
  if (isRecord(value)) return /reason|think|thought/.test(name) && Object.values(value).some((part) => isFilled(part));
  return isFilled(value);
}

/** The same without reasoning, which alone is no answer. */
export function holdsAnswer(message: Record<string, unknown>): boolean {
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

/** True if a stream that has begun goes on: white space counts too. */
export function holdsMore(message: Record<string, unknown>): boolean {
  for (const name in message) {
    const value = message[name];
    if (!NOT_CONTENT.has(name) && ((typeof value === 'string' && value !== '') || isFilledMember(name, value))) return true;
  }
  return holdsAnswer(message);
}

/** Roughly how many tokens the texts in a message or delta are, where its provider does not say. */
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

/** Text that shows, or parts in its place (text, images) of which one is more than reasoning. */
function holdsText(content: unknown): boolean {
  if (typeof content === 'string') return !isBlankText(content);
  return Array.isArray(content) && content.some((part) => !isReasoningPart(part) && isFilledPart(part));
}

function isReasoningPart(part: unknown): boolean {
  return isRecord(part) && REASONING_PARTS.has(part['type']);
}

/** A string that shows, or a list in which something is. */
function isFilled(value: unknown, depth = NESTING_MAX): boolean {
  if (typeof value === 'string') return !isBlankText(value);
  return depth > 0 && Array.isArray(value) && value.some((part) => isFilledPart(part, depth - 1));
}

/** Text parts are what their text is; parts of other kinds are not looked into. */
function isFilledPart(part: unknown, depth = NESTING_MAX): boolean {
  if (!isRecord(part)) return isFilled(part, depth);
  const { text } = part;
  return typeof text === 'string' ? !isBlankText(text) : Object.keys(part).length > 0;
}

function isFilledArray(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}

/** The first delta of audio has an id only. */
function holdsAudio(audio: unknown): boolean {
  return isRecord(audio) && (isFilled(audio['data']) || isFilled(audio['transcript']));
}
