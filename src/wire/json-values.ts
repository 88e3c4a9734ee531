import { asBuffer } from './bytes.ts';
import type { BodyMember } from './request-body.ts';

/** Readers for member values that a scan has validated. */

/** The member's value, parsed. */
export function parseMember(bytes: Uint8Array, member: BodyMember): unknown {
  return JSON.parse(asBuffer(bytes).toString('utf8', member.start, member.end));
}

/** The member's string; null: not a string. */
export function readString(bytes: Uint8Array, member: Pick<BodyMember, 'start' | 'end'>): string | null {
  if (bytes[member.start] !== 0x22) return null;
  const text = asBuffer(bytes).toString('utf8', member.start + 1, member.end - 1);
  return text.includes('\\') ? (JSON.parse(`"${text}"`) as string) : text;
}

/** True, false, or null for any other value. */
export function readBoolean(bytes: Uint8Array, member: BodyMember): boolean | null {
  // The scan has verified the rest of a value that begins with t or f.
  if (bytes[member.start] === 0x74) return true;
  return bytes[member.start] === 0x66 ? false : null;
}

/** True for the value `null`. */
export function isNull(bytes: Uint8Array, member: BodyMember): boolean {
  return bytes[member.start] === 0x6e;
}

/** The member's non-negative integer, or null for any other value. */
export function readCount(bytes: Uint8Array, member: BodyMember): number | null {
  let count = 0;
  for (let i = member.start; i < member.end; i++) {
    const digit = (bytes[i] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return readUnusualCount(bytes, member);
    count = count * 10 + digit;
  }
  return Number.isSafeInteger(count) ? count : null;
}

/** `1e3`, `10.0`. */
function readUnusualCount(bytes: Uint8Array, member: BodyMember): number | null {
  const value: unknown = parseMember(bytes, member);
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null;
}

export type JsonKind = 'object' | 'array' | 'other';

export function kindOf(bytes: Uint8Array, member: BodyMember): JsonKind {
  if (bytes[member.start] === 0x7b) return 'object';
  return bytes[member.start] === 0x5b ? 'array' : 'other';
}
