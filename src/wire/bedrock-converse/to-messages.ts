/** Rewrites Converse responses, streamed or not, as Messages responses. */
import { isRecord } from '../../core/json.ts';
import { recordsIn, textIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';

/** All other stop reasons are the same in both APIs. */
const STOP: Readonly<Record<string, string>> = { guardrail_intervened: 'refusal', content_filtered: 'refusal' };

/** Rewrites a non-streaming response; any other value is returned unchanged. */
export function toMessage(value: unknown): unknown {
  if (!isRecord(value) || !isRecord(value['output'])) return value;
  const { message } = value['output'];
  return {
    type: 'message',
    role: 'assistant',
    content: isRecord(message) ? recordsIn(message['content']).flatMap(toBlock) : undefined,
    stop_reason: stopOf(value['stopReason']),
    usage: toUsage(value['usage']),
  };
}

function toBlock(block: Fields): Fields[] {
  const { text, toolUse, reasoningContent: reasoning } = block;
  if (typeof text === 'string') return [{ type: 'text', text }];
  if (isRecord(toolUse)) return [{ type: 'tool_use', id: toolUse['toolUseId'], name: toolUse['name'], input: toolUse['input'] ?? {} }];
  if (!isRecord(reasoning)) return [];
  const { reasoningText, redactedContent } = reasoning;
  if (isRecord(reasoningText))
    return [{ type: 'thinking', thinking: textIn(reasoningText['text']), signature: textIn(reasoningText['signature']) }];
  return typeof redactedContent === 'string' ? [{ type: 'redacted_thinking', data: redactedContent }] : [];
}

function stopOf(reason: unknown): string | null {
  const own = textOrNull(reason);
  return own === null ? null : (STOP[own] ?? own);
}

function toUsage(usage: unknown): Fields | undefined {
  if (!isRecord(usage)) return undefined;
  return {
    input_tokens: usage['inputTokens'],
    output_tokens: usage['outputTokens'],
    cache_read_input_tokens: usage['cacheReadInputTokens'],
    cache_creation_input_tokens: usage['cacheWriteInputTokens'],
  };
}

/** Rewrites the events of one stream. Text and reasoning blocks start with their first delta. */
export class MessageEvents {
  readonly #open = new Set<unknown>();

  /** The Messages events for a Converse event; empty if there is no equivalent. */
  write(name: string, event: Fields): readonly Fields[] {
    const { contentBlockIndex: index } = event;
    switch (name) {
      case 'messageStart':
        return [{ type: 'message_start', message: { type: 'message', role: 'assistant', content: [] } }];
      case 'contentBlockStart':
        return isRecord(event['start']) && isRecord(event['start']['toolUse']) ? this.#startCall(index, event['start']['toolUse']) : [];
      case 'contentBlockDelta':
        return isRecord(event['delta']) ? this.#delta(index, event['delta']) : [];
      case 'contentBlockStop':
        return this.#open.delete(index) ? [{ type: 'content_block_stop', index }] : [];
      case 'messageStop':
        return [{ type: 'message_delta', delta: { stop_reason: stopOf(event['stopReason']) } }];
      case 'metadata':
        return [{ type: 'message_delta', delta: {}, usage: toUsage(event['usage']) }, { type: 'message_stop' }];
      default:
        return [];
    }
  }

  #startCall(index: unknown, { toolUseId: id, name }: Fields): readonly Fields[] {
    this.#open.add(index);
    return [{ type: 'content_block_start', index, content_block: { type: 'tool_use', id, name, input: {} } }];
  }

  #delta(index: unknown, { text, toolUse, reasoningContent: reasoning }: Fields): readonly Fields[] {
    if (typeof text === 'string') return this.#piece(index, { type: 'text', text: '' }, { type: 'text_delta', text });
    if (isRecord(toolUse)) return [deltaOf(index, { type: 'input_json_delta', partial_json: textIn(toolUse['input']) })];
    if (!isRecord(reasoning)) return [];
    const { text: thinking, signature, redactedContent: data } = reasoning;
    if (typeof data === 'string') {
      this.#open.add(index);
      return [{ type: 'content_block_start', index, content_block: { type: 'redacted_thinking', data } }];
    }
    const delta =
      typeof signature === 'string' ? { type: 'signature_delta', signature } : { type: 'thinking_delta', thinking: textIn(thinking) };
    return this.#piece(index, { type: 'thinking', thinking: '', signature: '' }, delta);
  }

  #piece(index: unknown, block: Fields, delta: Fields): readonly Fields[] {
    const begins = !this.#open.has(index);
    this.#open.add(index);
    const piece = deltaOf(index, delta);
    return begins ? [{ type: 'content_block_start', index, content_block: block }, piece] : [piece];
  }
}

function deltaOf(index: unknown, delta: Fields): Fields {
  return { type: 'content_block_delta', index, delta };
}
