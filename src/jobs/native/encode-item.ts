import { encodeRequest, type EncodedRequest } from '../../pipeline/retry/encode-request.ts';
import type { RouteTarget } from '../../pipeline/route/route.ts';
import type { LeasedItem, OpenJob } from '../../store/jobs/job-store.ts';
import type { JobHost } from '../host.ts';
import { ItemSink } from '../item-sink.ts';
import { prepareItem } from '../item-request.ts';
import type { JobKind } from '../kinds.ts';
import type { BatchApi } from './batch-api.ts';

/** The configuration does not allow requests of the model at present. */
export class Withheld extends Error {}

export interface EncodedPart {
  readonly path: string;
  readonly headers: readonly string[];
  readonly part: Uint8Array;
}

interface ItemLane {
  readonly job: OpenJob;
  readonly kind: JobKind;
}

/** An item as a part of the input of a batch. Null: it can't be handed over, and runs like any other. Throws `Withheld`. */
export async function encodePart(
  host: JobHost,
  lane: ItemLane,
  item: LeasedItem,
  target: RouteTarget,
  api: BatchApi,
  customId: string,
): Promise<EncodedPart | null> {
  try {
    const request = await encodeItem(host, lane, item, target);
    return request === null ? null : { path: request.path, headers: request.headers, part: api.encode(customId, request) };
  } catch (error) {
    if (error instanceof Withheld) throw error;
    return null; // its run here reports the fault
  }
}

/** The request of an item as the target is sent it. */
async function encodeItem(host: JobHost, lane: ItemLane, item: LeasedItem, target: RouteTarget): Promise<EncodedRequest | null> {
  const prepared = await prepareItem(host, lane, item.body, () => {});
  if ('withheld' in prepared) throw new Withheld(prepared.withheld.message);
  if ('refused' in prepared) return null;
  const now = host.clock.now();
  return encodeRequest({ ...prepared.request, id: '', receivedAt: now, deadline: now, caller: new ItemSink() }, target, now);
}
