import { Buffer } from 'node:buffer';
import { isRecord } from '../../core/json.ts';
import type { AnswerChoice } from '../../core/quality.ts';
import { asBuffer, byteOrderMarkLength } from '../bytes.ts';
import { JsonOutline } from '../json-outline.ts';
import { writeJson } from '../write-json.ts';
import { isFilledCall } from './called-tool.ts';

type Fields = Record<string, unknown>;

/** The choices of a valid JSON response, for quality checks. */
export function readChoices(response: Uint8Array, outline: JsonOutline | null = null): AnswerChoice[] {
  const value = response.byteLength > PARSED_BYTES_MAX ? valueOf(outline ?? outlineOf(response)) : parse(response);
  return choicesOf(value).map(readChoice);
}

/** In bytes. A larger response is checked by its outline, with texts cut after a megabyte. */
const PARSED_BYTES_MAX = 256 * 1024;

function outlineOf(response: Uint8Array): JsonOutline {
  const outline = new JsonOutline();
  outline.push(response);
  return outline;
}

function valueOf(outline: JsonOutline): Fields {
  const value = outline.parse();
  return isRecord(value) ? value : {};
}

/** The same response with other texts: `texts[i]` for choice i; null: unchanged. */
export function withTexts(response: Uint8Array, texts: readonly (string | null)[]): Uint8Array {
  const value = parse(response);
  for (const [i, choice] of choicesOf(value).entries()) {
    const text = texts[i] ?? null;
    if (text === null) continue;
    if (isRecord(choice['message'])) choice['message']['content'] = text;
    else choice['text'] = text;
  }
  return Buffer.from(writeJson(value));
}

/** Parses the response completely. */
function parse(response: Uint8Array): Fields {
  return JSON.parse(asBuffer(response).toString('utf8', byteOrderMarkLength(response))) as Fields;
}

function choicesOf({ choices }: Fields): Fields[] {
  return Array.isArray(choices) ? choices.filter(isRecord) : [];
}

function readChoice(choice: Fields): AnswerChoice {
  const message = isRecord(choice['message']) ? choice['message'] : {};
  const calls: unknown[] = Array.isArray(message['tool_calls']) ? message['tool_calls'] : [];
  const callArguments = [...calls.map((call) => (isRecord(call) ? call['function'] : null)), message['function_call']]
    .map((call) => (isRecord(call) && typeof call['arguments'] === 'string' ? call['arguments'] : ''))
    .join('');
  const text = textOf(message['content']);
  return {
    text: text !== '' || typeof choice['text'] !== 'string' ? text : choice['text'],
    refusal: textOf(message['refusal']) || refusalPart(message['content']),
    reasoning: reasoningOf(message),
    callArguments,
    callsTool: calls.length > 0 || isFilledCall(message['function_call']),
    hasMedia: isFilledAudio(message['audio']) || (Array.isArray(message['images']) && message['images'].length > 0),
    finishReason: typeof choice['finish_reason'] === 'string' ? choice['finish_reason'] : null,
  };
}

/** Some hosts send the member with empty strings only. */
function isFilledAudio(audio: unknown): boolean {
  return isRecord(audio) && !['data', 'transcript', 'id'].every((name) => audio[name] === '');
}

/** The first member with text whose name indicates reasoning; names differ between hosts. */
function reasoningOf(message: Fields): string {
  for (const name of Object.keys(message)) {
    const text = /reason|think|thought/.test(name) ? textOf(message[name]) : '';
    if (text !== '') return text;
  }
  return '';
}

/** A string, or the list of parts that some providers send instead. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return partsOf(value)
    .map((part) => (typeof part['text'] === 'string' ? part['text'] : ''))
    .join('');
}

function refusalPart(content: unknown): string {
  return partsOf(content)
    .map((part) => (part['type'] === 'refusal' && typeof part['refusal'] === 'string' ? part['refusal'] : ''))
    .join('');
}

function partsOf(value: unknown): Fields[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}
