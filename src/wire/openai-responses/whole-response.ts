/** Non-streaming responses: reads and replaces their texts, converts them to and from streams. Unknown members are preserved. */
import { Buffer } from 'node:buffer';
import { isRecord } from '../../core/json.ts';
import type { AnswerChoice } from '../../core/quality.ts';
import { asBuffer, byteOrderMarkLength } from '../bytes.ts';
import type { StreamFold, RequestedForm, WholeResponse } from '../dialect.ts';
import { parseExact } from '../json-exact.ts';
import type { JsonOutline } from '../json-outline.ts';
import { recordsIn, textIn } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { choicesOf } from '../model-choices.ts';
import { FoldBudget, isConvertible, objectsIn, SMALL_BYTES_MAX } from '../parse-limits.ts';
import { writeJson } from '../write-json.ts';
import { finishOf } from './outcome.ts';
import { modelOf, parseResponse } from './parse-response.ts';

export function responseChoices(body: Uint8Array, outline: JsonOutline | null = null): AnswerChoice[] {
  if (body.byteLength <= SMALL_BYTES_MAX || outline === null) return choicesOf(parseResponse(body));
  const value = outline.parse();
  return choicesOf(modelOf(isRecord(value) ? value : {}));
}

/** The first text part gets `text`; the other text parts, which it replaces, are removed. */
export function withResponseTexts(body: Uint8Array, [text]: readonly (string | null)[]): Uint8Array {
  if (text === undefined || text === null) return body;
  const response = parse(body);
  let isFirst = true;
  const output = recordsIn(response['output']).map((item) => {
    if (item['type'] !== 'message') return item;
    const content = recordsIn(item['content']).flatMap((part) => {
      if (part['type'] !== 'output_text') return [part];
      const kept = isFirst ? [{ ...part, text }] : [];
      isFirst = false;
      return kept;
    });
    return { ...item, content };
  });
  return Buffer.from(writeJson({ ...response, output }));
}

/** The stream events equivalent to a non-streaming response. */
export function responseToStream(body: Uint8Array): Uint8Array {
  const response = parse(body);
  const events: Fields[] = [];
  const begun = { ...response, status: 'in_progress', output: [], usage: null, incomplete_details: null };
  events.push({ type: 'response.created', response: begun }, { type: 'response.in_progress', response: begun });
  for (const [index, item] of recordsIn(response['output']).entries()) events.push(...itemEvents(item, index));
  events.push({ type: response['status'] === 'incomplete' ? 'response.incomplete' : 'response.completed', response });
  return Buffer.from(events.map((event, number) => eventText({ ...event, sequence_number: number })).join(''));
}

function itemEvents(item: Fields, index: number): Fields[] {
  const id = textIn(item['id']);
  const added = { type: 'response.output_item.added', output_index: index, item: { ...item, status: 'in_progress', ...emptied(item) } };
  const done = { type: 'response.output_item.done', output_index: index, item };
  const position = { item_id: id, output_index: index };
  return [added, ...deltaEvents(item, position), done];
}

/** Resets the members that deltas fill. */
function emptied({ type }: Fields): Fields {
  if (type === 'message') return { content: [] };
  if (type === 'reasoning') return { summary: [] };
  if (type === 'function_call') return { arguments: '' };
  return type === 'custom_tool_call' ? { input: '' } : {};
}

function deltaEvents(item: Fields, position: Fields): Fields[] {
  switch (item['type']) {
    case 'message':
      return recordsIn(item['content']).flatMap((part, at) => contentEvents(part, { ...position, content_index: at }));
    case 'reasoning':
      return recordsIn(item['summary']).flatMap((part, at) => summaryEvents(part, { ...position, summary_index: at }));
    case 'function_call':
      return deltaAndDone('response.function_call_arguments', position, 'arguments', textIn(item['arguments']));
    case 'custom_tool_call':
      return deltaAndDone('response.custom_tool_call_input', position, 'input', textIn(item['input']));
    default:
      return [];
  }
}

function contentEvents(part: Fields, position: Fields): Fields[] {
  const isRefusal = part['type'] === 'refusal';
  const name = isRefusal ? 'response.refusal' : 'response.output_text';
  const member = isRefusal ? 'refusal' : 'text';
  const deltas = typeof part[member] === 'string' ? deltaAndDone(name, position, member, textIn(part[member])) : [];
  const added = { type: 'response.content_part.added', ...position, part: deltas.length === 0 ? part : { ...part, [member]: '' } };
  return [added, ...deltas, { type: 'response.content_part.done', ...position, part }];
}

function summaryEvents(part: Fields, position: Fields): Fields[] {
  return [
    { type: 'response.reasoning_summary_part.added', ...position, part: { ...part, text: '' } },
    ...deltaAndDone('response.reasoning_summary_text', position, 'text', textIn(part['text'])),
    { type: 'response.reasoning_summary_part.done', ...position, part },
  ];
}

function deltaAndDone(name: string, position: Fields, member: string, text: string): Fields[] {
  const done = { type: `${name}.done`, ...position, [member]: text };
  return text === '' ? [done] : [{ type: `${name}.delta`, ...position, delta: text }, done];
}

/** The non-streaming response equivalent to a complete stream. */
export function streamToResponse(events: Uint8Array): Uint8Array {
  const fold = new ResponseStreamFold();
  fold.push(events);
  return fold.finish();
}

/** The terminal event holds the complete response; some servers leave out its output, which is then collected from the item events. */
export class ResponseStreamFold implements StreamFold {
  readonly #items: Fields[] = [];
  #response: Fields = {};
  readonly #budget = new FoldBudget();
  isTooLarge = false;

  push(events: Uint8Array): void {
    for (const data of objectsIn(events)) {
      this.isTooLarge ||= !this.#budget.allows(data);
      if (this.isTooLarge) return;
      this.#add(parseExact(data));
    }
  }

  #add(event: unknown): void {
    if (!isRecord(event)) return;
    const { type, item, response } = event;
    if (type === 'response.output_item.done' && isRecord(item)) this.#items.push(item);
    if (isRecord(response)) this.#response = response;
  }

  finish(): Uint8Array {
    const isLeftOut = recordsIn(this.#response['output']).length === 0;
    return Buffer.from(writeJson(isLeftOut ? { ...this.#response, output: this.#items } : this.#response));
  }
}

export function responseInForm({ body, isStream }: WholeResponse, wanted: RequestedForm): Uint8Array {
  if (isStream === wanted.stream) return body;
  return wanted.stream ? responseToStream(body) : streamToResponse(body);
}

/** True if the response was cut off or filtered, or is too large to check. */
export function isUnfinished(body: Uint8Array): boolean {
  if (!isConvertible(body)) return true;
  const text = asBuffer(body).toString('utf8', byteOrderMarkLength(body));
  const whole = text.trimStart().startsWith('{') ? body : streamToResponse(body);
  const finish = finishOf(parse(whole));
  return finish === 'length' || finish === 'content_filter' || finish === 'other';
}

function eventText(event: Fields): string {
  return `event: ${String(event['type'])}\ndata: ${writeJson(event)}\n\n`;
}

function parse(body: Uint8Array): Fields {
  return parseExact(asBuffer(body).toString('utf8', byteOrderMarkLength(body))) as Fields;
}
