/** The Responses API: stores responses for later requests, and serves stored ones. */
import { BreakwaterError } from '../core/errors.ts';
import { STORED_BYTES_MAX } from '../gateway/response-history.ts';
import type { StoredTurn } from '../gateway/response-store.ts';
import { isBackgroundId } from '../jobs/responses/background.ts';
import type { GatewayRequest } from '../pipeline/request/gateway-request.ts';
import type { ResponseSink } from '../pipeline/request/response-sink.ts';
import { DIALECTS, RESPONSE_HISTORY } from '../wire/dialects.ts';
import { readBoolean } from '../wire/json-values.ts';
import { listOf } from '../wire/loose-values.ts';
import * as background from './background.ts';
import type { Call } from './call.ts';
import { byteReserve, decodeBody, requireSound, submitDecoded, withBody, type Arrival, type SoundRequest } from './inference.ts';
import { keepBody } from './kept-sink.ts';
import { submitBytes } from './pass-through.ts';

const dialect = DIALECTS['openai-responses'];
const inference = { dialect, operation: 'chat', path: '/responses' } as const;
/** The default page size of lists. */
const PAGE_SIZE = 20;
const PAGE_SIZE_MAX = 100;
/** The Retry-After if the memory is full, in milliseconds. */
const ROOM_RETRY_MS = 1_000;

export function createResponse(call: Call): Promise<void> {
  return withBody(call, async (bytes, arrival) => {
    const decoding = decodeBody(call, inference, bytes);
    const decoded = requireSound(call, decoding instanceof Promise ? await decoding : decoding);
    const { members } = decoded.body;
    const isBackground = members.findLast(({ name }) => name === 'background');
    if (isBackground !== undefined && readBoolean(bytes, isBackground) === true) return background.create(call, decoded, arrival);
    return submitKept(call, bytes, decoded, arrival);
  });
}

/** Stores the response for later requests, and loads the conversation that this one refers to. */
async function submitKept(call: Call, bytes: Uint8Array, decoded: SoundRequest, arrival: Arrival): Promise<void> {
  const referring = RESPONSE_HISTORY.readHistoryReference(bytes);
  await requireOwned(call, referring.previous);
  // A large request is not stored, but its response has an owner.
  const isLarge = bytes.byteLength > STORED_BYTES_MAX;
  const onWhole = (body: Uint8Array, header: (name: string) => string | null): void => {
    if (!isLarge) keep(call, referring, body, header, bytes.byteLength + body.byteLength);
  };
  const own = (start: Uint8Array, header: (name: string) => string | null): void => {
    const id = RESPONSE_HISTORY.idIn(start);
    if (id !== null) call.gateway.responses.own(call.client!.name, id, header('x-breakwater-target'));
  };
  const wrap = referring.wantsStored ? (sink: ResponseSink) => keepBody(sink, STORED_BYTES_MAX, onWhole, own) : undefined;
  const room = new HistoryRoom(call, arrival);
  try {
    const history: GatewayRequest['history'] = await call.gateway.history.follow(call.client!.name, bytes, referring, (more) =>
      room.hold(more),
    );
    return await submitDecoded(call, { ...inference, history, wrap }, decoded, arrival);
  } finally {
    room.release();
  }
}

/**
 * A response may be referred to by its own client only, and not once it is deleted. Where several clients share the providers' accounts, the owner
 * has to be known.
 */
async function requireOwned(call: Call, id: string | null): Promise<void> {
  if (id === null || isBackgroundId(id)) return;
  const owner = await call.gateway.responses.ownerOf(id);
  const isOwn = owner === 'unknown' ? call.gateway.config.clients.length <= 1 : owner.client === call.client!.name;
  if (isOwn) return;
  const message = `unknown previous response ${JSON.stringify(id.slice(0, 200))}`;
  throw new BreakwaterError('previous_response_not_found', message, { param: 'previous_response_id' });
}

/** Counts the memory of the conversation that a request refers to, which may be several times its own body. */
class HistoryRoom {
  readonly #call: Call;
  readonly #reserve: number;
  #held = 0;

  constructor(call: Call, { settings }: Arrival) {
    this.#call = call;
    this.#reserve = byteReserve[settings.priority ?? call.client!.priority];
  }

