/** The stored form of a cached response: one line of JSON metadata, then the body. */
import type { WholeResponse } from './whole-response.ts';

const VERSION = 1;
const LINE_FEED = 0x0a;

/** The bytes before the body. `fingerprint`: of the request behind an idempotency key; null: cached under its cache key. */
export function encodeCachedHead(whole: WholeResponse, fingerprint: string | null): Uint8Array {
  const { status, headers, isStream, includesUsage, usage, refusal, madeAtMs } = whole;
  return Buffer.from(
    `${JSON.stringify({ v: VERSION, status, headers, isStream, includesUsage, usage, refusal, madeAtMs, fingerprint })}\n`,
  );
}

/** Null: written by another version, or damaged. */
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
