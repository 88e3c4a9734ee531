/**
 * Detects arguments of tool calls that were cut off. Only clear cases count: a text that begins as a JSON object and ends inside it.
 * Missing arguments, a model's mistakes (malformed JSON) and the free text of custom tools are passed on.
 */
import { JsonPrefix } from '../core/json-prefix.ts';
import type { Phase, Failure } from '../core/facts.ts';
import { createFailure } from './failure.ts';

/** In characters. Longer arguments of a non-streaming response are not checked: that would block the event loop. */
const CHECKED_LENGTH_MAX = 256 * 1024;

/** True if the arguments of a complete response were cut off. */
export function isCutArguments(text: string): boolean {
  if (text.length > CHECKED_LENGTH_MAX || !beginsObject(text)) return false;
  try {
    JSON.parse(text);
    return false;
  } catch {
    return JsonPrefix.of(text)?.isComplete === false;
  }
}

/** The arguments of one call, in fragments. */
export class ArgumentsPrefix {
  /** Null: not checked. */
  #json: JsonPrefix | null = new JsonPrefix();
  #hasBegun = false;

  /** True if they have begun an object and not completed it. */
  get isCut(): boolean {
    return this.#hasBegun && this.#json?.isComplete === false;
  }

  read(text: string): void {
    if (this.#json === null || text === '') return;
    if (!this.#hasBegun) {
      if (/^\s*$/.test(text)) return;
      this.#hasBegun = true;
      if (!beginsObject(text)) this.#json = null;
    }
    if (this.#json?.read(text) === false) this.#json = null;
  }

  /** For arguments that are not a text. */
  ignore(): void {
    this.#json = null;
  }
}

export function cutCallFailure(phase: Phase, what: 'response' | 'stream'): Failure {
  return createFailure('cut', phase, `the ${what} ended inside the arguments of a tool call`);
}

function beginsObject(text: string): boolean {
  return /^\s*\{/.test(text);
}
