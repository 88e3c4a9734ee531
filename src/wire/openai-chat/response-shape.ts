/**
 * Fixes choices in a shape that was not requested: a complete message where a stream has deltas, the text of a completion in a chat
 * response, a message in a completion. Clients read one member only, and would take such a response for an empty one.
 */
import { Buffer } from 'node:buffer';
import { isRecord } from '../../core/json.ts';
import { writeJson } from '../write-json.ts';
import { holdsContent, holdsMore } from './content.ts';
import { withCallIndexes } from './completion-to-stream.ts';

type Fields = Record<string, unknown>;
export type ShapedOperation = 'chat' | 'completions';

/** A choice of a complete response in the shape of its operation; the same object if it has that shape. */
export function shapedChoice(choice: Fields, operation: ShapedOperation): Fields {
  const { message, text } = choice;
  // The usual case copies nothing.
  if (operation === 'chat' ? typeof text !== 'string' : typeof text === 'string' || !isRecord(message)) return choice;
  const { message: _message, text: _text, ...rest } = choice;
  if (operation === 'chat') {
    if (isRecord(message) && holdsMore(message)) return choice;
    return { ...rest, message: { role: 'assistant', ...(isRecord(message) && message), content: text } };
  }
  return { ...rest, text: textOf((message as Fields)['content']) };
}

/** Choices tracked. */
const WHOLES_MAX = 1_024;

/** The events of one stream in the shape of its operation. */
export class EventShape {
  readonly #operation: ShapedOperation;
  /** Choices that arrived as complete messages; null: none. */
  #wholes: Set<number> | null = null;

  constructor(operation: ShapedOperation) {
    this.#operation = operation;
  }

  /** The same list if it has that shape; null: a complete message was repeated. `hasContent`: earlier events had content. */
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
      if (isWhole && this.#wholes?.has(index) === true) return null;
      // A complete message after deltas repeats their content.
      const isRepeated = isWhole && hasContent && this.#wholes === null;
      if (isWhole && !isRepeated) {
        this.#wholes ??= new Set();
        if (this.#wholes.size < WHOLES_MAX) this.#wholes.add(index);
      }
      shaped.push(shapedPiece(choice, this.#operation, isRepeated));
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

/** True if the content of an event's choice is where clients of the operation do not read it. */
function isMisshapen(choice: Fields, operation: ShapedOperation): boolean {
  const { delta, message, text } = choice;
  if (operation === 'completions') return typeof text !== 'string' && (isRecord(delta) || isRecord(message));
  if (typeof text === 'string' && text !== '') return !isRecord(delta) || !holdsMore(delta);
  return !isRecord(delta) && (isRecord(message) || typeof text === 'string');
}

/** True if the choice of an event holds a complete message, which may occur only once. */
function holdsWholeMessage({ delta, message }: Fields): boolean {
  return !isRecord(delta) && isRecord(message) && holdsContent(message);
}

/** The choice of an event in the shape of its operation. `isRepeated`: deltas have already delivered its content. */
function shapedPiece(choice: Fields, operation: ShapedOperation, isRepeated: boolean): Fields {
  const { delta, message, text, ...rest } = choice;
  const fields = isRecord(delta) ? delta : isRecord(message) ? message : {};
  if (operation === 'completions') return { ...rest, text: isRepeated ? '' : textOf(fields['content']) };
  if (isRepeated) return { ...rest, delta: {} };
  const withText = typeof text === 'string' && text !== '' ? { ...fields, content: text } : fields;
  return { ...rest, delta: isRecord(message) && !isRecord(delta) ? withCallIndexes(withText) : withText };
}

/** The `object` of a response or event of the operation. */
export function objectName(operation: ShapedOperation, isStream: boolean): string {
  if (operation === 'completions') return 'text_completion';
  return isStream ? 'chat.completion.chunk' : 'chat.completion';
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((part: unknown) => (isRecord(part) && typeof part['text'] === 'string' ? part['text'] : '')).join('');
}
