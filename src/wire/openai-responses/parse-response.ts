/** Parses a Responses stream or a non-streaming response into model events. */
import { isRecord } from '../../core/json.ts';
import { asBuffer, byteOrderMarkLength } from '../bytes.ts';
import { recordsIn, textIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { foldEvents } from '../model-fold.ts';
import type { FinishClass, ModelEvent, ModelResponse, Opaque, PartHead, StreamParser } from '../model.ts';
import { SseFramer } from '../sse/sse-framer.ts';
import { readUsage } from '../usage.ts';
import { flatToolName } from './tool-names.ts';

/** The stream reader has already enforced the event size limit. */
const NO_LIMIT = Infinity;

export function createResponsesStreamParser(): StreamParser {
  return new ResponsesStreamParser();
}

/** `body`: a non-streaming response that `readResponsesResponse` accepted. */
export function parseResponse(body: Uint8Array): ModelResponse {
  return modelOf(JSON.parse(asBuffer(body).toString('utf8', byteOrderMarkLength(body))) as Fields);
}

export function modelOf(response: Fields): ModelResponse {
  const parser = new OutputParser();
  parser.start(response);
  for (const [index, item] of recordsIn(response['output']).entries()) parser.itemDone(index, item);
  parser.finish(response);
  return foldEvents([...parser.take(), ...parser.end()]);
}

class ResponsesStreamParser implements StreamParser {
  readonly #framer = new SseFramer(NO_LIMIT);
  readonly #output = new OutputParser();

  parse(pieces: readonly Uint8Array[]): readonly ModelEvent[] {
    for (const piece of pieces) {
      this.#framer.push(piece);
      while (this.#framer.next()) this.#readBlock();
    }
    return this.#output.take();
  }

  end(): readonly ModelEvent[] {
    if (this.#framer.finish()) this.#readBlock();
    return [...this.#output.take(), ...this.#output.end()];
  }

  #readBlock(): void {
    const data = this.#framer.readData();
    if (data === null || !data.trimStart().startsWith('{')) return;
    const event: unknown = JSON.parse(data);
    if (isRecord(event)) readEvent(this.#output, event);
  }
}

/** Items are identified by index only: ids may change from event to event (Copilot). */
function readEvent(output: OutputParser, event: Fields): void {
  const at = typeof event['output_index'] === 'number' ? event['output_index'] : 0;
  const within = typeof event['content_index'] === 'number' ? event['content_index'] : 0;
  const { item, response } = event;
  const text = textIn(event['delta']);
  switch (event['type']) {
    case 'response.created':
      return isRecord(response) ? output.start(response) : undefined;
    case 'response.output_item.added':
      return isRecord(item) ? output.itemAdded(at, item) : undefined;
    case 'response.output_text.delta':
      return output.append(at, within, { type: 'text' }, text);
    case 'response.refusal.delta':
      return output.append(at, within, { type: 'refusal' }, text);
    case 'response.reasoning_text.delta':
      return output.append(at, 0, { type: 'reasoning' }, text);
    case 'response.reasoning_summary_text.delta':
      return output.append(at, 0, { type: 'reasoning' }, text);
    case 'response.reasoning_summary_part.added':
      return output.nextSummary(at);
    case 'response.function_call_arguments.delta':
    case 'response.custom_tool_call_input.delta':
      return output.append(at, 0, null, text);
    case 'response.output_item.done':
      return isRecord(item) ? output.itemDone(at, item) : undefined;
    case 'response.completed':
    case 'response.incomplete':
      return isRecord(response) ? output.finish(response) : undefined;
    default:
  }
}

interface OpenItem {
  /** Parts of the item by their content index. */
  readonly parts: Map<number, { readonly part: number; length: number }>;
}

/** Builds the events of one response, from a stream or from a body. */
class OutputParser {
  #events: ModelEvent[] = [];
  readonly #items = new Map<number, OpenItem>();
  readonly #done = new Set<number>();
  #partCount = 0;
  #hasCall = false;
  #finish: Extract<ModelEvent, { type: 'finish' }> | null = null;

  take(): readonly ModelEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  start(response: Fields): void {
    this.#events.push({ type: 'start', id: textOrNull(response['id']), model: textOrNull(response['model']) });
  }

  itemAdded(at: number, item: Fields): void {
    const head = callHead(item) ?? foreignHead(item);
    if (head === null) return;
    this.#begin(at, 0, head);
    if (head.type === 'tool_call') this.#hasCall = true;
  }

  /** `head`: starts a part if none is open at that index; null only continues an open part. */
  append(at: number, within: number, head: PartHead | null, text: string): void {
    if (text === '' || this.#done.has(at)) return;
    const open = this.#items.get(at)?.parts.get(within) ?? (head === null ? null : this.#begin(at, within, head));
    if (open === null) return;
    open.length += text.length;
    this.#events.push({ type: 'delta', choice: 0, part: open.part, text });
  }

  nextSummary(at: number): void {
    const open = this.#items.get(at)?.parts.get(0);
    if (open !== undefined && open.length > 0) this.append(at, 0, null, '\n\n');
  }

  /** Content that came in no delta is taken from the finished item. */
  itemDone(at: number, item: Fields): void {
    if (this.#done.has(at)) return;
    if (!this.#items.has(at)) this.itemAdded(at, item);
    const hasText = [...(this.#items.get(at)?.parts.values() ?? [])].some(({ length }) => length > 0);
    if (!hasText) this.#appendItem(at, item);
    const encrypted = textOrNull(item['encrypted_content']);
    const opaque: Opaque | null = encrypted === null ? null : { dialect: 'openai-responses', value: encrypted };
    if (item['type'] === 'reasoning' && opaque !== null && !this.#items.has(at)) this.#begin(at, 0, { type: 'reasoning' });
    this.#endItem(at, opaque);
  }

  finish(response: Fields): void {
    if (this.#events.length === 0 && this.#partCount === 0) this.start(response);
    for (const [at, item] of recordsIn(response['output']).entries()) this.itemDone(at, item);
    const usage = readUsage(response['usage'], response['service_tier']);
    if (usage !== null) this.#events.push({ type: 'usage', usage });
    const status = textIn(response['status']);
    const details = response['incomplete_details'];
    const reason = isRecord(details) ? textIn(details['reason']) : '';
    const raw = status === 'incomplete' && reason !== '' ? reason : status;
    this.#finish = { type: 'finish', choice: 0, reason: this.#classOf(status, reason), raw, stopSequence: null };
  }

  end(): readonly ModelEvent[] {
    for (const at of this.#items.keys()) this.#endItem(at, null);
    this.#events.push(
      this.#finish ?? { type: 'finish', choice: 0, reason: this.#hasCall ? 'tool_calls' : 'stop', raw: '', stopSequence: null },
      { type: 'end' },
    );
    return this.take();
  }

  #classOf(status: string, reason: string): FinishClass {
    if (status !== 'incomplete') return this.#hasCall ? 'tool_calls' : 'stop';
    if (reason === 'max_output_tokens') return 'length';
    return reason === 'content_filter' ? 'content_filter' : 'other';
  }

  #appendItem(at: number, item: Fields): void {
    switch (item['type']) {
      case 'message':
        for (const [within, part] of recordsIn(item['content']).entries()) {
          if (part['type'] === 'refusal') this.append(at, within, { type: 'refusal' }, textIn(part['refusal']));
          else this.append(at, within, { type: 'text' }, textIn(part['text']));
        }
        return;
      case 'reasoning':
        return this.append(
          at,
          0,
          { type: 'reasoning' },
          [...recordsIn(item['summary']), ...recordsIn(item['content'])].map((part) => textIn(part['text'])).join('\n\n'),
        );
      case 'function_call':
        return this.append(at, 0, null, textIn(item['arguments']) || '{}');
      case 'custom_tool_call':
        return this.append(at, 0, null, textIn(item['input']));
      case 'image_generation_call':
        return this.#media(at, item);
      default:
    }
  }

  #media(at: number, item: Fields): void {
    const base64 = textIn(item['result']);
    if (base64 === '') return;
    const mime = `image/${textOrNull(item['output_format']) ?? 'png'}`;
    this.#begin(at, 1, { type: 'media', source: { kind: 'data', mime, base64 } });
  }

  #begin(at: number, within: number, head: PartHead): { readonly part: number; length: number } {
    let item = this.#items.get(at);
    if (item === undefined) this.#items.set(at, (item = { parts: new Map() }));
    const open = { part: this.#partCount++, length: 0 };
    item.parts.set(within, open);
    this.#events.push({ type: 'part_start', choice: 0, part: open.part, head });
    return open;
  }

  #endItem(at: number, opaque: Opaque | null): void {
    this.#done.add(at);
    const item = this.#items.get(at);
    if (item === undefined) return;
    this.#items.delete(at);
    for (const { part } of item.parts.values()) this.#events.push({ type: 'part_end', choice: 0, part, opaque });
  }
}

function callHead(item: Fields): PartHead | null {
  const isCustom = item['type'] === 'custom_tool_call';
  if (!isCustom && item['type'] !== 'function_call') return null;
  const name = flatToolName(textOrNull(item['namespace']), textIn(item['name']));
  return { type: 'tool_call', id: textIn(item['call_id']), name, kind: isCustom ? 'custom' : 'function' };
}

/** Calls of hosted tools and items of unknown type. */
function foreignHead(item: Fields): PartHead | null {
  const type = textOrNull(item['type']);
  return type === null || type === 'message' || type === 'reasoning' ? null : { type: 'foreign', name: type };
}
