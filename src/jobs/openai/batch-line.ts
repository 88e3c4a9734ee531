/** One line of a batch file: `{"custom_id", "method", "url", "body"}`. */
import type { SlicedWork } from '../../core/sliced-work.ts';
import type { Job } from '../../store/jobs/job-store.ts';
import type { BodyMember } from '../../wire/request-body.ts';
import { kindOf, readString } from '../../wire/json-values.ts';
import { decodeItem, scanLarge } from '../decode-item.ts';

export interface LineError {
  readonly code: string;
  readonly message: string;
  readonly param: string | null;
  readonly line: number | null;
}

export interface BatchLine {
  readonly customId: string;
  readonly model: string;
  readonly body: Uint8Array;
  /** The number of vectors it requests. */
  readonly inputs: number;
}

const CUSTOM_ID_LENGTH_MAX = 512;

/** The request on a line, or its fault. */
export async function readBatchLine(
  job: Pick<Job, 'dialect' | 'path'>,
  bytes: Uint8Array,
  slices: SlicedWork,
): Promise<BatchLine | Omit<LineError, 'line'>> {
  const scanning = scanLarge(bytes, slices);
  const scan = scanning instanceof Promise ? await scanning : scanning;
  if (!scan.ok) return fault('invalid_json_line', `the line is ${scan.message}`);
  const member = (name: string): BodyMember | undefined => scan.members.findLast((one) => one.name === name);
  const text = (name: string): string | null => {
    const found = member(name);
    return found === undefined ? null : readString(bytes, found);
  };
  if (member('custom_id') === undefined) return fault('missing_required_parameter', 'custom_id is missing', 'custom_id');
  const customId = text('custom_id');
  if (customId === null || customId === '' || customId.length > CUSTOM_ID_LENGTH_MAX)
    return fault('invalid_custom_id', `custom_id must be a string of 1 to ${CUSTOM_ID_LENGTH_MAX} characters`, 'custom_id');
  const method = text('method');
  if (method !== 'POST') return fault('invalid_method', `method must be POST${got(method)}`, 'method');
  const url = text('url');
  if (url !== `/v1${job.path}`) return fault('invalid_url', `url must be the endpoint of the batch, /v1${job.path}${got(url)}`, 'url');
  const place = member('body');
  if (place === undefined) return fault('missing_required_parameter', 'body is missing', 'body');
  if (kindOf(bytes, place) !== 'object') return fault('invalid_request', 'body must be an object', 'body');
  // A copy: the line may be a view of a much larger buffer.
  const body = new Uint8Array(bytes.subarray(place.start, place.end));
  const decoded = await decodeItem(job, body, slices);
  if (!decoded.ok) return fault('invalid_request', decoded.message, decoded.param === null ? 'body' : `body.${decoded.param}`);
  const { model, stream, choices } = decoded.facts;
  if (stream) return fault('invalid_request', 'requests of a batch cannot be streamed', 'body.stream');
  return { customId, model, body, inputs: choices };
}

function fault(code: string, message: string, param: string | null = null): Omit<LineError, 'line'> {
  return { code, message, param };
}

function got(value: string | null): string {
  return value === null ? '' : ` (got ${JSON.stringify(value.slice(0, 100))})`;
}
