import { kindOf } from './json-values.ts';
import type { BodyMember } from './request-body.ts';

/** `prompt` and `input` are a string, a list of strings, a prompt as token ids, or a list of those. */

/** The number of prompts or inputs of a request; 1 for anything but a list of them. */
export function countPrompts(bytes: Uint8Array, member: BodyMember): number {
  if (kindOf(bytes, member) !== 'array' || member.items === 0) return 1;
  const first = bytes[member.firstItem];
  return isDigit(first) || first === MINUS ? 1 : member.items;
}

/** The number of token ids in the value; 0 if it is text. */
export function countTokenIds(bytes: Uint8Array, member: BodyMember): number {
  if (kindOf(bytes, member) !== 'array' || member.items === 0) return 0;
  let pos = member.firstItem;
  // The first inner list is representative. No client writes more white space before its first number.
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
