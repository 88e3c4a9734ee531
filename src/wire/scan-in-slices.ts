import type { SlicedWork } from '../core/sliced-work.ts';
import { ObjectScan, type JsonFault, type JsonObjectScan } from './json-scan.ts';

/** Bytes read in one step: half a millisecond if every byte is a token. */
const SLICE_BYTES = 64 * 1024;

/** Like `scanObject`, in slices between which the event loop runs other work. */
export async function scanInSlices(bytes: Uint8Array, slices: SlicedWork): Promise<JsonObjectScan | JsonFault> {
  const scan = new ObjectScan();
  scan.begin(bytes);
  let limit = 0;
  await slices.run(() => scan.run((limit += SLICE_BYTES)));
  return scan.take();
}
