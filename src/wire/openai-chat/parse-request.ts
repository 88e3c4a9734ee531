/** Parses a chat request, to be written in another dialect. */
import { isRecord } from '../../core/json.ts';
import { numberIn, parseExact } from '../json-exact.ts';
import { EFFORTS } from '../model.ts';
import type { Effort, ModelRequest, ModelTool, OutputFormat, ReasoningRequest, ToolChoice, Turn, Unmodelled } from '../model.ts';
import { booleanOf, listOf, ownOf, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { MessageReader } from './parse-messages.ts';
import { CHAT_FIELDS } from './request-fields.ts';

/** Tiers that are the provider's default. */
const USUAL_TIERS: ReadonlySet<unknown> = new Set(['auto', 'default']);

/** `text` is the body of a decoded request: a valid JSON object with an array `messages`. */
export function parseChatRequest(text: string): ModelRequest {
  const body = parseExact(text) as Fields;
  const rest: Unmodelled[] = [];
  for (const [name, value] of Object.entries(body)) {
    const handling = ownOf(CHAT_FIELDS, name) ?? 'drop';
    if ((handling === 'drop' || handling === 'refuse') && hasEffect(value)) rest.push({ name, handling });
  }
  if (listOf(body['modalities']).some((modality) => modality !== 'text')) rest.push({ name: 'modalities', handling: 'refuse' });
  const format = formatOf(body['response_format']);
  if (format === null && isUnknownFormat(body['response_format'])) rest.push({ name: 'response_format', handling: 'refuse' });
  const messages = new MessageReader();
  const turns: Turn[] = [];
  for (const message of listOf(body['messages'])) {
    const turn = isRecord(message) ? messages.read(message) : null;
    if (turn !== null) turns.push(turn);
  }
  if (messages.hasNames) rest.push({ name: 'messages.name', handling: 'drop' });
  const bound = numberIn(body['max_completion_tokens']) ?? numberIn(body['max_tokens']);
  const streamOptions = body['stream_options'];
  return {
    stream: body['stream'] === true,
    includeUsage: isRecord(streamOptions) && streamOptions['include_usage'] === true,
    turns,
    tools: toolsOf(body),
    toolChoice: toolChoiceOf(body),
    parallelToolCalls: booleanOf(body['parallel_tool_calls']),
    outputBound: bound,
    choices: Math.max(1, numberIn(body['n']) ?? 1),
    temperature: numberIn(body['temperature']),
    topP: numberIn(body['top_p']),
    topK: numberIn(body['top_k']),
    seed: numberIn(body['seed']),
    presencePenalty: numberIn(body['presence_penalty']),
    frequencyPenalty: numberIn(body['frequency_penalty']),
    stop: typeof body['stop'] === 'string' ? [body['stop']] : listOf(body['stop']).filter((stop) => typeof stop === 'string'),
    format,
    reasoning: reasoningOf(body),
    userId: textOrNull(body['safety_identifier']) ?? textOrNull(body['user']),
    cacheKey: textOrNull(body['prompt_cache_key']),
    serviceTier: USUAL_TIERS.has(body['service_tier']) ? null : textOrNull(body['service_tier']),
    rest,
  };
}

function hasEffect(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  return value !== null && value !== false && value !== '';
}

function toolsOf(body: Fields): ModelTool[] {
  const tools = listOf(body['tools']).map((tool) => (isRecord(tool) ? toolOf(tool) : foreignTool('tools')));
  const functions = listOf(body['functions']).map((entry) => (isRecord(entry) ? functionTool(entry) : foreignTool('functions')));
  return [...tools, ...functions];
}

function toolOf(tool: Fields): ModelTool {
  const type = textOrNull(tool['type']) ?? 'function';
  if (type === 'function' && isRecord(tool['function'])) return functionTool(tool['function']);
  const custom = tool['custom'];
  if (type === 'custom' && isRecord(custom)) {
    return {
      type: 'custom',
      name: textOrNull(custom['name']) ?? '',
      description: textOrNull(custom['description']),
      format: custom['format'] ?? null,
    };
  }
  return foreignTool(type);
}

function functionTool(entry: Fields): ModelTool {
  return {
    type: 'function',
    name: textOrNull(entry['name']) ?? '',
    description: textOrNull(entry['description']),
    schema: entry['parameters'] ?? null,
    strict: booleanOf(entry['strict']),
  };
}

function foreignTool(name: string): ModelTool {
  return { type: 'foreign', name };
}

function toolChoiceOf(body: Fields): ToolChoice | null {
  const choice = body['tool_choice'] ?? body['function_call'];
  if (choice === 'auto' || choice === 'none' || choice === 'required') return { type: choice };
  if (choice === 'any') return { type: 'required' };
  if (!isRecord(choice)) return null;
  if (choice['type'] === 'allowed_tools' && isRecord(choice['allowed_tools'])) return allowedTools(choice['allowed_tools']);
  const named = [choice['function'], choice['custom'], choice].find((entry) => isRecord(entry) && typeof entry['name'] === 'string');
  return isRecord(named) ? { type: 'tool', name: String(named['name']) } : null;
}

function allowedTools(allowed: Fields): ToolChoice {
  const names = listOf(allowed['tools']).flatMap((tool) => {
    if (!isRecord(tool)) return [];
    const named = [tool['function'], tool['custom'], tool].find((entry) => isRecord(entry) && typeof entry['name'] === 'string');
    return isRecord(named) ? [String(named['name'])] : [];
  });
  return { type: 'allowed', mode: allowed['mode'] === 'required' ? 'required' : 'auto', names };
}

/** A host-specific format (a grammar, a regular expression), or one without its schema. */
function isUnknownFormat(format: unknown): boolean {
  return isRecord(format) && format['type'] !== 'text';
}

function formatOf(format: unknown): OutputFormat | null {
  if (!isRecord(format)) return null;
  if (format['type'] === 'json_object') return { type: 'json_object' };
  const schema = format['json_schema'];
  if (format['type'] !== 'json_schema' || !isRecord(schema)) return null;
  return {
    type: 'json_schema',
    name: textOrNull(schema['name']),
    description: textOrNull(schema['description']),
    schema: schema['schema'] ?? {},
    strict: booleanOf(schema['strict']),
  };
}

/** OpenAI's effort, OpenRouter's `reasoning`, the `thinking` of Anthropic-compatible hosts, Qwen's switch: the first that is given. */
function reasoningOf(body: Fields): ReasoningRequest | null {
  const effort = effortOf(body['reasoning_effort']);
  if (effort !== null) return { effort, budgetTokens: null };
  const { reasoning, thinking } = body;
  if (isRecord(reasoning)) {
    if (reasoning['enabled'] === false) return { effort: 'none', budgetTokens: null };
    return { effort: effortOf(reasoning['effort']), budgetTokens: numberIn(reasoning['max_tokens']) };
  }
  if (isRecord(thinking)) {
    const isOff = thinking['type'] === 'disabled';
    return { effort: isOff ? 'none' : null, budgetTokens: isOff ? null : numberIn(thinking['budget_tokens']) };
  }
  if (typeof body['enable_thinking'] === 'boolean') return { effort: body['enable_thinking'] ? null : 'none', budgetTokens: null };
  return null;
}

function effortOf(value: unknown): Effort | null {
  return EFFORTS.find((effort) => effort === value) ?? null;
}
