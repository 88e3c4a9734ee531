/** Output items as they start, grow and end; streams and complete responses are built from the same items. */
import { callsOf } from '../content.ts';
import type { Choice, ToolCall } from '../content.ts';
import type { ResponseFacts, EventPart } from '../dialect.ts';
import type { SealOwner, Seals } from '../seals.ts';
import type { CallableTool } from './tools.ts';

/** An event of an item, without its position in the stream. */
export interface ItemEvent {
  readonly part: EventPart;
  readonly type: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface OutputItem {
  /** The item in `output`. */
  readonly whole: Readonly<Record<string, unknown>>;
  /** The item in `output_item.added`. */
  readonly opening: Readonly<Record<string, unknown>>;
  /** Events between `output_item.added` and `output_item.done`. */
  readonly events: readonly ItemEvent[];
}

export interface OutputParts {
  readonly seals: Seals;
  readonly owner: SealOwner;
  readonly tools: readonly CallableTool[];
  /** `reasoning.summary` asks for a summary. */
  readonly showsSummary: boolean;
  /** `include` asks for encrypted content. */
  readonly showsEncrypted: boolean;
  /** Deltas are padded to hide their length, unless `include_obfuscation` is false. */
  readonly obfuscates: boolean;
}

/** The output items of a choice. */
export function outputItems(parts: OutputParts, choice: Choice | undefined, facts: ResponseFacts): OutputItem[] {
  if (choice === undefined) return [];
  const items = choice.reasoning === undefined ? [] : [reasoningItem(parts, choice.reasoning, facts)];
  if (choice.kind === 'absent' || choice.kind === 'null') return items;
  // A response truncated within its reasoning has no message.
  if (choice.reasoning !== undefined && choice.finish === 'length' && choice.deltas.length === 0) return items;
  if (choice.kind !== 'tool') return [...items, messageItem(parts, choice, facts)];
  return [
    ...items,
    ...callsOf(choice).map((call, at) => callItem(parts, call, statusOf(choice), `${parts.seals.idOf(facts.call)}${at === 0 ? '' : at}`)),
  ];
}

const PADDING = 'xxxxxxxxxxxxxxxx';

function deltaEvent({ obfuscates }: OutputParts, type: string, text: string, more: Readonly<Record<string, unknown>>): ItemEvent {
  const obfuscation = obfuscates ? { obfuscation: PADDING.slice(text.length % PADDING.length) } : {};
  return { part: 'content', type, fields: { ...more, delta: text, ...obfuscation } };
}

function reasoningItem(parts: OutputParts, reasoning: readonly string[], facts: ResponseFacts): OutputItem {
  const id = `rs_${parts.seals.idOf(facts.call)}`;
  const text = reasoning.join('');
  const summary = parts.showsSummary ? [{ type: 'summary_text', text }] : [];
  const encrypted = parts.showsEncrypted ? { encrypted_content: parts.seals.seal('reasoning', parts.owner, '', facts.call) } : {};
  const place = { item_id: id, summary_index: 0 };
  const events: ItemEvent[] = parts.showsSummary
    ? [
        { part: 'preamble', type: 'response.reasoning_summary_part.added', fields: { ...place, part: { type: 'summary_text', text: '' } } },
        ...reasoning.map((delta) => deltaEvent(parts, 'response.reasoning_summary_text.delta', delta, place)),
        { part: 'content', type: 'response.reasoning_summary_text.done', fields: { ...place, text } },
        { part: 'content', type: 'response.reasoning_summary_part.done', fields: { ...place, part: summary[0] } },
      ]
    : [];
  return {
    whole: { id, type: 'reasoning', ...encrypted, summary },
    opening: { id, type: 'reasoning', ...encrypted, summary: [] },
    events,
  };
}

function messageItem(parts: OutputParts, choice: Choice, facts: ResponseFacts): OutputItem {
  const id = `msg_${parts.seals.idOf(facts.call)}`;
  const text = choice.deltas.join('');
  const isRefusal = choice.kind === 'refusal';
  const place = { item_id: id, content_index: 0 };
  const part = (words: string) =>
    isRefusal ? { type: 'refusal', refusal: words } : { type: 'output_text', annotations: [], logprobs: [], text: words };
  const type = isRefusal ? 'response.refusal' : 'response.output_text';
  const more = isRefusal ? place : { ...place, logprobs: [] };
  const message = { id, type: 'message', role: 'assistant' };
  return {
    whole: { ...message, status: statusOf(choice), content: [part(text)] },
    opening: { ...message, status: 'in_progress', content: [] },
    events: [
      { part: 'preamble', type: 'response.content_part.added', fields: { ...place, part: part('') } },
      ...choice.deltas.map((delta) => deltaEvent(parts, `${type}.delta`, delta, more)),
      { part: 'finish', type: `${type}.done`, fields: isRefusal ? { ...more, refusal: text } : { ...more, text } },
      { part: 'finish', type: 'response.content_part.done', fields: { ...place, part: part(text) } },
    ],
  };
}

/** `code` makes the call ids unique. */
function callItem(parts: OutputParts, { tool: name, deltas }: ToolCall, status: string, code: string): OutputItem {
  const tool = parts.tools.find((one) => one.name === name);
  const isCustom = tool?.isCustom === true;
  const id = `${isCustom ? 'ctc' : 'fc'}_${code}`;
  const field = isCustom ? 'input' : 'arguments';
  const text = deltas.join('');
  const call = {
    id,
    type: isCustom ? 'custom_tool_call' : 'function_call',
    call_id: `call_${code.slice(-24)}`,
    name,
    ...(tool?.namespace === undefined ? {} : { namespace: tool.namespace }),
  };
  const event = isCustom ? 'response.custom_tool_call_input' : 'response.function_call_arguments';
  const place = { item_id: id };
  return {
    whole: { ...call, status, [field]: text },
    opening: { ...call, status: 'in_progress', [field]: '' },
    events: [
      ...deltas.map((delta) => deltaEvent(parts, `${event}.delta`, delta, place)),
      { part: 'finish', type: `${event}.done`, fields: { ...place, [field]: text } },
    ],
  };
}

function statusOf({ finish }: Choice): string {
  return finish === 'length' || finish === 'filter' ? 'incomplete' : 'completed';
}
