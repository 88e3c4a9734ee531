/** `POST /v1/messages` and `/v1/messages/count_tokens`. Thinking is signed for its key and model and rejected under any other. */
import { isRecord } from '../../core/json.ts';
import type { Prompt } from '../content.ts';
import type { ParsedRequest, Failure, ResponseBody, Received } from '../dialect.ts';
import type { Framing } from '../framings.ts';
import { asText, countInput, readFields, wholeNumber } from '../request.ts';
import type { Fields } from '../request.ts';
import type { Seals } from '../seals.ts';
import { faultInRequest, prefillOf } from './rules.ts';
import { blocksOf, showsThinking, thinks, verifyThinking } from './thinking.ts';
import { messageBody, streamMessage } from './write.ts';
import type { MessageParts } from './write.ts';

/** How a host serves Messages: Anthropic itself, or a cloud platform with the model and stream mode in the path. */
export interface MessagesHost {
  readonly seals: Seals;
  readonly keyOf: (received: Received) => string;
  /** Where `anthropic-version` is passed. */
  readonly version: 'header' | 'body';
  /** The stream mode in the path; absent if the body's `stream` sets it. */
  readonly stream?: boolean;
  readonly framing?: Framing;
}

/** Parses a Messages request. */
export function readMessages(received: Received, host: MessagesHost): ParsedRequest | Failure {
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
    outputLimit: wholeNumber(fields['max_tokens']),
    prompt: toPrompt(fields, messages),
    fields,
    ...(host.framing === undefined ? {} : { framing: host.framing }),
    body: (choices, facts) => messageBody(parts, choices[0], facts),
    events: (choices, facts) => streamMessage(parts, choices[0], facts),
  };
}

const MISSING = { header: 'header is required', body: 'Field required' };

/** Parses a token-count request. */
export function readCount(received: Received): ParsedRequest | Failure {
  const read = readFields(received);
  if ('reason' in read) return read;
  const inputTokens = countInput(received, read.fields);
  const json = JSON.stringify({ input_tokens: inputTokens });
  const body = (): ResponseBody => ({ contentType: 'application/json', body: json });
  return { model: read.fields['model'] as string, stream: false, inputTokens, outputLimit: 0, fields: read.fields, body };
}

function invalid(message: string): Failure {
  return { reason: 'invalid', message };
}

function toPrompt(fields: Fields, messages: readonly unknown[]): Prompt {
  const prompt: Prompt = { text: lastUserText(messages), choices: 1, reasons: thinks(fields) };
  const { output_config: config } = fields;
  const format = isRecord(config) ? config['format'] : undefined;
  if (isRecord(format) && format['type'] === 'json_schema') prompt.json = { schema: format['schema'] };
  const partial = prefillOf(messages);
  if (partial !== undefined) prompt.partial = partial;
  const { tools } = fields;
  if (Array.isArray(tools)) prompt.offered = tools.filter(isRecord).map(({ name }) => asText(name));
  prompt.isAfterResult = blocksOf(messages.at(-1)).some(({ type }) => type === 'tool_result');
  const tool = calledTool(fields);
  if (tool !== undefined) prompt.tool = tool;
  return prompt;
}

function lastUserText(messages: readonly unknown[]): string {
  for (const message of messages.toReversed()) {
    if (!isRecord(message) || message['role'] !== 'user') continue;
    if (typeof message['content'] === 'string') return message['content'];
    return blocksOf(message)
      .map((block) => (typeof block['text'] === 'string' ? block['text'] : ''))
      .join('');
  }
  return '';
}

/** The tool to call: the named one, or the first if any is required. */
function calledTool(fields: Fields): { name: string; parameters: unknown } | undefined {
  const { tools, tool_choice: choice } = fields;
  if (!Array.isArray(tools) || !isRecord(choice) || (choice['type'] !== 'any' && choice['type'] !== 'tool')) return undefined;
  const wanted = choice['type'] === 'tool' ? choice['name'] : undefined;
  const tool = tools.find((one) => isRecord(one) && typeof one['name'] === 'string' && (wanted === undefined || one['name'] === wanted));
  return isRecord(tool) ? { name: asText(tool['name']), parameters: tool['input_schema'] } : undefined;
}
