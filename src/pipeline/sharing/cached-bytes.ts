/** A kept answer as the store holds it: one line of JSON that tells of it, and its body as it is. */
import type { WholeAnswer } from './whole-response.ts';

const VERSION = 1;
const LINE_FEED = 0x0a;

/** What stands before the body. `fingerprint`: of the request behind an idempotency key; null: it was kept for whoever asks for the same. */
export function encodeKeptHead(whole: WholeAnswer, fingerprint: string | null): Uint8Array {
  const { status, headers, isStream, tellsUsage, usage, refusal, madeAtMs } = whole;
  return Buffer.from(`${JSON.stringify({ v: VERSION, status, headers, isStream, tellsUsage, usage, refusal, madeAtMs, fingerprint })}\n`);
}

/** Null: another version wrote it, or it was damaged. */
export function decodeKept(bytes: Uint8Array): { readonly whole: WholeAnswer; readonly fingerprint: string | null } | null {
  const end = bytes.indexOf(LINE_FEED);
  if (end < 0) return null;
  try {
    const told: unknown = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, end).toString());
    if (!isTold(told)) return null;
    const { v: _, fingerprint, ...rest } = told;
    return { whole: { ...rest, body: bytes.subarray(end + 1) }, fingerprint };
  } catch {
    return null;
  }
}

type Told = Omit<WholeAnswer, 'body'> & { readonly v: number; readonly fingerprint: string | null };

function isTold(value: unknown): value is Told {
  const told = value as Partial<Told> | null;
  return (
    typeof told === 'object' &&
    told !== null &&
    told.v === VERSION &&
    typeof told.status === 'number' &&
    typeof told.madeAtMs === 'number' &&
    typeof told.isStream === 'boolean' &&
    Array.isArray(told.headers) &&
    told.headers.every((header) => typeof header === 'string')
  );
}
