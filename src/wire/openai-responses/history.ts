/** Expands a request that refers to earlier responses into one that contains the conversation, for targets that do not store them. */
import { Buffer } from 'node:buffer';
import { isRecord } from '../../core/json.ts';
import { asBuffer, byteOrderMarkLength } from '../bytes.ts';
import { parseExact, parseRecord } from '../json-exact.ts';
import { recordsIn } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { SseFramer } from '../sse/sse-framer.ts';
import { writeJson } from '../write-json.ts';

/** One earlier request and its response. */
export interface PastExchange {
  readonly input: readonly unknown[];
  readonly response: Fields;
}

/** Output items that every provider accepts. Reasoning and server tool calls are valid only at the provider that produced them. */
const PORTABLE: ReadonlySet<unknown> = new Set(['message', 'function_call', 'custom_tool_call']);

/** The parts of a request that the conversation store needs. */
export interface HistoryReference {
  readonly previous: string | null;
  /** The request's own input items. */
  readonly input: readonly unknown[];
  /** The caller asked for the response to be stored. */
  readonly wantsStored: boolean;
}

export function readHistoryReference(body: Uint8Array): HistoryReference {
  const { previous_response_id: previous, input, store } = parse(body);
  return {
    previous: typeof previous === 'string' && previous !== '' ? previous : null,
    input: itemsOf(input),
    wantsStored: store !== false,
  };
}

/** Writes the body without `previous_response_id`, with the earlier items before its own input. One step per earlier response. */
export class HistoryWriter {
  readonly #earlier: readonly PastExchange[];
  readonly #own: readonly unknown[];
  readonly #pieces: Buffer[];
  #at = 0;
  #hasItems = false;

  constructor(body: Uint8Array, earlier: readonly PastExchange[]) {
    const { previous_response_id: _previous, input, ...rest } = parse(body);
    const head = writeJson(rest).slice(0, -1);
    this.#earlier = earlier;
    this.#own = itemsOf(input);
    this.#pieces = [Buffer.from(`${head}${head.length > 1 ? ',' : ''}"input":[`)];
  }

  /** Returns true when everything is written. */
  step(): boolean {
    const exchange = this.#earlier[this.#at++];
    if (exchange !== undefined) {
      const output = recordsIn(exchange.response['output']).filter(({ type }) => PORTABLE.has(type));
      this.#add([...exchange.input, ...output.map(({ id: _id, status: _status, ...item }) => item)]);
      return false;
    }
    this.#add(this.#own);
    this.#pieces.push(Buffer.from(']}'));
    return true;
  }

  take(): Uint8Array {
    return Buffer.concat(this.#pieces);
  }

  #add(items: readonly unknown[]): void {
    if (items.length === 0) return;
    const text = writeJson(items).slice(1, -1);
    this.#pieces.push(Buffer.from(this.#hasItems ? `,${text}` : text));
    this.#hasItems = true;
  }
}

/** Parses the response, streamed or not, that a caller received; null unless it is completed or incomplete. */
export function responseIn(bytes: Uint8Array): Fields | null {
  const text = asBuffer(bytes).toString('utf8', byteOrderMarkLength(bytes));
  const response = text.trimStart().startsWith('{') ? parseRecord(text) : lastResponse(bytes);
  return response !== null &&
    typeof response['id'] === 'string' &&
    (response['status'] === 'completed' || response['status'] === 'incomplete')
    ? response
    : null;
}

function lastResponse(bytes: Uint8Array): Fields | null {
  const framer = new SseFramer(bytes.byteLength + 1);
  const items: Fields[] = [];
  let last: Fields | null = null;
  framer.push(bytes);
  while (framer.next()) {
    const data = framer.readData();
    const event = data === null ? null : parseRecord(data);
    if (event === null) continue;
    if (event['type'] === 'response.output_item.done' && isRecord(event['item'])) items.push(event['item']);
    if (isRecord(event['response'])) last = event['response'];
  }
  if (last === null || recordsIn(last['output']).length > 0) return last;
  return { ...last, output: items };
}

function itemsOf(input: unknown): readonly unknown[] {
  if (Array.isArray(input)) return input;
  return typeof input === 'string' ? [{ type: 'message', role: 'user', content: [{ type: 'input_text', text: input }] }] : [];
}

function parse(body: Uint8Array): Fields {
  return parseExact(asBuffer(body).toString('utf8', byteOrderMarkLength(body))) as Fields;
}

/** How far a response is searched for its id, in bytes. */
const ID_WITHIN_BYTES = 4 * 1024;

/** The id of a response, from its first bytes: of its JSON, or of its first event. */
export function idIn(start: Uint8Array): string | null {
  const text = asBuffer(start).toString('latin1', 0, ID_WITHIN_BYTES);
  return /"id"\s*:\s*"(resp[\w-]{1,500})"/.exec(text)?.[1] ?? null;
}
