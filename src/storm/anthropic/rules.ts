/** Validation of Messages requests. */
import { isRecord } from '../../core/json.ts';
import type { Failure } from '../dialect.ts';
import { asText, wholeNumber } from '../request.ts';
import type { Fields } from '../request.ts';
import { blocksOf } from './thinking.ts';

const invalid = (message: string): Failure => ({ reason: 'invalid', message });

/** Fields of other dialects, unknown to Messages. */
const FOREIGN = (
  'n stop seed user logprobs top_logprobs logit_bias response_format functions function_call parallel_tool_calls reasoning_effort ' +
  'max_completion_tokens max_output_tokens frequency_penalty presence_penalty stream_options store input instructions modalities'
).split(' ');

/** Content types of other dialects. */
const FOREIGN_TAGS = [
  'image_url',
  'input_text',
  'output_text',
  'input_image',
  'input_file',
  'input_audio',
  'file',
  'refusal',
  'function_call',
];

/** The validation error of a request, except for its thinking blocks. */
export function faultInRequest(fields: Fields, version: string): Failure | undefined {
  if (wholeNumber(fields['max_tokens']) === undefined) return invalid('max_tokens: Field required');
  const foreign = FOREIGN.find((name) => fields[name] !== undefined);
  if (foreign !== undefined) return invalid(`${foreign}: Extra inputs are not permitted`);
  const { messages } = fields;
  if (!Array.isArray(messages) || messages.length === 0) return invalid('messages: at least one message is required');
  return faultInSettings(fields, version) ?? faultInTools(fields) ?? faultInTurns(messages) ?? faultInCalls(messages);
}

const SAMPLING = ['temperature', 'top_p', 'top_k'];

function faultInSettings({ thinking, max_tokens: bound, tool_choice: choice, ...fields }: Fields, version: string): Failure | undefined {
  const sampled = SAMPLING.find((name) => fields[name] !== undefined);
  if (version >= '2026-10-21' && sampled !== undefined) return invalid(`${sampled}: Extra inputs are not permitted`);
  if (!isRecord(thinking) || (thinking['type'] !== 'enabled' && thinking['type'] !== 'adaptive')) return undefined;
  if (typeof fields['temperature'] === 'number' && fields['temperature'] !== 1) {
    return invalid('`temperature` may only be set to 1 when thinking is enabled or in adaptive mode.');
  }
  if (isRecord(choice) && (choice['type'] === 'any' || choice['type'] === 'tool')) {
    return invalid('Thinking may not be enabled when tool_choice forces tool use.');
  }
  if (thinking['type'] !== 'enabled') return undefined;
  const budget = wholeNumber(thinking['budget_tokens']);
  if (budget === undefined) return invalid('thinking.enabled.budget_tokens: Field required');
  if (budget < 1024) return invalid('thinking.enabled.budget_tokens: Input should be greater than or equal to 1024');
  return Number(bound) <= budget ? invalid('`max_tokens` must be greater than `thinking.budget_tokens`.') : undefined;
}

function faultInTools({ tools = [], tool_choice: choice = {} }: Fields): Failure | undefined {
  if (!isRecord(choice)) return invalid('tool_choice: Input should be an object');
  if (!Array.isArray(tools)) return invalid('tools: Input should be a valid list');
  const isCustom = (tool: unknown) => isRecord(tool) && (tool['type'] === undefined || tool['type'] === null || tool['type'] === 'custom');
  const at = tools.findIndex((tool: unknown) => isCustom(tool) && !isRecord((tool as Fields)['input_schema']));
  if (at !== -1) return invalid(`tools.${at}.custom.input_schema: Field required`);
  const chat = tools.findIndex((tool: unknown) => !isRecord(tool) || tool['type'] === 'function');
  return chat === -1
    ? undefined
    : invalid(`tools.${chat}: Input tag 'function' found using 'type' does not match any of the expected tags`);
}

function faultInTurns(messages: readonly unknown[]): Failure | undefined {
  const roles = messages.map((message) => (isRecord(message) ? message['role'] : undefined));
  const strange = roles.findIndex((role) => role !== 'user' && role !== 'assistant' && role !== 'system');
  if (strange !== -1) return invalid(`messages: Unexpected role "${asText(roles[strange])}"`);
  if (roles[0] === 'assistant') return invalid('messages: first message must use the "user" role');
  for (const [i, message] of messages.entries()) {
    const { content } = message as Fields;
    const isLast = i === messages.length - 1 && roles[i] === 'assistant';
    const isEmpty = content === '' || (Array.isArray(content) && content.length === 0);
    if (isEmpty && !isLast)
      return invalid(`messages.${i}: all messages must have non-empty content except for the optional final assistant message`);
    for (const [j, block] of blocksOf(message).entries()) {
      if (block['type'] === 'text' && block['text'] === '') return invalid('messages: text content blocks must be non-empty');
      if (!FOREIGN_TAGS.includes(asText(block['type']))) continue;
      return invalid(
        `messages.${i}.content.${j}: Input tag '${asText(block['type'])}' found using 'type' does not match any of the expected tags`,
      );
    }
  }
  return /\s$/.test(prefillOf(messages) ?? '')
    ? invalid('messages: final assistant content cannot end with trailing whitespace')
    : undefined;
}

/** Each tool call needs its result in the next message, each result its call in the previous one. */
function faultInCalls(messages: readonly unknown[]): Failure | undefined {
  const seen = new Set<unknown>();
  for (const [i, message] of messages.entries()) {
    const calls = idsOf(message, 'tool_use', 'id');
    const open = calls.find((id) => !idsOf(messages[i + 1], 'tool_result', 'tool_use_id').includes(id));
    if (open !== undefined) {
      return invalid(`messages.${i}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${asText(open)}`);
    }
    if (calls.some((id) => typeof id !== 'string' || !/^[a-zA-Z0-9_-]+$/.test(id))) {
      return invalid(`messages.${i}.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'`);
    }
    if (calls.some((id, at) => seen.has(id) || calls.indexOf(id) !== at)) return invalid(`messages.${i}: \`tool_use\` ids must be unique`);
    for (const id of calls) seen.add(id);
    const before = idsOf(messages[i - 1], 'tool_use', 'id');
    const unexpected = idsOf(message, 'tool_result', 'tool_use_id').find((id) => !before.includes(id));
    if (unexpected !== undefined) {
      return invalid(
        `messages.${i}: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${asText(unexpected)}. Each \`tool_result\` block must have a corresponding \`tool_use\` block in the previous message.`,
      );
    }
  }
  return undefined;
}

function idsOf(message: unknown, type: string, field: string): unknown[] {
  return blocksOf(message)
    .filter((block) => block['type'] === type)
    .map((block) => block[field]);
}

/** The text of a final assistant message. */
export function prefillOf(messages: readonly unknown[]): string | undefined {
  const last = messages.at(-1);
  if (!isRecord(last) || last['role'] !== 'assistant') return undefined;
  if (typeof last['content'] === 'string') return last['content'];
  return blocksOf(last)
    .map(({ text }) => (typeof text === 'string' ? text : ''))
    .join('');
}
