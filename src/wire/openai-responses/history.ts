/** A request that refers to earlier responses, with their conversation written out: for targets that don't have them. */
import { Buffer } from 'node:buffer';
import { asBuffer, byteOrderMarkLength } from '../bytes.ts';
import { isRecord } from '../json-values.ts';
import { parseExact, parseRecord } from '../json-exact.ts';
import { recordsIn } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { SseFramer } from '../sse/sse-framer.ts';
import { writeJson } from '../write-json.ts';

/** One earlier request and its response. */
export interface Exchanged {
  readonly input: readonly unknown[];
  readonly response: Fields;
}

/** Items of output that another provider can read. Reasoning and server tools belong to whoever made them. */
const PORTABLE: ReadonlySet<unknown> = new Set(['message', 'function_call', 'custom_tool_call']);

/** What the store needs of a request. */
export interface Referring {
  readonly previous: string | null;
  /** Its own items. */
  readonly input: readonly unknown[];
  /** The caller wants the response kept. */
  readonly keeps: boolean;
}

export function readReferring(body: Uint8Array): Referring {
  const { previous_response_id: previous, input, store } = parse(body);
  return { previous: typeof previous === 'string' && previous !== '' ? previous : null, input: itemsOf(input), keeps: store !== false };
}

/** The body without `previous_response_id`, its input after the earlier items: written one earlier response at a time. */
export class HistoryWriter {
  readonly #earlier: readonly Exchanged[];
  readonly #own: readonly unknown[];
  readonly #pieces: Buffer[];
  #at = 0;
  #hasItems = false;

  constructor(body: Uint8Array, earlier: readonly Exchanged[]) {
    const { previous_response_id: _previous, input, ...rest } = parse(body);
    const head = writeJson(rest).slice(0, -1);
    this.#earlier = earlier;
    this.#own = itemsOf(input);
    this.#pieces = [Buffer.from(`${head}${head.length > 1 ? ',' : ''}"input":[`)];
  }

  /** True: all is written. */
  step(): boolean {
    const exchanged = this.#earlier[this.#at++];
    if (exchanged !== undefined) {
      const said = recordsIn(exchanged.response['output']).filter(({ type }) => PORTABLE.has(type));
      this.#add([...exchanged.input, ...said.map(({ id: _id, status: _status, ...item }) => item)]);
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

/** The response in the bytes that a caller got, plain or streamed; null: they hold none that has ended well. */
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
