/**
 * Most events of a chat stream differ from the previous one in a few characters: the text of one delta. Parsing each as JSON would be most
 * of the cost of relaying a stream. A template holds the bytes of such an event around its text; an event with the same bytes around
 * another text has the same meaning, and need not be parsed.
 *
 * Templates are exact. The text is accepted only if it is the inside of one valid JSON string, so the event parses to the same value except
 * for that string. That the hole is this string is verified when the template is made: it is replaced with a marker, the event is parsed, and
 * the marker must be at the expected place.
 * OpenAI's `obfuscation` (random padding) is a second hole.
 */
import { isRecord } from '../../core/json.ts';
import type { SecretScan } from '../../core/secrets/secret-scan.ts';

const DELTA_TEXTS = ['content', 'reasoning_content', 'reasoning', 'reasoning_text', 'thinking'] as const;
/** Members that hold fragments: texts of a delta, the `text` of a choice. Arguments of tool calls are parsed, to detect their end. */
const HOLES = [...DELTA_TEXTS, 'text'] as const;
const PADDING = 'obfuscation';
const MARKER = 'breakwater marks this';
const PADDING_MARKER = 'breakwater marks that';
/** In characters. Longer events are rare and not worth the memory of a template. */
const BLOCK_LENGTH_MAX = 8_192;

export class ContentTemplate {
  /** The text before, between and after the holes; the last one includes the event's blank line. */
  readonly #literals: readonly string[];
  /** The index of the hole that holds the content. */
  readonly #contentHole: number;
  readonly #first: string;
  readonly #last: string;
  /** The number of events in the last matched run, and the characters of their content. */
  events = 0;
  chars = 0;
  /** A hole of that run contains a secret, or a part of one. */
  holdsSecret = false;
  /** The characters of content in the last matched event. */
  #contentLength = 0;
  /** The end of one event and the beginning of the next, compared together. */
  readonly #boundary: string;

  constructor(literals: readonly string[], contentHole: number) {
    this.#literals = literals;
    this.#contentHole = contentHole;
    this.#first = literals[0] as string;
    this.#last = literals.at(-1) as string;
    this.#boundary = this.#last + this.#first;
  }

  /**
   * The end of the run of events of this form that begins at `start`, each with content and none longer than `sizeMax`; `start` itself if
   * there is none. `secrets`: searched for in the holes; null: none are.
   */
  match(text: string, start: number, sizeMax: number, secrets: SecretScan | null = null): number {
    if (!standsAt(text, start, this.#first)) return start;
    let begin = start;
    this.holdsSecret = false;
    this.events = 0;
    this.chars = 0;
    for (;;) {
      const last = this.#endOfHoles(text, begin + this.#first.length, secrets);
      const end = last + this.#last.length;
      if (last < 0 || end - begin > sizeMax) return begin;
      const isRun = standsAt(text, last, this.#boundary);
      if (!isRun && !standsAt(text, last, this.#last)) return begin;
      this.events++;
      this.chars += this.#contentLength;
      if (!isRun) return end;
      begin = end;
    }
  }

  /** The end of the last hole, or -1; the first begins at `start`. */
  #endOfHoles(text: string, start: number, secrets: SecretScan | null): number {
    let end = start;
    for (let hole = 0; ; hole++) {
      const from = end;
      end = endOfString(text, from);
      if (end < 0 || (end === from && hole === this.#contentHole)) return -1;
      if (hole === this.#contentHole) this.#contentLength = end - from;
      if (secrets?.touchesString(text, from - 1, end) === true) this.holdsSecret = true;
      if (hole === this.#literals.length - 2) return end;
      const literal = this.#literals[hole + 1] as string;
      if (!standsAt(text, end, literal)) return -1;
      end += literal.length;
    }
  }
}

/** `startsWith`, four times faster: a slice is a view, and its comparison is one `memcmp`. */
function standsAt(text: string, at: number, literal: string): boolean {
  return text.slice(at, at + literal.length) === literal;
}

/** The position of the quote that ends the JSON string whose inside begins at `start`; -1 if the string is invalid or incomplete. */
function endOfString(text: string, start: number): number {
  for (let pos = start; pos < text.length; pos++) {
    const code = text.charCodeAt(pos);
    if (code === 0x22) return pos;
    if (code < 0x20) return -1;
    if (code !== 0x5c) continue;
    const length = escapeLength(text, pos);
    if (length === 0) return -1;
    pos += length - 1;
  }
  return -1;
}

/** The length of the escape that begins with the backslash at `pos`; 0 if it is invalid. */
function escapeLength(text: string, pos: number): number {
  const code = text[pos + 1];
  if (code === undefined) return 0;
  if (code !== 'u') return '"\\/bfnrt'.includes(code) ? 2 : 0;
  return /^[\da-fA-F]{4}$/.test(text.slice(pos + 2, pos + 6)) ? 6 : 0;
}

/**
 * The template of an event, or null if the event is not suitable. `block` is the complete event as Latin-1, one character per byte. The
 * caller has parsed it and found one unfinished choice and nothing else of significance.
 */
export function createContentTemplate(block: string): ContentTemplate | null {
  if (block.length > BLOCK_LENGTH_MAX || !/^data: ?[^\r\n]+(?:\n\n|\r\n\r\n)$/.test(block)) return null;
  const padding = findString(block, PADDING);
  for (const name of HOLES) {
    const content = findString(block, name);
    if (content === null || content.start === content.end) continue;
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

/** The last member with that name and a string value, at any depth. */
function findString(block: string, name: string): Hole | null {
  const key = `"${name}"`;
  const at = block.lastIndexOf(key);
  if (at < 0) return null;
  const opening = /[ \t]*:[ \t]*"/y;
  opening.lastIndex = at + key.length;
  if (!opening.test(block)) return null;
  const start = opening.lastIndex;
  const end = endOfString(block, start);
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
  return isRecord(delta) && DELTA_TEXTS.some((name) => delta[name] === MARKER);
}
