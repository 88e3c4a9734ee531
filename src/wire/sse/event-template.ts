/**
 * Most events of a stream differ from the previous one in a few characters: the text of one delta. Parsing each as JSON would be most
 * of the cost of relaying a stream. A template holds the bytes of such an event around its text; an event with the same bytes around
 * another text has the same meaning, and need not be parsed.
 *
 * Templates are exact. The text is accepted only if it is the inside of one valid JSON string, so the event parses to the same value except
 * for that string. That the hole is this string is verified when the template is made: it is replaced with a marker, the event is parsed, and
 * the marker must be at the expected place. Other holes are verified in the same way: random padding in a member of its own, the number of
 * the event, and spaces before the last brace.
 */
import { isRecord } from '../../core/json.ts';
import type { SecretScan } from '../../core/secrets/secret-scan.ts';
import type { Fields } from '../loose-values.ts';

const MARKER = 'breakwater marks this';
const PADDING_MARKER = 'breakwater marks that';
const COUNTER_MARKER = 8_642_097;
const MARKERS = [MARKER, PADDING_MARKER, String(COUNTER_MARKER)];
/** In digits; shorter than any secret that is searched for. */
const COUNTER_LENGTH_MAX = 7;
/** In characters. Longer events are rare and not worth the memory of a template. */
const BLOCK_LENGTH_MAX = 8_192;

/** An event of one line of data, with its name. */
const EVENT = /^(?:event: ?[\w.]+\r?\n)?data: ?([^\r\n]+)(?:\n\n|\r\n\r\n)$/;
const COUNTER_VALUE = /[ \t]*:[ \t]*(?=(0|[1-9]\d*)[ \t]*[,}])/y;
const STRING_VALUE = /[ \t]*:[ \t]*"/y;

/** What varies in the events of a dialect. */
export interface EventForm {
  /** Members that hold fragments of content, searched for in this order. */
  readonly contents: readonly string[];
  /** The member that holds random padding; null: none. */
  readonly padding: string | null;
  /** The member that numbers the events; null: none. */
  readonly counter: string | null;
  /** The number of spaces before the last brace varies. */
  readonly hasSpaces: boolean;
  /** True if `content` is the content of the event, and the event has no other significance. */
  holdsOnly(event: Fields, content: string): boolean;
}

type Kind = 'content' | 'padding' | 'counter' | 'spaces';

export class EventTemplate {
  /** The text before, between and after the holes; the last one includes the event's blank line. */
  readonly #literals: readonly string[];
  readonly #kinds: readonly Kind[];
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

  constructor(literals: readonly string[], kinds: readonly Kind[]) {
    this.#literals = literals;
    this.#kinds = kinds;
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
    const kinds = this.#kinds;
    let end = start;
    for (let hole = 0; ; hole++) {
      const from = end;
      const kind = kinds[hole] as Kind;
      if (kind === 'counter') end = endOfCounter(text, from);
      else if (kind === 'spaces') end = endOfSpaces(text, from);
      else {
        end = endOfString(text, from);
        if (kind === 'content') {
          if (end === from) return -1;
          this.#contentLength = end - from;
        }
        if (end >= 0 && secrets?.touchesString(text, from - 1, end) === true) this.holdsSecret = true;
      }
      if (end < 0 || hole === kinds.length - 1) return end;
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

/** The end of the whole number that begins at `start`; -1: there is none, it is too long, or it begins with a zero. */
function endOfCounter(text: string, start: number): number {
  let end = start;
  while (isDigit(text.charCodeAt(end))) end++;
  const length = end - start;
  return length === 0 || length > COUNTER_LENGTH_MAX || (length > 1 && text.charCodeAt(start) === 0x30) ? -1 : end;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

function endOfSpaces(text: string, start: number): number {
  let end = start;
  while (text.charCodeAt(end) === 0x20) end++;
  return end;
}

interface Hole {
  readonly kind: Kind;
  readonly start: number;
  readonly end: number;
  /** What replaces it when the template is verified. */
  readonly marker: string;
}

/**
 * The template of an event, or null if the event is not suitable. `block` is the complete event as Latin-1, one character per byte. The
 * caller has parsed it.
 */
export function createEventTemplate(block: string, form: EventForm): EventTemplate | null {
  if (block.length > BLOCK_LENGTH_MAX || MARKERS.some((marker) => block.includes(marker))) return null;
  const data = EVENT.exec(block)?.[1];
  if (data === undefined) return null;
  const others = [
    form.padding === null ? null : findString(block, form.padding, 'padding'),
    form.counter === null ? null : findCounter(block, form.counter),
    form.hasSpaces ? findSpaces(block) : null,
  ].filter((hole) => hole !== null);
  for (const name of form.contents) {
    const content = findString(block, name, 'content');
    if (content === null || content.start === content.end) continue;
    const template = cut(block, [content, ...others], form);
    if (template !== null) return template;
  }
  return null;
}

/** Where the value of the last member with that name begins, at any depth; -1: there is none of this form. */
function valueOf(block: string, name: string, value: RegExp): number {
  const key = `"${name}"`;
  const at = block.lastIndexOf(key);
  if (at < 0) return -1;
  value.lastIndex = at + key.length;
  return value.test(block) ? value.lastIndex : -1;
}

function findString(block: string, name: string, kind: 'content' | 'padding'): Hole | null {
  const start = valueOf(block, name, STRING_VALUE);
  const end = start < 0 ? -1 : endOfString(block, start);
  return end < 0 ? null : { kind, start, end, marker: kind === 'content' ? MARKER : PADDING_MARKER };
}

function findCounter(block: string, name: string): Hole | null {
  const start = valueOf(block, name, COUNTER_VALUE);
  const end = start < 0 ? -1 : endOfCounter(block, start);
  return end < 0 ? null : { kind: 'counter', start, end, marker: String(COUNTER_MARKER) };
}

/** The spaces before the last brace, which are outside of every string. */
function findSpaces(block: string): Hole | null {
  const end = block.trimEnd().length - 1;
  if (block[end] !== '}') return null;
  let start = end;
  while (block[start - 1] === ' ') start--;
  return { kind: 'spaces', start, end, marker: '' };
}

function cut(block: string, holes: Hole[], form: EventForm): EventTemplate | null {
  holes.sort((a, b) => a.start - b.start);
  const literals: string[] = [];
  let marked = '';
  let from = 0;
  for (const hole of holes) {
    if (hole.start < from) return null;
    const literal = block.slice(from, hole.start);
    literals.push(literal);
    marked += literal + hole.marker;
    from = hole.end;
  }
  literals.push(block.slice(from));
  const kinds = holes.map(({ kind }) => kind);
  return isMarked(marked + block.slice(from), kinds, form) ? new EventTemplate(literals, kinds) : null;
}

/** True if every marker is at the expected place. */
function isMarked(block: string, kinds: readonly Kind[], form: EventForm): boolean {
  const value: unknown = JSON.parse(EVENT.exec(block)?.[1] ?? 'null');
  if (!isRecord(value)) return false;
  if (kinds.includes('padding') && value[form.padding as string] !== PADDING_MARKER) return false;
  if (kinds.includes('counter') && value[form.counter as string] !== COUNTER_MARKER) return false;
  return form.holdsOnly(value, MARKER);
}
