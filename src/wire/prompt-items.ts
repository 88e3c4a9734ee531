import { kindOf } from './json-values.ts';
import type { BodyMember } from './request-body.ts';

/** `prompt` and `input` are a string, strings, one prompt as token ids, or several such. */

/** How many prompts or inputs a request holds; 1 for anything but a list of them. */
export function countPrompts(bytes: Uint8Array, member: BodyMember): number {
  if (kindOf(bytes, member) !== 'array' || member.items === 0) return 1;
  const first = bytes[member.firstItem];
  return isDigit(first) || first === MINUS ? 1 : member.items;
}

/** How many token ids the value holds, or 0 if it is given as text. */
export function countTokenIds(bytes: Uint8Array, member: BodyMember): number {
  if (kindOf(bytes, member) !== 'array' || member.items === 0) return 0;
  let pos = member.firstItem;
  // Of a list of lists the first inner one tells; no writer puts more white space before its first number.
  if (bytes[pos] === OPEN_BRACKET) {
    pos++;
    while (pos - member.firstItem < SPACE_MAX && (bytes[pos] ?? 0) <= 0x20) pos++;
  }
  return isDigit(bytes[pos]) ? member.scalars : 0;
}

const OPEN_BRACKET = 0x5b;
const MINUS = 0x2d;
const SPACE_MAX = 100;

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}
