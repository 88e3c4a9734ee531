/** Parses a Messages request into the neutral model, from which it is written in another dialect. */
import { isRecord } from '../../core/json.ts';
import { numberIn, parseExact } from '../json-exact.ts';
import { booleanOf, listOf, ownOf, recordsIn, textIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { EFFORTS } from '../model.ts';
import type {
  Effort,
  ModelRequest,
  ModelTool,
  OutputFormat,
  ReasoningRequest,
  RequestPart,
  ToolChoice,
  Turn,
  Unmodelled,
} from '../model.ts';
import { BlockReader } from './parse-blocks.ts';
import { MESSAGES_FIELDS } from './request-fields.ts';

/** Claude Code's first system block: its version, used only by Anthropic's billing. */
const BILLING_LINE = /^x-anthropic-billing-header:/;

/** `text`: a request body that passed decoding, so a valid JSON object with a `messages` array. */
export function parseMessagesRequest(text: string): ModelRequest {
  const body = parseExact(text) as Fields;
  const rest: Unmodelled[] = [];
  for (const [name, value] of Object.entries(body)) {
    const handling = ownOf(MESSAGES_FIELDS, name) ?? 'drop';
    if ((handling === 'drop' || handling === 'refuse') && value !== null && value !== false) rest.push({ name, handling });
  }
  const blocks = new BlockReader();
  const turns = [...systemTurn(body['system'], blocks), ...recordsIn(body['messages']).flatMap((message) => turnOf(message, blocks))];
  const tools = recordsIn(body['tools']);
  for (const name of new Set([...blocks.lost, ...tools.flatMap(unsupportedToolFields)])) rest.push({ name, handling: 'drop' });
  for (const type of blocks.essential) rest.push({ name: `messages.${type}`, handling: 'refuse' });
  const { metadata, tool_choice: choice } = body;
  return {
    stream: body['stream'] === true,
    includeUsage: true,
    turns,
    tools: tools.map(toolOf),
    toolChoice: toolChoiceOf(choice),
    parallelToolCalls: isRecord(choice) && choice['disable_parallel_tool_use'] === true ? false : null,
    outputBound: numberIn(body['max_tokens']),
    choices: 1,
    temperature: numberIn(body['temperature']),
    topP: numberIn(body['top_p']),
    topK: numberIn(body['top_k']),
    seed: null,
    presencePenalty: null,
    frequencyPenalty: null,
    stop: listOf(body['stop_sequences']).filter((stop) => typeof stop === 'string'),
    format: formatOf(body),
    reasoning: reasoningOf(body),
    userId: isRecord(metadata) ? textOrNull(metadata['user_id']) : null,
    cacheKey: null,
    serviceTier: body['service_tier'] === 'auto' ? null : textOrNull(body['service_tier']),
    rest,
  };
}

function systemTurn(system: unknown, blocks: BlockReader): Turn[] {
  const parts = blocks.readContent(system).filter((part) => part.type !== 'text' || !BILLING_LINE.test(part.text));
  return parts.length === 0 ? [] : [{ role: 'system', parts }];
}

function turnOf(message: Fields, blocks: BlockReader): Turn[] {
  const { role } = message;
  if (role !== 'user' && role !== 'assistant' && role !== 'system') return [];
  const parts: readonly RequestPart[] = blocks.readContent(message['content']);
  return parts.length === 0 ? [] : [{ role, parts }];
}

/** Members of a tool that other dialects support or can ignore. */
const TOOL_FIELDS: ReadonlySet<string> = new Set(['type', 'name', 'description', 'input_schema', 'strict', 'eager_input_streaming']);

/** Members of a tool that no other dialect supports. */
function unsupportedToolFields(tool: Fields): string[] {
  if (toolOf(tool).type === 'foreign') return [];
  const lost = Object.keys(tool).filter((name) => !TOOL_FIELDS.has(name) && tool[name] !== null && tool[name] !== false);
  return lost.map((name) => (name === 'cache_control' ? name : `tools.${name}`));
}

function toolOf(tool: Fields): ModelTool {
  const type = textOrNull(tool['type']);
  if (type !== null && type !== 'custom') return { type: 'foreign', name: type };
  return {
    type: 'function',
    name: textIn(tool['name']),
    description: textOrNull(tool['description']),
    schema: tool['input_schema'] ?? null,
    strict: booleanOf(tool['strict']),
  };
}

function toolChoiceOf(choice: unknown): ToolChoice | null {
  if (!isRecord(choice)) return null;
  switch (choice['type']) {
    case 'auto':
    case 'none':
      return { type: choice['type'] };
    case 'any':
      return { type: 'required' };
    case 'tool':
      return { type: 'tool', name: textIn(choice['name']) };
    default:
      return null;
  }
}

function formatOf(body: Fields): OutputFormat | null {
  const config = body['output_config'];
  const format = (isRecord(config) ? config['format'] : null) ?? body['output_format'];
  if (!isRecord(format) || format['type'] !== 'json_schema') return null;
  return { type: 'json_schema', name: null, description: null, schema: format['schema'] ?? {}, strict: true };
}

function reasoningOf(body: Fields): ReasoningRequest | null {
  const { thinking, output_config: config } = body;
  const effort = isRecord(config) ? effortOf(config['effort']) : null;
  if (!isRecord(thinking)) return effort === null ? null : { effort, budgetTokens: null };
  if (thinking['type'] === 'disabled') return { effort: 'none', budgetTokens: null };
  return { effort, budgetTokens: numberIn(thinking['budget_tokens']) };
}

function effortOf(value: unknown): Effort | null {
  return EFFORTS.find((effort) => effort === value) ?? null;
}
