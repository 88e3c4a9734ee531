/** Stored responses and related endpoints: retrieval, deletion, input items, token counting and compaction. */
import type { ParsedRequest, Failure, Received } from '../dialect.ts';
import { countInput, decodePart, lookup, readFields } from '../request.ts';
import type { ResponsesParts } from './create.ts';
import { readInput } from './input.ts';
import { itemType } from './input-rules.ts';
import type { Item, StoredResponse } from './store.ts';
import { responseId, usageOf } from './write.ts';

/** The id in `/responses/{id}[/…]`. */
function idOf({ path }: Received): string {
  return decodePart(/\/responses\/([^/]+)/.exec(path)?.[1] ?? '');
}

function find(received: Received, { store, keyOf }: ResponsesParts): StoredResponse | Failure {
  const id = idOf(received);
  return store.get(keyOf(received), id) ?? { reason: 'not-found', message: `Response with id '${id}' not found.` };
}

/** `GET /v1/responses/{id}`. Only background responses can be streamed again. */
export function readLookup(received: Received, parts: ResponsesParts): ParsedRequest | Failure {
  const found = find(received, parts);
  if ('reason' in found) return found;
  if (new URLSearchParams(received.query).get('stream') === 'true') {
    return { reason: 'not-found', message: `Response with id '${found.id}' cannot be streamed: it was not created in the background.` };
  }
  return lookup(found.response);
}

/** `DELETE /v1/responses/{id}`. */
export function readDeletion(received: Received, parts: ResponsesParts): ParsedRequest | Failure {
  const found = find(received, parts);
  if ('reason' in found) return found;
  parts.store.delete(found.key, found.id);
  return lookup({ id: found.id, object: 'response', deleted: true });
}

/** `POST /v1/responses/{id}/cancel`. */
export function readCancel(received: Received, parts: ResponsesParts): Failure {
  const found = find(received, parts);
  return 'reason' in found ? found : { reason: 'invalid', message: 'Cannot cancel a synchronous response.' };
}

const PAGE_DEFAULT = 20;
const PAGE_MAX = 100;

/** `GET /v1/responses/{id}/input_items`, newest first unless `order=asc`. */
export function readInputItems(received: Received, parts: ResponsesParts): ParsedRequest | Failure {
  const found = find(received, parts);
  if ('reason' in found) return found;
  const query = new URLSearchParams(received.query);
  const items = found.input.map((item, index) => withId(item, `${found.id}_${index}`));
  if (query.get('order') !== 'asc') items.reverse();
  const after = items.findIndex((item) => item['id'] === query.get('after'));
  const limit = Math.min(PAGE_MAX, Math.max(1, Number(query.get('limit') ?? PAGE_DEFAULT) || PAGE_DEFAULT));
  const data = items.slice(after + 1, after + 1 + limit);
  const last = data.at(-1)?.['id'] ?? null;
  return lookup({ object: 'list', data, first_id: data[0]?.['id'] ?? null, last_id: last, has_more: after + 1 + limit < items.length });
}

function withId(item: Item, code: string): Item {
  const type = itemType(item);
  const content = typeof item['content'] === 'string' ? { content: [{ type: 'input_text', text: item['content'] }] } : {};
  return { id: `${type === 'message' ? 'msg' : type}_${code}`, type, ...item, ...content };
}

/** `POST /v1/responses/input_tokens`. */
export function readInputTokens(received: Received, parts: ResponsesParts): ParsedRequest | Failure {
  const read = readFields(received);
  if ('reason' in read) return read;
  const owner = { key: parts.keyOf(received), model: read.fields['model'] as string };
  const input = readInput(read.fields, { ...parts, owner });
  if ('reason' in input) return input;
  return lookup({ object: 'response.input_tokens', input_tokens: countInput(received, read.fields) }, owner.model);
}

/** `POST /v1/responses/compact`: the user messages, and one sealed item for the rest. */
export function readCompact(received: Received, parts: ResponsesParts): ParsedRequest | Failure {
  const read = readFields(received);
  if ('reason' in read) return read;
  const { fields } = read;
  const owner = { key: parts.keyOf(received), model: fields['model'] as string };
  const input = readInput(fields, { ...parts, owner });
  if ('reason' in input) return input;
  return {
    model: owner.model,
    stream: false,
    inputTokens: countInput(received, fields),
    outputLimit: 0,
    fields,
    body(_choices, facts) {
      const code = parts.seals.idOf(facts.call);
      const kept = input.all
        .filter((item) => itemType(item) === 'message' && item['role'] === 'user')
        .map((item, at) => withId(item, `${code}_${at}`));
      const compaction = {
        id: `cmp_${code}`,
        type: 'compaction',
        encrypted_content: parts.seals.seal('compaction', owner, '', facts.call),
      };
      const body = {
        id: responseId(code),
        object: 'response.compaction',
        created_at: facts.created,
        output: [...kept, compaction],
        usage: usageOf(facts.usage),
      };
      return { contentType: 'application/json', body: JSON.stringify(body) };
    },
  };
}
