/** `POST /v1/responses`. */
import { isRecord } from '../../core/json.ts';
import type { Prompt } from '../content.ts';
import type { ParsedRequest, Failure, Received } from '../dialect.ts';
import { asText, countInput, readFields, wholeNumber } from '../request.ts';
import type { Fields } from '../request.ts';
import type { Seals } from '../seals.ts';
import { readInput } from './input.ts';
import { itemType } from './input-rules.ts';
import type { OutputParts } from './output.ts';
import type { Item, ResponseStore } from './store.ts';
import { chosenTool, readTools } from './tools.ts';
import type { CallableTool } from './tools.ts';
import { responseBody, responseEvents, responseId, wholeResponse } from './write.ts';

export interface ResponsesParts {
  readonly seals: Seals;
  readonly store: ResponseStore;
  readonly keyOf: (received: Received) => string;
}

/** Parses a create request. */
export function readCreate(received: Received, { seals, store, keyOf }: ResponsesParts): ParsedRequest | Failure {
  const read = readFields(received);
  if ('reason' in read) return read;
  const { fields } = read;
  const owner = { key: keyOf(received), model: fields['model'] as string };
  const input = faultInFields(fields) ?? readInput(fields, { owner, seals, store });
  if ('reason' in input) return input;
  const tools = readTools(fields, input.all);
  if ('reason' in tools) return tools;
  const parts: OutputParts = { seals, owner, tools, ...wishesOf(fields) };
  const earlier = input.all.length - input.own.length;
  return {
    model: owner.model,
    stream: fields['stream'] === true,
    inputTokens: countInput(received, fields) + countItems(input.all.slice(0, earlier)),
    outputLimit: wholeNumber(fields['max_output_tokens']),
    prompt: toPrompt(fields, input.all, tools),
    fields,
    body: (choices, facts) => responseBody(fields, parts, choices[0], facts),
    events: (choices, facts) => responseEvents(fields, parts, choices[0], facts),
    sent(choices, facts) {
      if (fields['store'] === false) return;
      const response = wholeResponse(fields, parts, choices[0], facts);
      const id = responseId(seals.idOf(facts.call));
      store.put({ id, key: owner.key, response, input: input.own, conversation: input.all, bytes: received.body.length });
    },
  };
}

function wishesOf(fields: Fields): Pick<OutputParts, 'showsSummary' | 'showsEncrypted' | 'obfuscates'> {
  const { reasoning, include, stream_options: options } = fields;
  return {
    showsSummary: isRecord(reasoning) && typeof reasoning['summary'] === 'string',
    showsEncrypted: Array.isArray(include) && include.includes('reasoning.encrypted_content'),
    obfuscates: !isRecord(options) || options['include_obfuscation'] !== false,
  };
}

/** Chat fields and their equivalents in Responses. */
const MOVED: Readonly<Record<string, string>> = {
  messages: 'input',
  max_tokens: 'max_output_tokens',
  max_completion_tokens: 'max_output_tokens',
  response_format: 'text.format',
  reasoning_effort: 'reasoning.effort',
  verbosity: 'text.verbosity',
};
const UNKNOWN = [
  'n',
  'stop',
  'seed',
  'logit_bias',
  'logprobs',
  'functions',
  'function_call',
  'presence_penalty',
  'frequency_penalty',
  'modalities',
];

function faultInFields(fields: Fields): Failure | undefined {
  for (const [field, place] of Object.entries(MOVED)) {
    if (fields[field] === undefined) continue;
    const message = `Unsupported parameter: '${field}'. In the Responses API, this parameter has moved to '${place}'. Try again with the new parameter.`;
    return { reason: 'invalid', param: field, code: 'unsupported_parameter', message };
  }
  const unknown = UNKNOWN.find((field) => fields[field] !== undefined);
  if (unknown !== undefined) {
    return { reason: 'invalid', param: unknown, code: 'unknown_parameter', message: `Unknown parameter: '${unknown}'.` };
  }
  if (fields['background'] === true) return { reason: 'parameter', param: 'background' };
  const { conversation, text, tool_choice: choice } = fields;
  const format = isRecord(text) ? text['format'] : undefined;
  if (isRecord(format) && format['type'] === 'json_schema') {
    const missing = typeof format['name'] !== 'string' ? 'name' : !isRecord(format['schema']) ? 'schema' : undefined;
    if (missing !== undefined) return missingParameter(`text.format.${missing}`);
  }
  if (isRecord(choice) && choice['type'] === 'function' && typeof choice['name'] !== 'string') return missingParameter('tool_choice.name');
  if (conversation === undefined || conversation === null) return undefined;
  const id = isRecord(conversation) ? conversation['id'] : conversation;
  return { reason: 'invalid', status: 404, param: 'conversation', message: `Conversation with id '${asText(id)}' not found.` };
}

function missingParameter(param: string): Failure {
  return { reason: 'invalid', param, code: 'missing_required_parameter', message: `Missing required parameter: '${param}'.` };
}

/** Earlier turns are billed as input, too. */
function countItems(items: readonly Item[]): number {
  return items.length === 0 ? 0 : Math.ceil(Buffer.byteLength(JSON.stringify(items)) / 4);
}

function toPrompt(fields: Fields, items: readonly Item[], tools: readonly CallableTool[]): Prompt {
  const prompt: Prompt = { text: lastUserText(items), choices: 1, reasons: reasons(fields) };
  prompt.offered = tools.map(({ name }) => name);
  const last = items.at(-1);
  prompt.isAfterResult = last !== undefined && itemType(last).endsWith('_output');
  const tool = chosenTool(fields, tools);
  const { text } = fields;
  const format = isRecord(text) ? text['format'] : undefined;
  if (isRecord(format) && (format['type'] === 'json_schema' || format['type'] === 'json_object'))
    prompt.json = { schema: format['schema'] };
  if (tool !== undefined) prompt.tool = { name: tool.name, parameters: tool.parameters };
  return prompt;
}

/** Models that always reason. */
const REASONS_UNASKED = /^(?:gpt-[5-9]|o[1-9])/;

function reasons({ model, reasoning, include }: Fields): boolean {
  if (isRecord(reasoning)) return reasoning['effort'] !== 'none';
  if (REASONS_UNASKED.test(asText(model))) return true;
  return Array.isArray(include) && include.includes('reasoning.encrypted_content');
}

function lastUserText(items: readonly Item[]): string {
  const message = items.findLast((item) => itemType(item) === 'message' && item['role'] === 'user');
  const content = message?.['content'];
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((part) => (isRecord(part) && typeof part['text'] === 'string' ? part['text'] : '')).join('');
}
