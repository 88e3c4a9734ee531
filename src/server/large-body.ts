/** Joins and decodes large bodies in slices, so that the event loop is not blocked. */
import type { SlicedWork } from '../core/sliced-work.ts';
import type { Operation } from '../core/request.ts';
import { decodeRequest, NO_PATH_FACTS, withoutByteOrderMark } from '../wire/decode-request.ts';
import type { DecodedRequest, Dialect, PathFacts } from '../wire/dialect.ts';
import { scanObject } from '../wire/json-scan.ts';
import type { JsonFault, JsonObjectScan } from '../wire/json-scan.ts';
import { withModel } from '../wire/path-model.ts';
import { scanInSlices } from '../wire/scan-in-slices.ts';
import { JOINED_BYTES_MAX } from './body-reader.ts';
import type { ReceivedBody } from './exchange.ts';

/** Bytes copied per step. */
const COPY_BYTES = 512 * 1024;

/** The body as one buffer. */
export async function joinBody(body: ReceivedBody, slices: SlicedWork): Promise<Uint8Array> {
  if (body instanceof Uint8Array) return body;
  const pieces = [...body];
  const bytes = Buffer.allocUnsafeSlow(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  let next = 0;
  let from = 0;
  await slices.run(() => {
    for (let left = COPY_BYTES; left > 0 && next < pieces.length;) {
      const piece = pieces[next]!.subarray(from, from + left);
      bytes.set(piece, at);
      at += piece.length;
      left -= piece.length;
      from += piece.length;
      if (from < pieces[next]!.length) continue;
      pieces[next] = NO_BYTES; // frees its memory
      next++;
      from = 0;
    }
    return next === pieces.length;
  });
  return bytes;
}

const NO_BYTES = new Uint8Array(0);

/** Decodes a body, in slices if it is large. */
export function decodeInSlices(
  dialect: Dialect,
  operation: Operation,
  bytes: Uint8Array,
  slices: SlicedWork,
  path = NO_PATH_FACTS,
): DecodedRequest | Promise<DecodedRequest> {
  const isLarge = bytes.length > JOINED_BYTES_MAX;
  return isLarge ? decodeLarge(dialect, operation, bytes, slices, path) : decodeRequest(dialect, operation, bytes, path);
}

/** Scans the members of a body, in slices if it is large. */
export function scanBody(bytes: Uint8Array, slices: SlicedWork): JsonObjectScan | JsonFault | Promise<JsonObjectScan | JsonFault> {
  return bytes.length > JOINED_BYTES_MAX ? scanInSlices(bytes, slices) : scanObject(bytes);
}

/** The body with the model of its path, if it is a JSON object; any other body as it is. */
export async function withPathModel(bytes: Uint8Array, model: string, slices: SlicedWork): Promise<Uint8Array> {
  const scan = await scanBody(bytes, slices);
  if (!scan.ok) return bytes;
  const pieces = withModel(bytes, scan.members, model);
  return bytes.length > JOINED_BYTES_MAX ? joinBody(pieces, slices) : Buffer.concat(pieces);
}

async function decodeLarge(
  dialect: Dialect,
  operation: Operation,
  input: Uint8Array,
  slices: SlicedWork,
  path: PathFacts,
): Promise<DecodedRequest> {
  const bytes = withoutByteOrderMark(input);
  return dialect.request.decode(operation, bytes, await scanInSlices(bytes, slices), path);
}
