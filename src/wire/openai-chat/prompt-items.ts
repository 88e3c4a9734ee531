import { isEmptyContainer, kindOf, parseMember } from '../json-values.ts';
import type { BodyMember } from '../request-body.ts';

/** `prompt` and `input` are a string, strings, one prompt as token ids, or several such. */

/** How many prompts or inputs a request holds; 1 for anything but a list of them. */
export function countPrompts(bytes: Uint8Array, member: BodyMember): number {
  if (kindOf(bytes, member) !== 'array' || isEmptyContainer(bytes, member)) return 1;
  const value = parseMember(bytes, member);
  return Array.isArray(value) && typeof value[0] !== 'number' ? value.length : 1;
}

/** How many token ids the value holds, or 0 if it is given as text. */
export function countTokenIds(bytes: Uint8Array, member: BodyMember): number {
  let pos = member.start;
  while (pos < member.end && isOpening(bytes[pos])) pos++;
  const first = bytes[pos] ?? 0;
  if (pos === member.start || first < 0x30 || first > 0x39) return 0;
  let ids = 1;
  for (; pos < member.end; pos++) if (bytes[pos] === 0x2c) ids++;
  return ids;
}

function isOpening(byte: number | undefined): boolean {
  return byte === 0x5b || (byte !== undefined && byte <= 0x20);
}
