/** `POST /v1/messages` and `/v1/messages/count_tokens`. Thinking is signed for the key and model that it was made under, and refused under any other. */
import type { Prompt } from '../content.ts';
import type { Ask, Failure, PlainBody, Received } from '../dialect.ts';
import type { Framing } from '../framings.ts';
import { countInput, isObject, readFields, wholeNumber } from '../request.ts';
import type { Fields } from '../request.ts';
import type { Seals } from '../seals.ts';
import { faultInRequest, prefillOf } from './rules.ts';
import { blocksOf, showsThinking, thinks, verifyThinking } from './thinking.ts';
import { plainMessage, streamMessage } from './write.ts';
import type { MessageParts } from './write.ts';

/** How a host takes Messages: Anthropic itself, or a cloud that puts the model and the form into the path. */
export interface MessagesHost {
  readonly seals: Seals;
  readonly keyOf: (received: Received) => string;
  /** Where `anthropic-version` stands. */
  readonly version: 'header' | 'body';
  /** The path's own word for whether a stream is wanted; absent where the body's `stream` says it. */
  readonly stream?: boolean;
  readonly framing?: Framing;
}

/** Reads a request for a message. */
export function readMessages(received: Received, host: MessagesHost): Ask | Failure {
  const read = readFields(received);
  if ('reason' in read) return read;
  const { fields } = read;
  const version = host.version === 'header' ? received.headers['anthropic-version'] : fields['anthropic_version'];
  if (typeof version !== 'string') return invalid(`anthropic${host.version === 'header' ? '-' : '_'}version: ${MISSING[host.version]}`);
  const fault = faultInRequest(fields, version);
  if (fault !== undefined) return fault;
  const messages = fields['messages'] as readonly unknown[];
  const owner = { key: host.keyOf(received), model: fields['model'] as string };
  const thinking = verifyThinking(fields, messages, host.seals, owner);
  if ('reason' in thinking) return thinking;
  const parts: MessageParts = {
    model: owner.model,
    sign: (text, call) => host.seals.seal('thinking', owner, text, call),
    showsThinking: showsThinking(fields),
    transformations: thinking.dropped,
  };
  return {
    model: owner.model,
    stream: host.stream ?? fields['stream'] === true,
    inputTokens: countInput(received, fields),
    outputBound: wholeNumber(fields['max_tokens']),
    prompt: toPrompt(fields, messages),
    fields,
    ...(host.framing === undefined ? {} : { framing: host.framing }),
    plain: (choices, facts) => plainMessage(parts, choices[0], facts),
    events: (choices, facts) => streamMessage(parts, choices[0], facts),
  };
}

const MISSING = { header: 'header is required', body: 'Field required' };

/** Reads a request for a count of tokens. */
export function readCount(received: Received): Ask | Failure {
  const read = readFields(received);
  if ('reason' in read) return read;
  const inputTokens = countInput(received, read.fields);
  const body = JSON.stringify({ input_tokens: inputTokens });
  const plain = (): PlainBody => ({ contentType: 'application/json', body });
  return { model: read.fields['model'] as string, stream: false, inputTokens, outputBound: 0, fields: read.fields, plain };
}

function invalid(message: string): Failure {
  return { reason: 'invalid', message };
}

function toPrompt(fields: Fields, messages: readonly unknown[]): Prompt {
  const prompt: Prompt = { text: lastUserText(messages), choices: 1, reasons: thinks(fields) };
  const { output_config: config } = fields;
  const format = isObject(config) ? config['format'] : undefined;
  if (isObject(format) && format['type'] === 'json_schema') prompt.json = { schema: format['schema'] };
  const partial = prefillOf(messages);
  if (partial !== undefined) prompt.partial = partial;
  const { tools } = fields;
  if (Array.isArray(tools)) prompt.offered = tools.filter(isObject).map(({ name }) => String(name));
  prompt.isAfterResult = blocksOf(messages.at(-1)).some(({ type }) => type === 'tool_result');
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
