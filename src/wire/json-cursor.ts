/** Reads values inside a body in place. The bytes have been scanned, so they are valid JSON. */
import { readName } from './json-names.ts';
import { isSpace, scanScalar, scanString } from './json-tokens.ts';
import { readString } from './json-values.ts';

/** The byte range of one value, or of a member including its name and colon. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A member of an object. `start` is the opening quote of its name, `valueStart` the first byte of its value. */
export interface MemberSpan extends Span {
  readonly name: string;
  readonly valueStart: number;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** An item of an array, with its members if it is an object. */
export interface ObjectSpan extends Span {
  readonly members: readonly MemberSpan[];
}

const NO_MEMBERS: readonly MemberSpan[] = [];

/** The items of the array at `start`; empty for any other value. */
export function itemsAt(bytes: Uint8Array, start: number): readonly Span[] {
  const items: Span[] = [];
  eachItem(bytes, start, (pos) => {
    const end = endOfValue(bytes, pos);
    items.push({ start: pos, end });
    return end;
  });
  return items;
}

/** The same, each with its members: both in one pass. */
export function objectsAt(bytes: Uint8Array, start: number): readonly ObjectSpan[] {
  const items: ObjectSpan[] = [];
  eachItem(bytes, start, (pos) => {
    const isObject = bytes[pos] === OPEN_BRACE;
    const members = isObject ? membersAt(bytes, pos) : NO_MEMBERS;
    const end = isObject ? skip(bytes, members.at(-1)?.end ?? pos + 1) + 1 : endOfValue(bytes, pos);
    items.push({ start: pos, end, members });
    return end;
  });
  return items;
}

/** `read` takes the start of an item and returns its end. */
function eachItem(bytes: Uint8Array, start: number, read: (start: number) => number): void {
  if (bytes[start] !== OPEN_BRACKET) return;
  let pos = skip(bytes, start + 1);
  while (bytes[pos] !== CLOSE_BRACKET) {
    pos = skip(bytes, read(pos));
    if (bytes[pos] === COMMA) pos = skip(bytes, pos + 1);
  }
}

/** The members of the object at `start`; empty for any other value. */
export function membersAt(bytes: Uint8Array, start: number): readonly MemberSpan[] {
  if (bytes[start] !== OPEN_BRACE) return NO_MEMBERS;
  const members: MemberSpan[] = [];
  let pos = skip(bytes, start + 1);
  while (bytes[pos] !== CLOSE_BRACE) {
    const nameEnd = scanString(bytes, pos + 1, bytes.length);
    const colon = skip(bytes, nameEnd);
    const valueStart = skip(bytes, bytes[colon] === COLON ? colon + 1 : colon);
    const end = endOfValue(bytes, valueStart);
    members.push({ name: readName(bytes, pos + 1, nameEnd - 1), start: pos, valueStart, end });
    pos = skip(bytes, end);
    if (bytes[pos] === COMMA) pos = skip(bytes, pos + 1);
  }
  return members;
}

/** The string value of a member; null: it is absent, or not a string. */
export function textOf(bytes: Uint8Array, members: readonly MemberSpan[], name: string): string | null {
  const member = memberNamed(members, name);
  return member === undefined ? null : textAt(bytes, member.valueStart, member.end);
}

/** The string between `start` and `end`, quotes included; null: not a string. */
export function textAt(bytes: Uint8Array, start: number, end: number): string | null {
  return readString(bytes, { start, end });
}

/** The last one, if the name is repeated, as with JSON.parse. */
export function memberNamed(members: readonly MemberSpan[], name: string): MemberSpan | undefined {
  return members.findLast((member) => member.name === name);
}

function endOfValue(bytes: Uint8Array, start: number): number {
  const first = bytes[start];
  if (first === QUOTE) return scanString(bytes, start + 1, bytes.length);
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) return scanScalar(bytes, start);
  let depth = 1;
  let pos = start + 1;
  while (depth > 0) {
    const byte = bytes[pos];
    if (byte === QUOTE) {
      pos = scanString(bytes, pos + 1, bytes.length);
      continue;
    }
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++;
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth--;
    pos++;
  }
  return pos;
}

function skip(bytes: Uint8Array, start: number): number {
  let pos = start;
  while (isSpace(bytes[pos] as number)) pos++;
  return pos;
}
