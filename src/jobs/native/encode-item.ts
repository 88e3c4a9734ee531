import { encodeRequest, type EncodedRequest } from '../../pipeline/retry/encode-request.ts';
import type { RouteTarget } from '../../pipeline/route/route.ts';
import type { LeasedItem, OpenJob } from '../../store/jobs/job-store.ts';
import type { JobHost } from '../host.ts';
import { ItemSink } from '../item-sink.ts';
import { prepareItem } from '../item-request.ts';
import type { JobKind } from '../kinds.ts';

/** The request of an item as the target is sent it. Null: it can't be handed over, and runs like any other. */
export async function encodeItem(
  host: JobHost,
  lane: { readonly job: OpenJob; readonly kind: JobKind },
  item: LeasedItem,
  target: RouteTarget,
): Promise<EncodedRequest | null> {
  const prepared = await prepareItem(host, lane, item.body, () => {});
  if (!('request' in prepared)) return null;
  const now = host.clock.now();
  return encodeRequest({ ...prepared.request, id: '', receivedAt: now, deadline: now, caller: new ItemSink() }, target, now);
}
