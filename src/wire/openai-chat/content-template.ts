/**
 * Most events of a chat stream differ from the one before in a few characters: the text of one delta. Parsing each as JSON
 * would be most of what a stream costs us. A template holds the bytes of such an event around its text; an event that has
 * the same bytes around another text is known to mean the same, without parsing.
 *
 * It is exact. The text is accepted only if it is the inside of one JSON string (no quote, backslash or control character),
 * so such an event parses to the same value but for that string. That the hole really is the string in question is not
 * guessed: at the making a marker is put in its place, parsed, and looked for. OpenAI's `obfuscation` (random padding) is a
 * second hole.
 */
import { isRecord } from '../json-values.ts';

const HOLES = ['content', 'reasoning_content', 'reasoning', 'text'] as const;
const PADDING = 'obfuscation';
const MARKER = 'breakwater marks this';
const PADDING_MARKER = 'breakwater marks that';

export class ContentTemplate {
  /** What stands before, between and after the holes; the last with the event's blank line. */
  readonly #literals: readonly string[];
  /** The hole that holds the content. */
  readonly #contentHole: number;

  constructor(literals: readonly string[], contentHole: number) {
    this.#literals = literals;
    this.#contentHole = contentHole;
  }

  /** The end of the event of this form, with content in it, that begins at `start`; -1 if there is none. */
  match(text: string, start: number): number {
    const first = this.#literals[0] as string;
    if (!standsAt(text, start, first)) return -1;
    let pos = start + first.length;
    for (let hole = 0; hole < this.#literals.length - 1; hole++) {
      const end = endOfPlainString(text, pos);
      if (end < 0 || (end === pos && hole === this.#contentHole)) return -1;
      const literal = this.#literals[hole + 1] as string;
      if (!standsAt(text, end, literal)) return -1;
      pos = end + literal.length;
    }
    return pos;
  }
}

/** `startsWith`, four times faster: a slice is a view, and its comparison is one `memcmp`. */
function standsAt(text: string, at: number, literal: string): boolean {
  return text.slice(at, at + literal.length) === literal;
}

/** Where the quote stands that ends a string without escapes; -1 if there is an escape, a control character, or no end. */
function endOfPlainString(text: string, start: number): number {
  for (let pos = start; pos < text.length; pos++) {
    const code = text.charCodeAt(pos);
    if (code === 0x22) return pos;
    if (code < 0x20 || code === 0x5c) return -1;
  }
  return -1;
}

/**
 * The template of an event, or null if it isn't of the plain kind. `block` is the whole event as Latin-1, one character
 * for a byte. The caller has read it and found in it content of one unfinished choice and nothing else of note.
 */
export function createContentTemplate(block: string): ContentTemplate | null {
  const shape = /^data: ?([^\r\n]+)(?:\n\n|\r\n\r\n)$/.exec(block);
  if (shape === null) return null;
  for (const name of HOLES) {
    const content = findString(block, name);
    if (content === null) continue;
    const padding = findString(block, PADDING);
    const template =
      padding === null ? cut(block, [content]) : cut(block, padding.start > content.start ? [content, padding] : [padding, content]);
    if (template !== null) return template;
  }
  return null;
}

interface Hole {
  readonly start: number;
  readonly end: number;
  readonly marker: string;
  readonly isContent: boolean;
}

/** The last member of that name with a plain string, wherever it is nested. */
function findString(block: string, name: string): Hole | null {
  const key = `"${name}"`;
  const at = block.lastIndexOf(key);
  if (at < 0) return null;
  const opening = /[ \t]*:[ \t]*"/y;
  opening.lastIndex = at + key.length;
  if (!opening.test(block)) return null;
  const start = opening.lastIndex;
  const end = endOfPlainString(block, start);
  const isContent = name !== PADDING;
  return end < 0 ? null : { start, end, marker: isContent ? MARKER : PADDING_MARKER, isContent };
}

function cut(block: string, holes: readonly Hole[]): ContentTemplate | null {
  if (block.includes(MARKER) || block.includes(PADDING_MARKER)) return null;
  const literals: string[] = [];
  let marked = '';
  let from = 0;
  for (const hole of holes) {
    if (hole.start < from) return null;
    literals.push(block.slice(from, hole.start));
    marked += block.slice(from, hole.start) + hole.marker;
    from = hole.end;
  }
  literals.push(block.slice(from));
  marked += block.slice(from);
  return isMarkedEvent(marked, holes.length > 1)
    ? new ContentTemplate(
        literals,
        holes.findIndex((hole) => hole.isContent),
      )
    : null;
}

function isMarkedEvent(block: string, hasPadding: boolean): boolean {
  const value: unknown = JSON.parse(block.slice('data:'.length));
  if (!isRecord(value) || !Array.isArray(value['choices'])) return false;
  if (hasPadding && value[PADDING] !== PADDING_MARKER) return false;
  const choice: unknown = value['choices'][0];
  if (!isRecord(choice)) return false;
  if (choice['text'] === MARKER) return true;
  const { delta } = choice;
  return isRecord(delta) && HOLES.some((name) => delta[name] === MARKER);
}
