/** The events of a chat stream as values, for those that must be read and written anew: a broken answer that is continued. */
import { Buffer } from 'node:buffer';
import { commasIn, parseBounded } from '../json-outline.ts';
import { isRecord } from '../json-values.ts';
import { SseFramer } from '../sse/sse-framer.ts';
import { writeJson } from '../write-json.ts';
import { holdsAnswer, holdsContent, holdsToolCall } from './content.ts';

/** One event: a chunk, or the terminator. Comments and events without words are left out. */
export type ChatEvent = { readonly chunk: Record<string, unknown> } | 'terminator';

/** What a chunk says of the answer. */
export interface ChunkContent {
  /** Text of the first choice; empty: none. */
  readonly text: string;
  /**
   * - `none`: nothing beside the text
   * - `reasoning`: thoughts, which belong to the attempt and not to the answer
   * - `tool`: a tool call begins or goes on
   * - `other`: a refusal, audio, images, a second choice, parts in place of text
   */
  readonly beside: 'none' | 'reasoning' | 'tool' | 'other';
  readonly finishReason: string | null;
  /** No choice: the usage chunk, or something that a provider adds. */
  readonly isBare: boolean;
}

/** Reads whole events out of pieces that have passed a stream reader: what can't be read was refused there. */
export class ChatEventReader {
  readonly #framer = new SseFramer(Infinity);

  read(pieces: readonly Uint8Array[]): ChatEvent[] {
    const events: ChatEvent[] = [];
    for (const piece of pieces) {
      this.#framer.push(piece);
      while (this.#framer.next()) {
        const data = this.#framer.readData();
        const event = data === null ? null : eventOf(data);
        if (event !== null) events.push(event);
      }
    }
    return events;
  }
}

/** A larger event of more values is read by its outline. */
const PARSED_CHARS_MAX = 256 * 1024;
const VALUES_MAX = 100_000;

function eventOf(data: string): ChatEvent | null {
  if (data.startsWith('[DONE]')) return 'terminator';
  if (data.trim() === '') return null;
  const isLarge = data.length > PARSED_CHARS_MAX && commasIn(data, VALUES_MAX) >= VALUES_MAX;
  const value: unknown = isLarge ? parseBounded(data) : JSON.parse(data);
  return isRecord(value) ? { chunk: value } : null;
}

const BARE: ChunkContent = { text: '', beside: 'none', finishReason: null, isBare: true };

export function contentOf(chunk: Record<string, unknown>): ChunkContent {
  const { choices } = chunk;
  if (!Array.isArray(choices) || choices.length === 0) return BARE;
  const choice: unknown = choices[0];
  if (!isRecord(choice)) return BARE;
  const finish = choice['finish_reason'];
  const finishReason = typeof finish === 'string' && finish !== '' ? finish : null;
  const delta = choice['delta'];
  if (choices.length > 1 || (choice['index'] ?? 0) !== 0) return { text: '', beside: 'other', finishReason, isBare: false };
  if (!isRecord(delta)) return { text: '', beside: choice['message'] === undefined ? 'none' : 'other', finishReason, isBare: false };
  const { content, ...rest } = delta;
  const text = typeof content === 'string' ? content : '';
  const isOddText = content !== undefined && content !== null && typeof content !== 'string';
  const beside = holdsToolCall(delta) ? 'tool' : isOddText || holdsAnswer(rest) ? 'other' : isThought(delta, text) ? 'reasoning' : 'none';
  return { text, beside, finishReason, isBare: false };
}

function isThought(delta: Record<string, unknown>, text: string): boolean {
  return text === '' && holdsContent(delta);
}

/** What all chunks of one stream have in common, as the first of them had it. */
export interface ChunkHead {
  readonly id: unknown;
  readonly created: unknown;
  readonly model: unknown;
}

export function headOf(chunk: Record<string, unknown>): ChunkHead {
  return { id: chunk['id'], created: chunk['created'], model: chunk['model'] };
}

/**
 * A chunk of another stream as one of this: under this one's head, without its role, and without the first `dropped`
 * characters of its text. Log probabilities of a text that was cut would be those of another.
 */
export function encodeChunk(chunk: Record<string, unknown>, head: ChunkHead, dropped = 0): Uint8Array {
  return Buffer.from(`data: ${writeJson({ ...chunk, ...defined(head), ...choicesOf(chunk, dropped) })}\n\n`);
}

function choicesOf(chunk: Record<string, unknown>, dropped: number): object {
  const { choices } = chunk;
  if (!Array.isArray(choices) || choices.length === 0) return {};
  return { choices: choices.map((choice: unknown) => (isRecord(choice) ? { ...choice, ...deltaOf(choice, dropped) } : choice)) };
}

function deltaOf(choice: Record<string, unknown>, dropped: number): object {
  if (!isRecord(choice['delta'])) return {};
  const { role: _role, ...delta } = choice['delta'];
  const { content } = delta;
  if (dropped === 0 || typeof content !== 'string') return { delta };
  return { delta: { ...delta, content: content.slice(dropped) }, ...('logprobs' in choice ? { logprobs: null } : {}) };
}

function defined(head: ChunkHead): object {
  return Object.fromEntries(Object.entries(head).filter(([, value]) => value !== undefined));
}
