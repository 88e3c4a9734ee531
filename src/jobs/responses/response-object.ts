/** The response object of a background response in any state. */
import { isRecord } from '../../core/json.ts';
import type { DoneItem, Job } from '../../store/jobs/job-store.ts';
import { parseRecord } from '../../wire/json-exact.ts';
import type { Fields } from '../../wire/loose-values.ts';

/** `error.code` of the API by the status of the failed response. */
function errorCode(status: number | null): string {
  if (status === 429) return 'rate_limit_exceeded';
  return status !== null && status >= 400 && status < 500 ? 'invalid_prompt' : 'server_error';
}

/** `done`: the outcome of its item; null if it has not ended. */
export function responseObject(job: Job, done: DoneItem | null): Fields {
  const { data } = job;
  const begun = {
    id: job.id,
    object: 'response',
    created_at: Math.floor(job.createdAtMs / 1000),
    background: true,
    error: null,
    incomplete_details: null,
    ...(data['echo'] as Fields),
    model: data['model'],
  };
  const none = { ...begun, output: [], usage: null };
  if (job.ending === 'cancelled' || job.state === 'cancelled') return { ...none, status: 'cancelled' };
  if (done === null) return { ...none, status: typeof data['in_progress_at'] === 'number' ? 'in_progress' : 'queued' };
  const made = done.body === null ? null : parseRecord(Buffer.from(done.body).toString('utf8'));
  const repeated = done.repeated > 0 ? { breakwater: { repeated: done.repeated } } : {};
  if (!done.succeeded || made === null) return { ...none, status: 'failed', error: errorOf(done, made), ...repeated };
  const { id, object, created_at: createdAt, background, previous_response_id: previous } = begun as Fields;
  // Fields of the request are repeated as requested; all others come from the response.
  const status = FINAL_STATUSES.has(made['status']) ? made['status'] : 'completed';
  return { ...begun, ...made, id, object, created_at: createdAt, status, background, previous_response_id: previous, ...repeated };
}

/** The `breakwater` member gives details of the failure. */
function errorOf({ status, error }: DoneItem, body: Fields | null): Fields {
  if (error !== null) return { code: 'server_error', message: error.message };
  const said = body?.['error'];
  const message = isRecord(said) && typeof said['message'] === 'string' ? said['message'] : `the response had status ${status}`;
  return { code: errorCode(status), message };
}

export const FINAL_STATUSES: ReadonlySet<unknown> = new Set(['completed', 'failed', 'incomplete', 'cancelled']);
