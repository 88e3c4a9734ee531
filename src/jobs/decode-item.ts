import type { SlicedWork } from '../core/sliced-work.ts';
import type { Job } from '../store/jobs/job-store.ts';
import { scanObject, type JsonFault, type JsonObjectScan } from '../wire/json-scan.ts';
import { NO_PATH_FACTS } from '../wire/decode-request.ts';
import type { DecodedRequest } from '../wire/dialect.ts';
import { scanInSlices } from '../wire/scan-in-slices.ts';
import { requestKindOf } from './kinds.ts';

/** Larger bodies are scanned in slices; in bytes. */
const AT_ONCE_BYTES_MAX = 256 * 1024;

/** Decodes the body of an item. */
export async function decodeItem(job: Pick<Job, 'dialect' | 'path'>, bytes: Uint8Array, slices: SlicedWork): Promise<DecodedRequest> {
  const kind = requestKindOf(job);
  if (kind === null) return { ok: false, message: `batches for ${job.path} are not available`, param: null };
  const scan = scanLarge(bytes, slices);
  return kind.dialect.request.decode(kind.operation, bytes, scan instanceof Promise ? await scan : scan, NO_PATH_FACTS);
}

/** Returns a promise only for large bodies. */
export function scanLarge(bytes: Uint8Array, slices: SlicedWork): JsonObjectScan | JsonFault | Promise<JsonObjectScan | JsonFault> {
  return bytes.length <= AT_ONCE_BYTES_MAX ? scanObject(bytes) : scanInSlices(bytes, slices);
}
