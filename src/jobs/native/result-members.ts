/** Members of one JSON object, read in place: bodies keep their bytes. */
import { scanObject } from '../../wire/json-scan.ts';
import { readString } from '../../wire/json-values.ts';

/** The bytes of an object; null: there is no such member, or it is no object. */
export function memberBytes(json: Uint8Array, name: string): Uint8Array | null {
  const found = find(json, name);
  return found === null || json[found.start] !== 0x7b ? null : json.subarray(found.start, found.end);
}

/** A string, or a number as it is written; null: there is no such member. */
export function memberText(json: Uint8Array, name: string): string | null {
  const found = find(json, name);
  if (found === null) return null;
  const text = readString(json, found);
  if (text !== null) return text;
  const written = Buffer.from(json.subarray(found.start, found.end)).toString('latin1');
  return /^[\d.]+$/.test(written) ? written : null;
}

function find(json: Uint8Array, name: string): { readonly start: number; readonly end: number } | null {
  const scan = scanObject(json);
  return scan.ok ? (scan.members.findLast((member) => member.name === name) ?? null) : null;
}
