/**
 * Choices in a shape that was not asked for: a whole message where a stream has deltas, the text of a completion in a chat answer, a
 * message in a completion. Clients read one member and nothing else, and would take such an answer for an empty one.
 */
import { Buffer } from 'node:buffer';
import { isRecord } from '../json-values.ts';
import { writeJson } from '../write-json.ts';
import { holdsContent, holdsMore } from './content.ts';
import { numbered } from './answer-as-stream.ts';

type Fields = Record<string, unknown>;
export type ShapedOperation = 'chat' | 'completions';

/** A choice of a whole answer in the shape of its operation; the same object where it has that. */
export function shapedChoice(choice: Fields, operation: ShapedOperation): Fields {
  const { message, text, ...rest } = choice;
  if (operation === 'chat') {
    if (typeof text !== 'string' || (isRecord(message) && holdsMore(message))) return choice;
    return { ...rest, message: { role: 'assistant', ...(isRecord(message) && message), content: text } };
  }
  return typeof text === 'string' || !isRecord(message) ? choice : { ...rest, text: textOf(message['content']) };
}

/** Choices beyond so many are not followed. */
const WHOLES_MAX = 1_024;

/** The events of one stream in the shape of its operation. */
export class EventShape {
  readonly #operation: ShapedOperation;
  /** Choices that came as whole messages. */
  readonly #wholes = new Set<number>();

  constructor(operation: ShapedOperation) {
    this.#operation = operation;
  }

  /** The same list where it has that shape; null: a choice has come whole before. `hasContent`: events before this one held some. */
  of(choices: unknown[], hasContent: boolean): unknown[] | null {
    if (!choices.some((choice) => isRecord(choice) && isMisshapen(choice, this.#operation))) return choices;
    const shaped: unknown[] = [];
    for (const [position, choice] of choices.entries()) {
      if (!isRecord(choice) || !isMisshapen(choice, this.#operation)) {
        shaped.push(choice);
        continue;
      }
      const index = indexOf(choice, position);
      const isWhole = holdsWholeMessage(choice);
      if (isWhole && this.#wholes.has(index)) return null;
      // After deltas a whole message says once more what they have said.
      const isSaid = isWhole && hasContent && this.#wholes.size === 0;
      if (isWhole && !isSaid && this.#wholes.size < WHOLES_MAX) this.#wholes.add(index);
      shaped.push(shapedPiece(choice, this.#operation, isSaid));
    }
    return shaped;
  }

  write(chunk: Fields, choices: readonly unknown[]): Uint8Array {
    return Buffer.from(`data: ${writeJson({ ...chunk, object: objectName(this.#operation, true), choices })}\n\n`);
  }
}

export function indexOf(choice: Fields, position: number): number {
  return typeof choice['index'] === 'number' ? choice['index'] : position;
}

/** Whether the choice of an event holds what it says where the clients of its operation don't look. */
function isMisshapen(choice: Fields, operation: ShapedOperation): boolean {
  const { delta, message, text } = choice;
  if (operation === 'completions') return typeof text !== 'string' && (isRecord(delta) || isRecord(message));
  if (typeof text === 'string' && text !== '') return !isRecord(delta) || !holdsMore(delta);
  return !isRecord(delta) && (isRecord(message) || typeof text === 'string');
}

/** True if the choice of an event holds a whole message, which may be said once only. */
function holdsWholeMessage({ delta, message }: Fields): boolean {
  return !isRecord(delta) && isRecord(message) && holdsContent(message);
}

/** The choice of an event in the shape of its operation. `isSaid`: what it holds has been said before in pieces. */
function shapedPiece(choice: Fields, operation: ShapedOperation, isSaid: boolean): Fields {
  const { delta, message, text, ...rest } = choice;
  const said = isRecord(delta) ? delta : isRecord(message) ? message : {};
  if (operation === 'completions') return { ...rest, text: isSaid ? '' : textOf(said['content']) };
  if (isSaid) return { ...rest, delta: {} };
  const words = typeof text === 'string' && text !== '' ? { ...said, content: text } : said;
  return { ...rest, delta: isRecord(message) && !isRecord(delta) ? numbered(words) : words };
}

/** `object` of an answer or event as its operation has it. */
export function objectName(operation: ShapedOperation, isStream: boolean): string {
  if (operation === 'completions') return 'text_completion';
  return isStream ? 'chat.completion.chunk' : 'chat.completion';
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((part: unknown) => (isRecord(part) && typeof part['text'] === 'string' ? part['text'] : '')).join('');
}
