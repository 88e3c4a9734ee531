/** `POST /v1/messages`. Thinking is signed for the key that it was made under, and refused under any other. */
import type { Choice, Finish, Prompt } from '../content.ts';
import type { AnswerFacts, Ask, Failure, PlainBody, Received, StreamEvent } from '../dialect.ts';
import { hashText } from '../chance.ts';
import { countInput, isObject, readFields, wholeNumber } from '../openai/request.ts';
import type { Fields } from '../openai/request.ts';

const STOP: Readonly<Record<Finish, string | null>> = {
  stop: 'end_turn',
  length: 'max_tokens',
  tool: 'tool_use',
  filter: 'refusal',
  none: null,
};

const THOUGHTS = ['The user', ' asks about', ' the storm.'];

export function readMessages(received: Received): Ask | Failure {
  const read = readFields(received);
  if ('reason' in read) return read;
  const { fields } = read;
  const fault = faultIn(received, fields);
  if (fault !== null) return fault;
  const messages = fields['messages'] as readonly unknown[];
  const model = fields['model'] as string;
  const scene: Scene = { model, signature: thinks(fields) ? signatureFor(received) : null };
  return {
    model,
    stream: fields['stream'] === true,
    inputTokens: countInput(received, fields),
    outputBound: wholeNumber(fields['max_tokens']),
    prompt: toPrompt(fields, messages),
    fields,
    plain: (choices, facts) => plainMessage(scene, choices[0], facts),
    events: (choices, facts) => streamMessage(scene, choices[0], facts),
  };
}

/** `POST /v1/messages/count_tokens`. */
export function readCount(received: Received): Ask | Failure {
  const read = readFields(received);
  if ('reason' in read) return read;
  const inputTokens = countInput(received, read.fields);
  const body = JSON.stringify({ input_tokens: inputTokens });
  const plain = (): PlainBody => ({ contentType: 'application/json', body });
  return { model: read.fields['model'] as string, stream: false, inputTokens, outputBound: 0, fields: read.fields, plain };
}

function faultIn(received: Received, fields: Fields): Failure | null {
  const invalid = (message: string): Failure => ({ reason: 'invalid', message });
  const version = received.headers['anthropic-version'];
  if (typeof version !== 'string') return invalid('anthropic-version: header is required');
  if (wholeNumber(fields['max_tokens']) === undefined) return invalid('max_tokens: Field required');
  const { messages } = fields;
  if (!Array.isArray(messages) || messages.length === 0) return invalid('messages: at least one message is required');
  const roles = messages.map((message) => (isObject(message) ? message['role'] : undefined));
  const strange = roles.find((role) => role !== 'user' && role !== 'assistant' && role !== 'system');
  if (strange !== undefined) return invalid(`messages: Unexpected role "${String(strange)}"`);
  if (roles[0] === 'assistant') return invalid('messages: first message must use the "user" role');
  if (version >= '2026-10-21' && ['temperature', 'top_p', 'top_k'].some((name) => fields[name] !== undefined)) {
    return invalid('temperature: Extra inputs are not permitted');
  }
  return faultInBlocks(messages, signatureFor(received));
}

/** Every call has its result in the next message, every signature is of this key. */
function faultInBlocks(messages: readonly unknown[], signature: string): Failure | null {
  const invalid = (message: string): Failure => ({ reason: 'invalid', message });
  for (const [i, message] of messages.entries()) {
    const blocks = blocksOf(message);
    if (blocks.some((block) => block['type'] === 'thinking' && block['signature'] !== signature)) {
      return invalid(`messages.${i}.content.0: Invalid \`signature\` in \`thinking\` block`);
    }
    const calls = blocks.filter((block) => block['type'] === 'tool_use').map((block) => block['id']);
    const results = new Set(blocksOf(messages[i + 1]).map((block) => block['tool_use_id']));
    const open = calls.find((id) => !results.has(id));
    if (open !== undefined) {
      return invalid(`messages.${i}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${String(open)}`);
    }
    if (calls.some((id) => typeof id !== 'string' || !/^[a-zA-Z0-9_-]+$/.test(id))) {
      return invalid(`messages.${i}.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'`);
    }
  }
  return null;
}

function blocksOf(message: unknown): readonly Record<string, unknown>[] {
  return isObject(message) && Array.isArray(message['content']) ? message['content'].filter(isObject) : [];
}

function thinks(fields: Fields): boolean {
  const { thinking } = fields;
  return isObject(thinking) && (thinking['type'] === 'enabled' || thinking['type'] === 'adaptive');
}

function signatureFor({ headers }: Received): string {
  const key = headers.authorization?.replace(/^Bearer /, '') ?? headers['x-api-key'];
  return `storm-${hashText(String(key), 7).toString(36)}`;
}

function toPrompt(fields: Fields, messages: readonly unknown[]): Prompt {
  const prompt: Prompt = { text: lastUserText(messages), choices: 1 };
  const { output_config: config } = fields;
  const format = isObject(config) ? config['format'] : undefined;
  if (isObject(format) && format['type'] === 'json_schema') prompt.json = { schema: format['schema'] };
  const tool = calledTool(fields);
  if (tool !== undefined) prompt.tool = tool;
  return prompt;
}