  /** Throws `queue_full`. */
  hold(bytes: number): void {
    const { gateway, holder } = this.#call;
    if (!gateway.tryHoldBytes(bytes, holder, this.#reserve, this.#held))
      throw new BreakwaterError('queue_full', 'too many bytes are buffered to load the conversation that the request refers to', {
        retryAfterMs: ROOM_RETRY_MS,
      });
    this.#held += bytes;
  }

  release(): void {
    if (this.#held > 0) this.#call.gateway.releaseBytes(this.#held, this.#call.holder);
    this.#held = 0;
  }
}

function keep(
  call: Call,
  { previous, input }: Pick<StoredTurn, 'previous' | 'input'>,
  body: Uint8Array,
  header: (name: string) => string | null,
  length: number,
): void {
  const response = RESPONSE_HISTORY.responseIn(body);
  const maker = header('x-breakwater-target');
  if (response === null || maker === null) return;
  call.gateway.responses.put(call.client!.name, String(response['id']), { previous, input, response, maker }, length);
}

/** `POST /v1/responses/compact` and `/input_tokens`, forwarded to providers that support them. */
export function passResponses(call: Call): Promise<void> {
  return withBody(call, (bytes, arrival) => submitBytes(call, dialect, bytes, arrival));
}

export async function showResponse(call: Call): Promise<void> {
  const id = call.place.rest;
  if (isBackgroundId(id)) return background.show(call);
  if (new URLSearchParams(call.place.query).get('stream') === 'true')
    throw new BreakwaterError('invalid_request', 'only a background response can be streamed', { param: 'stream' });
  call.sendJson(200, (await find(call, id)).response);
}

export async function deleteResponse(call: Call): Promise<void> {
  const id = call.place.rest;
  if (isBackgroundId(id)) await background.remove(call);
  else {
    await call.gateway.responses.deleteAtProvider(id, await makerOf(call, id));
    call.gateway.responses.delete(call.client!.name, id);
  }
  call.sendJson(200, { id, object: 'response', deleted: true });
}

/** Also of a response that was too large to be stored here. Throws `not_found`. */
async function makerOf(call: Call, id: string): Promise<string> {
  const owner = await call.gateway.responses.ownerOf(id);
  if (owner !== 'unknown' && owner.client === call.client!.name && owner.maker !== null) return owner.maker;
  return (await find(call, id)).maker;
}

export async function cancelResponse(call: Call): Promise<void> {
  if (isBackgroundId(call.place.rest)) return background.cancel(call);
  await find(call, call.place.rest);
  throw new BreakwaterError('invalid_request', 'only a background response can be cancelled');
}

export async function listInputItems(call: Call): Promise<void> {
  const id = call.place.rest;
  await find(call, id);
  const conversation = await call.gateway.responses.conversation(call.client!.name, id);
  const responses = conversation ?? [await find(call, id)];
  const items = responses.flatMap(({ input, response }, at) => [
    ...input,
    ...(at < responses.length - 1 ? listOf(response['output']) : []),
  ]);
  call.sendJson(200, pageOf(items, new URLSearchParams(call.place.query)));
}

function pageOf(items: readonly unknown[], query: URLSearchParams) {
  const named = items.map((item, at) => ({ id: `item_${at}`, ...(item as { readonly id?: string }) }));
  const ordered = query.get('order') === 'asc' ? named : named.toReversed();
  const after = query.get('after');
  const start = after === null ? 0 : ordered.findIndex(({ id }) => id === after) + 1;
  const requested = Number(query.get('limit') ?? PAGE_SIZE);
  const limit = Number.isInteger(requested) && requested >= 1 && requested <= PAGE_SIZE_MAX ? requested : PAGE_SIZE;
  const data = ordered.slice(start, start + limit);
  return {
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: start + limit < ordered.length,
  };
}

async function find(call: Call, id: string): Promise<StoredTurn> {
  const kept = await call.gateway.responses.get(call.client!.name, id);
  if (kept === null) throw new BreakwaterError('not_found', `unknown response ${JSON.stringify(id.slice(0, 200))}`, { param: 'id' });
  return kept;
}
