/** A kept response as the store holds it: one line of JSON that tells of it, and its body as it is. */
import type { WholeResponse } from './whole-response.ts';

const VERSION = 1;
const LINE_FEED = 0x0a;

/** What stands before the body. `fingerprint`: of the request behind an idempotency key; null: it was kept for whoever asks for the same. */
export function encodeCachedHead(whole: WholeResponse, fingerprint: string | null): Uint8Array {
  const { status, headers, isStream, tellsUsage, usage, refusal, madeAtMs } = whole;
  return Buffer.from(`${JSON.stringify({ v: VERSION, status, headers, isStream, tellsUsage, usage, refusal, madeAtMs, fingerprint })}\n`);
}

/** Null: another version wrote it, or it was damaged. */
export function decodeCached(bytes: Uint8Array): { readonly whole: WholeResponse; readonly fingerprint: string | null } | null {
  const end = bytes.indexOf(LINE_FEED);
  if (end < 0) return null;
  try {
    const metadata: unknown = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, end).toString());
    if (!isMetadata(metadata)) return null;
    const { v: _, fingerprint, ...rest } = metadata;
    return { whole: { ...rest, body: bytes.subarray(end + 1) }, fingerprint };
  } catch {
    return null;
  }
}

type CachedMetadata = Omit<WholeResponse, 'body'> & { readonly v: number; readonly fingerprint: string | null };

function isMetadata(value: unknown): value is CachedMetadata {
  const metadata = value as Partial<CachedMetadata> | null;
  return (
    typeof metadata === 'object' &&
    metadata !== null &&
    metadata.v === VERSION &&
    typeof metadata.status === 'number' &&
    typeof metadata.madeAtMs === 'number' &&
    typeof metadata.isStream === 'boolean' &&
    Array.isArray(metadata.headers) &&
    metadata.headers.every((header) => typeof header === 'string')
  );
}
