/** What the paths of files and batches share. */
import { BreakwaterError } from '../core/errors.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Call } from './call.ts';

export function jobsOf(call: Call): Jobs {
  const { jobs } = call.gateway;
  if (jobs === null) throw new BreakwaterError('store_unavailable', 'files and batches are not available: this store keeps none');
  return jobs;
}

export interface PageWish {
  readonly limit: number;
  readonly after?: string;
  readonly oldestFirst: boolean;
  /** Of files. */
  readonly purpose?: string;
}

/** `limit`, `after`, `order` and `purpose` of a list. Throws `invalid_request`. */
export function pageWish(call: Call, limits: { readonly default: number; readonly max: number }): PageWish {
  const query = new URLSearchParams(call.place.query);
  const text = query.get('limit') ?? String(limits.default);
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > limits.max)
    throw new BreakwaterError(
      'invalid_request',
      `limit must be a whole number from 1 to ${limits.max} (got ${JSON.stringify(text.slice(0, 40))})`,
      {
        param: 'limit',
      },
    );
  const order = query.get('order') ?? 'desc';
  if (order !== 'asc' && order !== 'desc')
    throw new BreakwaterError('invalid_request', `order must be asc or desc (got ${JSON.stringify(order.slice(0, 40))})`, {
      param: 'order',
    });
  const [after, purpose] = [query.get('after') ?? '', query.get('purpose') ?? ''];
  return { limit, oldestFirst: order === 'asc', ...(after !== '' && { after }), ...(purpose !== '' && { purpose }) };
}

/** A page in the form that OpenAI's SDKs page through. */
export function toList(data: readonly { readonly id?: unknown }[], hasMore: boolean): object {
  return { object: 'list', data, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more: hasMore };
}
