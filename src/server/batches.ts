/** `/v1/batches`: OpenAI's batch API, run by Breakwater on any target. */
import { BreakwaterError } from '../core/errors.ts';
import type { Call } from './call.ts';
import { withBody } from './inference.ts';
import { jobPriority, jobsOf, pageWish, toList } from './jobs-call.ts';

/** The largest batch object, which only references its input file. */
const BODY_BYTES_MAX = 64 * 1024;

export function create(call: Call): Promise<void> {
  return withBody(call, async (bytes, { settings }) => {
    if (bytes.length > BODY_BYTES_MAX) throw new BreakwaterError('request_too_large', 'the body of a batch is larger than 64 KB');
    let body: unknown;
    try {
      body = JSON.parse(Buffer.from(bytes).toString('utf8'));
    } catch (error) {
      throw new BreakwaterError('invalid_request', 'the body is not valid JSON', { cause: error });
    }
    const client = call.client!;
    call.sendJson(200, await jobsOf(call).batches.create(client.name, body, jobPriority(call, settings), settings.idempotencyKey));
  });
}

export async function show(call: Call): Promise<void> {
  call.sendJson(200, await jobsOf(call).batches.get(call.client!.name, call.place.rest));
}

export async function cancel(call: Call): Promise<void> {
  call.sendJson(200, await jobsOf(call).batches.cancel(call.client!.name, call.place.rest));
}

export async function list(call: Call): Promise<void> {
  const { limit, after, oldestFirst } = pageWish(call, { default: 20, max: 100 });
  const query = { client: call.client!.name, limit, oldestFirst, ...(after !== undefined && { after }) };
  const { entries, hasMore } = await jobsOf(call).batches.list(query);
  call.sendJson(200, toList(entries, hasMore));
}
