/** One request of a message batch: `{"custom_id", "params"}`. */
import type { SlicedWork } from '../../core/sliced-work.ts';
import type { Job } from '../../store/jobs/job-store.ts';
import { kindOf, readString } from '../../wire/json-values.ts';
import { decodeItem, scanLarge } from '../decode-item.ts';

const CUSTOM_ID = /^[a-zA-Z0-9_-]{1,64}$/;

export interface BatchRequest {
  readonly customId: string;
  /** Empty if its parameters are invalid; its result then reports that. */
  readonly model: string;
  readonly body: Uint8Array;
}

/** A fault that rejects the whole batch, to be prefixed with the position of the request: `custom_id: …`. */
export type BatchRequestFault = { readonly fault: string };

/** Parameters are validated when the request runs, as in Anthropic's API: a fault in them fails only this request. */
export async function readBatchRequest(
  job: Pick<Job, 'dialect' | 'path'>,
  bytes: Uint8Array,
  slices: SlicedWork,
): Promise<BatchRequest | BatchRequestFault> {
  const scanning = scanLarge(bytes, slices);
  const scan = scanning instanceof Promise ? await scanning : scanning;
  if (!scan.ok) return { fault: `: it is ${scan.message}` };
  const id = scan.members.findLast(({ name }) => name === 'custom_id');
  const customId = id === undefined ? null : readString(bytes, id);
  if (id === undefined) return { fault: '.custom_id: field required' };
  if (customId === null || !CUSTOM_ID.test(customId)) {
    const got = customId === null ? '' : ` (got ${JSON.stringify(customId.slice(0, 100))})`;
    return { fault: `.custom_id: must be 1 to 64 letters, digits, hyphens and underscores${got}` };
  }
  const params = scan.members.findLast(({ name }) => name === 'params');
  if (params === undefined) return { fault: '.params: field required' };
  if (kindOf(bytes, params) !== 'object') return { fault: '.params: must be an object' };
  const body = bytes.slice(params.start, params.end);
  const decoded = await decodeItem(job, body, slices);
  return { customId, model: decoded.ok ? decoded.facts.model : '', body };
}
