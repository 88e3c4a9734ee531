/** Reads values inside a body in place. The bytes have been scanned before: they are valid JSON. */
import { readName } from './json-names.ts';
import { isSpace, scanScalar, scanString } from './json-tokens.ts';
import { readString } from './json-values.ts';

/** The bytes of one value; of a member with its name and colon. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A member of an object. `start` is the opening quote of its name, `valueStart` where its value begins. */
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

const NO_ITEMS: readonly Span[] = [];
const NO_MEMBERS: readonly MemberSpan[] = [];

/** The items of the array at `start`; none if another value stands there. */
export function itemsAt(bytes: Uint8Array, start: number): readonly Span[] {
  if (bytes[start] !== OPEN_BRACKET) return NO_ITEMS;
  const items: Span[] = [];
  let pos = skip(bytes, start + 1);
  while (bytes[pos] !== CLOSE_BRACKET) {
    const end = endOfValue(bytes, pos);
    items.push({ start: pos, end });
    pos = skip(bytes, end);
    if (bytes[pos] === COMMA) pos = skip(bytes, pos + 1);
  }
  return items;
}

/** The members of the object at `start`; none if another value stands there. */
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

/** The string of a member; null: it has another value, or is not there. */
export function textOf(bytes: Uint8Array, members: readonly MemberSpan[], name: string): string | null {
  const member = memberNamed(members, name);
  return member === undefined ? null : textAt(bytes, member.valueStart, member.end);
}

/** The string between `start` and `end`, quotes included; null: another value. */
export function textAt(bytes: Uint8Array, start: number, end: number): string | null {
  return readString(bytes, { start, end });
}

/** Of a repeated member the last counts, as with JSON.parse. */
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
