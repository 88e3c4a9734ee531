/** Messages and their streams, as Anthropic writes them. */
import { callsOf } from '../content.ts';
import type { Choice, Finish, ToolCall } from '../content.ts';
import type { ResponseFacts, PlainBody, StreamEvent } from '../dialect.ts';

const STOP: Readonly<Record<Finish, string | null>> = {
  stop: 'end_turn',
  length: 'max_tokens',
  tool: 'tool_use',
  filter: 'refusal',
  none: null,
};

/** What a message says besides what was generated. */
export interface MessageParts {
  readonly model: string;
  /** Signs the thinking that comes first. */
  readonly sign: (thinking: string, call: number) => string;
  /** False: the thinking is signed, and its text is left out. */
  readonly showsThinking: boolean;
  /** Thinking blocks of the request that were left out. */
  readonly transformations: readonly unknown[];
}

interface Block {
  /** As it opens in a stream. */
  readonly opening: Record<string, unknown>;
  readonly deltas: readonly Record<string, unknown>[];
  /** As it stands in a whole message. */
  readonly whole: Record<string, unknown>;
}

/** The whole message. */
export function plainMessage(parts: MessageParts, choice: Choice | undefined, facts: ResponseFacts): PlainBody {
  const content = blocksOf(parts, choice, facts).map(({ whole }) => whole);
  const message = { ...envelope(parts, facts), content, ...stopOf(choice), usage: usageOf(facts.usage) };
  return { contentType: 'application/json', body: JSON.stringify(message) };
}

/** The message as events. */
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
  const blocks = choice.thoughts === undefined ? [] : [thinkingBlock(parts, choice.thoughts, facts)];
  if (choice.kind === 'absent' || choice.kind === 'null') return blocks;
  if (choice.pieces.length === 0 && choice.finish === 'length' && blocks.length > 0) return blocks;
  if (choice.kind !== 'tool') return [...blocks, textBlock(choice)];
  return [...blocks, ...callsOf(choice).map((call, at) => toolBlock(call, `toolu_storm${facts.call}${at === 0 ? '' : `_${at}`}`))];
}

function thinkingBlock({ sign, showsThinking }: MessageParts, thoughts: readonly string[], facts: ResponseFacts): Block {
  const pieces = showsThinking ? thoughts : [];
  const thinking = pieces.join('');
  const signature = sign(thinking, facts.call);
  return {
    opening: { type: 'thinking', thinking: '', signature: '' },
    deltas: [...pieces.map((piece) => ({ type: 'thinking_delta', thinking: piece })), { type: 'signature_delta', signature }],
    whole: { type: 'thinking', thinking, signature },
  };
}

function textBlock({ pieces }: Choice): Block {
  return {
    opening: { type: 'text', text: '' },
    deltas: pieces.map((text) => ({ type: 'text_delta', text })),
    whole: { type: 'text', text: pieces.join('') },
  };
}

function toolBlock({ pieces, tool }: ToolCall, id: string): Block {
  const block = { type: 'tool_use', id, name: tool };
  return {
    opening: { ...block, input: {} },
    deltas: pieces.map((piece) => ({ type: 'input_json_delta', partial_json: piece })),
    // A call cut at its bound is no whole JSON.
    whole: { ...block, input: parsed(pieces.join('')) },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return {};
  }
}

function eventOf(part: StreamEvent['part'], type: string, fields: Record<string, unknown>): StreamEvent {
  return { part, name: type, data: JSON.stringify({ type, ...fields }) };
}
