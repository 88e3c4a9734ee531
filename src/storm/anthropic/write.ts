/** Formats messages and their streams. */
import { argumentsOf, callsOf } from '../content.ts';
import type { Choice, Finish, ToolCall } from '../content.ts';
import type { ResponseFacts, ResponseBody, StreamEvent } from '../dialect.ts';

const STOP: Readonly<Record<Finish, string | null>> = {
  stop: 'end_turn',
  length: 'max_tokens',
  tool: 'tool_use',
  filter: 'refusal',
  none: null,
};

/** What a message contains besides the generated content. */
export interface MessageParts {
  readonly model: string;
  /** Signs the thinking block. */
  readonly sign: (thinking: string, call: number) => string;
  /** If false, the thinking is signed and its text left empty. */
  readonly showsThinking: boolean;
  /** Thinking blocks of the request that were dropped. */
  readonly transformations: readonly unknown[];
}

interface Block {
  /** The block as it starts in a stream. */
  readonly opening: Record<string, unknown>;
  readonly deltas: readonly Record<string, unknown>[];
  /** The block in a complete message. */
  readonly whole: Record<string, unknown>;
}

/** The complete message. */
export function messageBody(parts: MessageParts, choice: Choice | undefined, facts: ResponseFacts): ResponseBody {
  const content = blocksOf(parts, choice, facts).map(({ whole }) => whole);
  const message = { ...envelope(parts, facts), content, ...stopOf(choice), usage: usageOf(facts.usage) };
  return { contentType: 'application/json', body: JSON.stringify(message) };
}

/** The message as stream events. */
export function streamMessage(parts: MessageParts, choice: Choice | undefined, facts: ResponseFacts): StreamEvent[] {
  const message = { ...envelope(parts, facts), content: [], stop_reason: null, stop_sequence: null };
  const usage = { ...usageOf(facts.usage), output_tokens: 1 };
  const events = [eventOf('preamble', 'message_start', { message: { ...message, usage } }), eventOf('preamble', 'ping', {})];
  const blocks = blocksOf(parts, choice, facts);
  for (const [index, { opening, deltas }] of blocks.entries()) {
    events.push(eventOf('preamble', 'content_block_start', { index, content_block: opening }));
    for (const delta of deltas) events.push(eventOf('content', 'content_block_delta', { index, delta }));
    events.push(eventOf(index === blocks.length - 1 ? 'finish' : 'content', 'content_block_stop', { index }));
  }
  const stop = stopOf(choice);
  if (stop['stop_reason'] !== null) {
    events.push(eventOf('finish', 'message_delta', { delta: stop, usage: { output_tokens: facts.usage.output } }));
  }
  return [...events, eventOf('done', 'message_stop', {})];
}

function usageOf({ input, output }: ResponseFacts['usage']): Record<string, unknown> {
  return {
    input_tokens: input,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: output,
    service_tier: 'standard',
  };
}

function envelope({ model, transformations }: MessageParts, facts: ResponseFacts): Record<string, unknown> {
  const dropped = transformations.length === 0 ? {} : { input_transformations: transformations };
  return { id: `msg_storm${facts.call}`, type: 'message', role: 'assistant', model, ...dropped };
}

function stopOf(choice: Choice | undefined): Record<string, unknown> {
  const word = choice?.kind === 'refusal' ? 'refusal' : STOP[choice?.finish ?? 'none'];
  const reason = choice?.reason ?? word;
  const details = reason === 'refusal' ? { stop_details: { type: 'refusal', category: null, explanation: null } } : {};
  return { stop_reason: reason, stop_sequence: null, ...details };
}

function blocksOf(parts: MessageParts, choice: Choice | undefined, facts: ResponseFacts): Block[] {
  if (choice === undefined) return [];
  const blocks = choice.reasoning === undefined ? [] : [thinkingBlock(parts, choice.reasoning, facts)];
  if (choice.kind === 'absent' || choice.kind === 'null') return blocks;
  if (choice.deltas.length === 0 && choice.finish === 'length' && blocks.length > 0) return blocks;
  if (choice.kind !== 'tool') return [...blocks, textBlock(choice)];
  return [...blocks, ...callsOf(choice).map((call, at) => toolBlock(call, `toolu_storm${facts.call}${at === 0 ? '' : `_${at}`}`))];
}

function thinkingBlock({ sign, showsThinking }: MessageParts, reasoning: readonly string[], facts: ResponseFacts): Block {
  const deltas = showsThinking ? reasoning : [];
  const thinking = deltas.join('');
  const signature = sign(thinking, facts.call);
  return {
    opening: { type: 'thinking', thinking: '', signature: '' },
    deltas: [...deltas.map((delta) => ({ type: 'thinking_delta', thinking: delta })), { type: 'signature_delta', signature }],
    whole: { type: 'thinking', thinking, signature },
  };
}

function textBlock({ deltas }: Choice): Block {
  return {
    opening: { type: 'text', text: '' },
    deltas: deltas.map((text) => ({ type: 'text_delta', text })),
    whole: { type: 'text', text: deltas.join('') },
  };
}

function toolBlock({ deltas, tool }: ToolCall, id: string): Block {
  const block = { type: 'tool_use', id, name: tool };
  return {
    opening: { ...block, input: {} },
    deltas: deltas.map((delta) => ({ type: 'input_json_delta', partial_json: delta })),
    // A call truncated at the output limit is not valid JSON.
    whole: { ...block, input: argumentsOf(deltas) },
  };
}

function eventOf(part: StreamEvent['part'], type: string, fields: Record<string, unknown>): StreamEvent {
  return { part, name: type, data: JSON.stringify({ type, ...fields }) };
}
