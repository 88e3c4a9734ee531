/** Shared functions for files, batches and background responses. */
import type { HeaderPairs } from '../core/headers.ts';
import { BreakwaterError } from '../core/errors.ts';
import { SCHEDULING_CLASSES, type SchedulingClass } from '../core/request.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Call } from './call.ts';
import type { RequestSettings } from './request-settings.ts';
import { UNREAD_MAX_MS } from './unread-answer.ts';

export function jobsOf(call: Call): Jobs {
  const { jobs } = call.gateway;
  if (jobs === null) throw new BreakwaterError('store_unavailable', 'files and batches are not supported by this store');
  return jobs;
}

/** The class of a job's requests: `job`, or the requested one, limited to what the client may use. */
export function jobPriority(call: Call, settings: RequestSettings): SchedulingClass {
  const { maxPriority } = call.client!;
  const requested = settings.priority ?? 'job';
  return SCHEDULING_CLASSES.indexOf(requested) < SCHEDULING_CLASSES.indexOf(maxPriority) ? maxPriority : requested;
}

interface LimitBounds {
  readonly default: number;
  readonly max: number;
}

export function limitWish(query: URLSearchParams, limits: LimitBounds): number {
  const text = query.get('limit') ?? String(limits.default);
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= limits.max) return limit;
  const got = JSON.stringify(text.slice(0, 40));
  throw new BreakwaterError('invalid_request', `limit must be a whole number from 1 to ${limits.max} (got ${got})`, { param: 'limit' });
}

export interface PageWish {
  readonly limit: number;
  readonly after?: string;
  readonly oldestFirst: boolean;
  /** For files only. */
  readonly purpose?: string;
}

/** Parses `limit`, `after`, `order` and `purpose` of a list. Throws `invalid_request`. */
export function pageWish(call: Call, limits: LimitBounds): PageWish {
  const query = new URLSearchParams(call.place.query);
  const limit = limitWish(query, limits);
  const order = query.get('order') ?? 'desc';
  if (order !== 'asc' && order !== 'desc')
    throw new BreakwaterError('invalid_request', `order must be asc or desc (got ${JSON.stringify(order.slice(0, 40))})`, {
      param: 'order',
    });
  const [after, purpose] = [query.get('after') ?? '', query.get('purpose') ?? ''];
  return { limit, oldestFirst: order === 'asc', ...(after !== '' && { after }), ...(purpose !== '' && { purpose }) };
}

/** A page in OpenAI's list format. */
export function toList(data: readonly { readonly id?: unknown }[], hasMore: boolean): object {
  return { object: 'list', data, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more: hasMore };
}

/**
 * Streams chunks from the store, with back-pressure. The head is sent with the first chunk, so that an immediate failure of the store
 * results in an error response. `length`: in bytes; null: unknown.
 */
export async function sendPieces(
  call: Call,
  headers: HeaderPairs,
  pieces: AsyncGenerator<Uint8Array>,
  length: number | null,
): Promise<void> {
  const { exchange } = call;
  try {
    const isEmpty = exchange.method === 'HEAD' || length === 0;
    let next = isEmpty ? null : await pieces.next();
    const known = length === null ? [] : ['content-length', String(length)];
    call.beginStream(200, [...headers, ...known]);
    let left = length ?? 0;
    for (; next !== null && next.done !== true; next = await pieces.next()) {
      if (exchange.hasLeft) return;
      left -= next.value.byteLength;
      if (!exchange.write(next.value) && !(await isDrained(call))) return exchange.abort();
    }
    // Content that was deleted or changed meanwhile does not match its content-length.
    if (isEmpty || length === null || left === 0) exchange.end();
    else exchange.abort();
  } finally {
    await pieces.return(undefined);
  }
}

/** False: the caller has stopped reading. */
export function isDrained(call: Call): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = call.gateway.clock.schedule(UNREAD_MAX_MS, () => resolve(false));
    call.exchange.onDrain(() => {
      timer.cancel();
      resolve(true);
    });
  });
}
