/** Non-streaming messages: reads and replaces their texts, converts them to and from streams. Unknown members are preserved. */
import { Buffer } from 'node:buffer';
import { isRecord } from '../../core/json.ts';
import type { AnswerChoice } from '../../core/quality.ts';
import { asBuffer, byteOrderMarkLength } from '../bytes.ts';
import type { StreamFold, RequestedForm, WholeResponse } from '../dialect.ts';
import { parseExact } from '../json-exact.ts';
import type { JsonOutline } from '../json-outline.ts';
import { recordsIn, textIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { FoldBudget, objectsIn, SMALL_BYTES_MAX } from '../parse-limits.ts';
import { writeJson } from '../write-json.ts';
import { finishClassOf } from './parse-stream.ts';
import { MessageFold } from './message-fold.ts';

/** The single choice of a message. */
export function messageChoices(body: Uint8Array, outline: JsonOutline | null = null): AnswerChoice[] {
  const value = body.byteLength > SMALL_BYTES_MAX && outline !== null ? outline.parse() : parse(body);
  const message = isRecord(value) ? value : {};
  const blocks = recordsIn(message['content']);
  const join = (type: string, read: (block: Fields) => string): string =>
    blocks
      .filter((block) => block['type'] === type)
      .map(read)
      .join('');
  const text = join('text', (block) => textIn(block['text']));
  const reason = textOrNull(message['stop_reason']);
  const details = message['stop_details'];
  return [
    {
      text,
      refusal: reason === 'refusal' && text === '' && isRecord(details) ? textIn(details['explanation']) : '',
      reasoning: join('thinking', (block) => textIn(block['thinking'])),
      callArguments: join('tool_use', (block) => JSON.stringify(block['input'] ?? {})),
      callsTool: blocks.some((block) => block['type'] === 'tool_use'),
      hasMedia: blocks.some((block) => !TEXTUAL.has(String(block['type']))),
      finishReason: reason,
    },
  ];
}

const TEXTUAL: ReadonlySet<string> = new Set(['text', 'thinking', 'redacted_thinking', 'tool_use']);

/** The first text block gets `text`; the other text blocks, which it replaces, are removed. */
export function withMessageTexts(body: Uint8Array, [text]: readonly (string | null)[]): Uint8Array {
  if (text === undefined || text === null) return body;
  const message = parse(body);
  let isFirst = true;
  const content: Fields[] = [];
  for (const block of recordsIn(message['content'])) {
    if (block['type'] !== 'text') content.push(block);
    else if (isFirst) content.push({ ...block, text });
    if (block['type'] === 'text') isFirst = false;
  }
  return Buffer.from(writeJson({ ...message, content }));
}

/** The stream events equivalent to a message. */
export function messageToStream(body: Uint8Array): Uint8Array {
  const { content, stop_reason: reason, stop_sequence: sequence, stop_details: details, usage, ...rest } = parse(body);
  const start = { ...rest, content: [], stop_reason: null, stop_sequence: null, usage };
  const texts = [eventText({ type: 'message_start', message: start })];
  for (const [index, block] of recordsIn(content).entries()) texts.push(...blockEvents(block, index));
  const delta = {
    stop_reason: reason ?? 'end_turn',
    stop_sequence: sequence ?? null,
    ...(details === undefined ? {} : { stop_details: details }),
  };
  texts.push(eventText({ type: 'message_delta', delta, usage: usage ?? { output_tokens: 0 } }), eventText({ type: 'message_stop' }));
  return Buffer.from(texts.join(''));
}

/** The start, deltas and stop of a block. Blocks of other types are complete in their start event. */
function blockEvents(block: Fields, index: number): string[] {
  const [empty, deltas] = splitBlock(block);
  return [
    eventText({ type: 'content_block_start', index, content_block: empty }),
    ...deltas.map((delta) => eventText({ type: 'content_block_delta', index, delta })),
    eventText({ type: 'content_block_stop', index }),
  ];
}

function splitBlock(block: Fields): [Fields, Fields[]] {
  switch (block['type']) {
    case 'text': {
      const { citations, ...rest } = block;
      const cited = recordsIn(citations).map((citation) => ({ type: 'citations_delta', citation }));
      const text = textIn(block['text']);
      return [{ ...rest, text: '' }, [...(text === '' ? [] : [{ type: 'text_delta', text }]), ...cited]];
    }
    case 'thinking': {
      const thinking = textIn(block['thinking']);
      const deltas = thinking === '' ? [] : [{ type: 'thinking_delta', thinking }];
      return [{ ...block, thinking: '', signature: '' }, [...deltas, { type: 'signature_delta', signature: textIn(block['signature']) }]];
    }
    case 'tool_use':
    case 'server_tool_use':
      return [{ ...block, input: {} }, [{ type: 'input_json_delta', partial_json: JSON.stringify(block['input'] ?? {}) }]];
    default:
      return [block, []];
  }
}

/** The message equivalent to a complete stream. */
export function streamToMessage(events: Uint8Array): Uint8Array {
  const fold = new MessageStreamFold();
  fold.push(events);
  return fold.finish();
}

export class MessageStreamFold implements StreamFold {
  readonly #fold = new MessageFold();
  readonly #budget = new FoldBudget();
  isTooLarge = false;

  push(events: Uint8Array): void {
    for (const data of objectsIn(events)) {
      this.isTooLarge ||= !this.#budget.allows(data);
      if (this.isTooLarge) return;
      const event = parseExact(data);
      if (isRecord(event)) this.#fold.add(event);
    }
  }

  finish(): Uint8Array {
    return Buffer.from(writeJson(this.#fold.finish()));
  }
}

export function messageInForm({ body, isStream }: WholeResponse, wanted: RequestedForm): Uint8Array {
  if (isStream === wanted.stream) return body;
  return wanted.stream ? messageToStream(body) : streamToMessage(body);
}

/** Can't match inside content: quotes in JSON strings are escaped. */
const STOP_REASON = /"stop_reason"\s*:\s*"([a-z_]{1,64})"/g;

export function isUnfinished(body: Uint8Array): boolean {
  for (const [, reason] of asBuffer(body).toString('latin1').matchAll(STOP_REASON)) {
    const finish = finishClassOf(reason!);
    if (finish === 'length' || finish === 'content_filter') return true;
  }
  return false;
}

function eventText(event: Fields & { readonly type: string }): string {
  return `event: ${event.type}\ndata: ${writeJson(event)}\n\n`;
}

function parse(body: Uint8Array): Fields {
  return parseExact(asBuffer(body).toString('utf8', byteOrderMarkLength(body))) as Fields;
}
