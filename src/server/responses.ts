/** The Responses API around a request: what a later request refers to, and what was answered before. */
import { BreakwaterError } from '../core/errors.ts';
import type { KeptResponse } from '../gateway/response-store.ts';
import type { ResponseSink } from '../pipeline/request/response-sink.ts';
import { decodeRequest } from '../wire/decode-request.ts';
import { DIALECTS, RESPONSE_HISTORY } from '../wire/dialects.ts';
import { listOf } from '../wire/loose-values.ts';
import type { Call } from './call.ts';
import { decodeAndSubmit, withBody } from './inference.ts';
import { keepBody } from './kept-sink.ts';
import { submitBytes } from './pass-through.ts';

const dialect = DIALECTS['openai-responses'];
/** A larger response is not kept, nor is one to a larger request. */
const KEPT_BYTES_MAX = 256 * 1024;
/** Items that one page of a list holds. */
const PAGE_SIZE = 20;
const PAGE_SIZE_MAX = 100;

export function createResponse(call: Call): Promise<void> {
  return withBody(call, async (bytes, arrival) => {
    const asked = { dialect, operation: 'chat', path: '/responses' } as const;
    const decoded = bytes.byteLength <= KEPT_BYTES_MAX ? decodeRequest(dialect, 'chat', bytes) : null;
    // What is not sound is refused below; what is large is not kept.
    if (decoded === null || !decoded.ok) return decodeAndSubmit(call, asked, bytes, arrival);
    const referring = RESPONSE_HISTORY.readReferring(bytes);
    const { previous } = referring;
    const conversation = previous === null ? null : await call.gateway.responses.conversation(call.client!.name, previous);
    const history =
      conversation === null
        ? undefined
        : {
            previous: previous!,
            maker: conversation.responses.at(-1)!.maker,
            body: written(RESPONSE_HISTORY.withHistory(bytes, conversation.responses)),
          };
    const wrap = referring.keeps
      ? (sink: ResponseSink) => keepBody(sink, KEPT_BYTES_MAX, (body, header) => keep(call, referring, body, header))
      : undefined;
    return decodeAndSubmit(call, { ...asked, history, wrap }, bytes, arrival);
  });
}

function written(bytes: Uint8Array) {
  const decoded = decodeRequest(dialect, 'chat', bytes);
  if (!decoded.ok) throw new BreakwaterError('invalid_request', decoded.message);
  return decoded.body;
}

function keep(
  call: Call,
  { previous, input }: Pick<KeptResponse, 'previous' | 'input'>,
  body: Uint8Array,
  header: (name: string) => string | null,
): void {
  const response = RESPONSE_HISTORY.responseIn(body);
  const maker = header('x-breakwater-target');
  if (response === null || maker === null) return;
  call.gateway.responses.put(call.client!.name, String(response['id']), { previous, input, response, maker });
}

/** `POST /v1/responses/compact` and `/input_tokens`: of providers that have them. */
export function passResponses(call: Call): Promise<void> {
  return withBody(call, (bytes, arrival) => submitBytes(call, dialect, bytes, arrival));
}

export async function showResponse(call: Call): Promise<void> {
  if (new URLSearchParams(call.place.query).get('stream') === 'true')
    throw new BreakwaterError('invalid_request', 'only a background response can be streamed again', { param: 'stream' });
  call.sendJson(200, (await find(call, call.place.rest)).response);
}

export async function deleteResponse(call: Call): Promise<void> {
  const id = call.place.rest;
  await find(call, id);
  call.gateway.responses.delete(call.client!.name, id);
  call.sendJson(200, { id, object: 'response', deleted: true });
}

/** Nothing runs in the background here. */
export async function cancelResponse(call: Call): Promise<void> {
  await find(call, call.place.rest);
  throw new BreakwaterError('invalid_request', 'only a background response can be cancelled');
}

export async function listInputItems(call: Call): Promise<void> {
  const id = call.place.rest;
  await find(call, id);
  const conversation = await call.gateway.responses.conversation(call.client!.name, id);
  const { responses } = conversation ?? { responses: [await find(call, id)] };
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
  const asked = Number(query.get('limit') ?? PAGE_SIZE);
  const limit = Number.isInteger(asked) && asked >= 1 && asked <= PAGE_SIZE_MAX ? asked : PAGE_SIZE;
  const data = ordered.slice(start, start + limit);
  return {
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: start + limit < ordered.length,
  };
}

async function find(call: Call, id: string): Promise<KeptResponse> {
  const kept = await call.gateway.responses.get(call.client!.name, id);
  if (kept === null)
    throw new BreakwaterError('not_found', `there is no response ${JSON.stringify(id.slice(0, 200))} here`, { param: 'id' });
  return kept;
}