function lastUserText(messages: readonly unknown[]): string {
  for (const message of messages.toReversed()) {
    if (!isObject(message) || message['role'] !== 'user') continue;
    if (typeof message['content'] === 'string') return message['content'];
    return blocksOf(message)
      .map((block) => (typeof block['text'] === 'string' ? block['text'] : ''))
      .join('');
  }
  return '';
}

/** The tool to be called: the named one, or the first where one is required. */
function calledTool(fields: Fields): { name: string; parameters: unknown } | undefined {
  const { tools, tool_choice: choice } = fields;
  if (!Array.isArray(tools) || !isObject(choice) || (choice['type'] !== 'any' && choice['type'] !== 'tool')) return undefined;
  const wanted = choice['type'] === 'tool' ? choice['name'] : undefined;
  const tool = tools.find((one) => isObject(one) && typeof one['name'] === 'string' && (wanted === undefined || one['name'] === wanted));
  return isObject(tool) ? { name: String(tool['name']), parameters: tool['input_schema'] } : undefined;
}

interface Scene {
  readonly model: string;
  /** Of the thinking that comes first; null: there is none. */
  readonly signature: string | null;
}

function usageOf({ input, output }: AnswerFacts['usage']): Record<string, unknown> {
  return {
    input_tokens: input,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: output,
    service_tier: 'standard',
  };
}

function envelope(scene: Scene, facts: AnswerFacts): Record<string, unknown> {
  return { id: `msg_storm${facts.call}`, type: 'message', role: 'assistant', model: scene.model };
}

function stopOf(choice: Choice | undefined): Record<string, unknown> {
  const reason = choice === undefined || choice.kind === 'absent' ? null : choice.kind === 'refusal' ? 'refusal' : STOP[choice.finish];
  return { stop_reason: reason, stop_sequence: null };
}

function callId(facts: AnswerFacts): string {
  return `toolu_storm${facts.call}`;
}

function plainMessage(scene: Scene, choice: Choice | undefined, facts: AnswerFacts): PlainBody {
  const thinking = scene.signature === null ? [] : [{ type: 'thinking', thinking: THOUGHTS.join(''), signature: scene.signature }];
  const content = [...thinking, ...contentOf(choice, facts)];
  const message = { ...envelope(scene, facts), content, ...stopOf(choice), usage: usageOf(facts.usage) };
  return { contentType: 'application/json', body: JSON.stringify(message) };
}

function contentOf(choice: Choice | undefined, facts: AnswerFacts): Record<string, unknown>[] {
  if (choice === undefined || choice.kind === 'absent' || choice.kind === 'null') return [];
  const text = choice.pieces.join('');
  if (choice.kind !== 'tool') return [{ type: 'text', text }];
  // A call cut at its bound is no whole JSON.
  return [{ type: 'tool_use', id: callId(facts), name: choice.tool, input: parsed(text) }];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return {};
  }
}

function eventOf(part: StreamEvent['part'], type: string, fields: Record<string, unknown>): StreamEvent {
  return { part, text: `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n` };
}

function streamMessage(scene: Scene, choice: Choice | undefined, facts: AnswerFacts): StreamEvent[] {
  const message = { ...envelope(scene, facts), content: [], stop_reason: null, stop_sequence: null };
  const usage = { ...usageOf(facts.usage), output_tokens: 1 };
  const events = [eventOf('preamble', 'message_start', { message: { ...message, usage } }), eventOf('preamble', 'ping', {})];
  let index = 0;
  if (scene.signature !== null) events.push(...thinkingEvents(index++, scene.signature));
  if (choice !== undefined && choice.kind !== 'absent' && choice.kind !== 'null') events.push(...blockEvents(index, choice, facts));
  const stop = stopOf(choice);
  if (stop['stop_reason'] !== null) {
    events.push(eventOf('finish', 'message_delta', { delta: stop, usage: { output_tokens: facts.usage.output } }));
  }
  return [...events, eventOf('done', 'message_stop', {})];
}

function thinkingEvents(index: number, signature: string): StreamEvent[] {
  return [
    eventOf('preamble', 'content_block_start', { index, content_block: { type: 'thinking', thinking: '', signature: '' } }),
    ...THOUGHTS.map((thinking) => eventOf('content', 'content_block_delta', { index, delta: { type: 'thinking_delta', thinking } })),
    eventOf('content', 'content_block_delta', { index, delta: { type: 'signature_delta', signature } }),
    eventOf('content', 'content_block_stop', { index }),
  ];
}

function blockEvents(index: number, choice: Choice, facts: AnswerFacts): StreamEvent[] {
  const isTool = choice.kind === 'tool';
  const block = isTool ? { type: 'tool_use', id: callId(facts), name: choice.tool, input: {} } : { type: 'text', text: '' };
  const delta = (piece: string): Record<string, unknown> =>
    isTool ? { type: 'input_json_delta', partial_json: piece } : { type: 'text_delta', text: piece };
  return [
    eventOf('preamble', 'content_block_start', { index, content_block: block }),
    ...choice.pieces.map((piece) => eventOf('content', 'content_block_delta', { index, delta: delta(piece) })),
    eventOf('finish', 'content_block_stop', { index }),
  ];
}
