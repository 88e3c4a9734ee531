/** Writes a neutral request as a Messages request. */
import { Buffer } from 'node:buffer';
import { isDeepStrictEqual } from 'node:util';
import { isRecord } from '../../core/json.ts';
import { conversionFault, DropList, findConversionFault } from '../conversion-loss.ts';
import type { ConversionFault, TargetCapabilities, WriteEdits } from '../conversion-loss.ts';
import { isOpenSchema, toClosedSchema } from '../json-schemas.ts';
import { recordsIn } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import type { Effort, Encoded, ModelRequest, ModelTool, OutputFormat, ToolChoice } from '../model.ts';
import { toTargetName } from '../tool-names.ts';
import { FORMAT_TOOL } from './format-tool.ts';
import { writeTurns } from './write-turns.ts';

/** `max_tokens` is required; used when neither the caller nor the model table gives it. */
const OUTPUT_BOUND_DEFAULT = 4_096;
/** The API's minimum thinking budget, in tokens. */
const BUDGET_MIN = 1_024;
/** Thinking budget per effort, in tokens, for models that accept only a budget. */
const EFFORT_BUDGETS: Readonly<Record<Exclude<Effort, 'none'>, number>> = {
  minimal: 1_024,
  low: 2_048,
  medium: 8_192,
  high: 16_384,
  xhigh: 32_768,
  max: 65_536,
};
const USER_ID_MAX = 256;
const JSON_INSTRUCTION = 'Respond with a single valid JSON object and nothing else.';

export function writeMessagesRequest(request: ModelRequest, edits: WriteEdits, can: TargetCapabilities): Encoded {
  const dropped = new DropList(request.rest);
  const fault = dropped.refusal ?? faultIn(request) ?? findConversionFault(request, dropped);
  if (fault !== null) return { ok: false, ...fault };
  const maxTokens = request.outputBound ?? can.outputMax ?? OUTPUT_BOUND_DEFAULT;
  const turns = writeTurns(request.turns, can, dropped);
  if ('field' in turns) return { ok: false, ...turns };
  const system = request.format?.type === 'json_object' ? [...turns.system, textBlock(JSON_INSTRUCTION)] : turns.system;
  const body: Fields = { model: edits.model, max_tokens: maxTokens, messages: turns.messages };
  if (system.length > 0) body['system'] = system;
  if (request.stream) body['stream'] = true;
  writeTools(body, request, can, dropped);
  writeReasoning(body, request, can, maxTokens, dropped);
  writeSampling(body, request, can, dropped);
  if (request.userId !== null) body['metadata'] = { user_id: request.userId.slice(0, USER_ID_MAX) };
  if (request.cacheKey !== null) dropped.add('prompt_cache_key');
  if (request.serviceTier !== null) dropped.add('service_tier');
  return { ok: true, body: Buffer.from(JSON.stringify(edits.apply(body))), dropped: dropped.names };
}

function faultIn(request: ModelRequest): ConversionFault | null {
  if (request.choices > 1) return conversionFault('n');
  // The API rejects stop sequences of whitespace only.
  return request.stop.some((sequence) => sequence.trim() === '') ? conversionFault('stop') : null;
}

function textBlock(text: string): Fields {
  return { type: 'text', text };
}

/** Sampling parameters and thinking exclude each other; newer models accept no sampling parameters. */
function writeSampling(body: Fields, request: ModelRequest, can: TargetCapabilities, dropped: DropList): void {
  const { temperature, topP, topK } = request;
  const samples = can.samples && (body['thinking'] === undefined || isOff(body['thinking']));
  const put = (name: string, value: number | null): void => {
    if (value === null) return;
    if (samples) body[name] = value;
    else dropped.add(name);
  };
  put('temperature', temperature === null ? null : Math.min(1, temperature));
  // Models that accept them allow only one of temperature and top_p.
  if (temperature === null || topP === 1) put('top_p', topP === 1 ? null : topP);
  else if (topP !== null) dropped.add('top_p');
  put('top_k', topK);
  if (request.seed !== null) dropped.add('seed');
  if (request.presencePenalty !== null && request.presencePenalty !== 0) dropped.add('presence_penalty');
  if (request.frequencyPenalty !== null && request.frequencyPenalty !== 0) dropped.add('frequency_penalty');
  if (request.stop.length > 0) body['stop_sequences'] = request.stop;
}

function isOff(thinking: unknown): boolean {
  return isRecord(thinking) && thinking['type'] === 'disabled';
}

function writeReasoning(body: Fields, request: ModelRequest, can: TargetCapabilities, maxTokens: number, dropped: DropList): void {
  const { reasoning } = request;
  if (reasoning === null) return;
  const { effort, budgetTokens } = reasoning;
  if (effort === 'none') return; // the API's default
  const forcesTool = isRecord(body['tool_choice']) && (body['tool_choice']['type'] === 'any' || body['tool_choice']['type'] === 'tool');
  if (can.thinking === 'none' || forcesTool) return dropped.add('reasoning');
  if (can.thinking === 'adaptive') {
    body['thinking'] = { type: 'adaptive' };
    const asked = effort ?? effortOfBudget(budgetTokens);
    if (asked !== null)
      body['output_config'] = { ...(body['output_config'] as Fields | undefined), effort: asked === 'minimal' ? 'low' : asked };
    return;
  }
  const budget = Math.min(budgetTokens ?? EFFORT_BUDGETS[effort ?? 'medium'], maxTokens - 1);
  if (budget < BUDGET_MIN || lacksLeadingThinking(body)) return dropped.add('reasoning');
  body['thinking'] = { type: 'enabled', budget_tokens: budget };
}

/** With a budget, a last assistant message that calls a tool must start with thinking, which other dialects can't carry. */
function lacksLeadingThinking(body: Fields): boolean {
  const last = recordsIn(body['messages']).findLast(({ role }) => role === 'assistant');
  const [first, ...others] = recordsIn(last?.['content']);
  if (first === undefined || ![first, ...others].some(({ type }) => type === 'tool_use')) return false;
  return first['type'] !== 'thinking' && first['type'] !== 'redacted_thinking';
}

function effortOfBudget(budgetTokens: number | null): Exclude<Effort, 'none'> | null {
  if (budgetTokens === null) return null;
  const efforts = ['low', 'medium', 'high'] as const;
  return efforts.find((effort) => budgetTokens <= EFFORT_BUDGETS[effort]) ?? 'xhigh';
}

const NO_ARGUMENTS = { type: 'object', properties: {} };

function writeTools(body: Fields, request: ModelRequest, can: TargetCapabilities, dropped: DropList): void {
  const { format, toolChoice, parallelToolCalls } = request;
  const offered = request.tools.filter((tool) => tool.type !== 'foreign');
  const allowed = toolChoice?.type === 'allowed' ? new Set(toolChoice.names) : null;
  const tools = offered.filter(({ name }) => allowed === null || allowed.has(name)).map((tool) => writeTool(tool, can, dropped));
  let choice = toolChoice === null ? null : writeChoice(toolChoice);
  if (format?.type === 'json_schema') {
    if (can.formats && !isOpenSchema(format.schema)) {
      body['output_config'] = { format: { type: 'json_schema', schema: toClosedSchema(format.schema) } };
    } else choice = offerFormat(tools, choice, format);
  }
  if (tools.length === 0) return;
  body['tools'] = tools;
  if (parallelToolCalls === false && choice?.['type'] !== 'none')
    choice = { ...(choice ?? { type: 'auto' }), disable_parallel_tool_use: true };
  if (choice !== null) body['tool_choice'] = choice;
}

/** Adds the format as a tool and returns a tool choice that forces a call. If the caller already forces a call, there is no text to format. */
function offerFormat(tools: Fields[], choice: Fields | null, { description, schema }: JsonSchemaFormat): Fields | null {
  if (choice?.['type'] === 'any' || choice?.['type'] === 'tool') return choice;
  const calls = choice?.['type'] === 'none' ? [] : tools.splice(0);
  tools.splice(0, Infinity, ...calls, {
    name: FORMAT_TOOL,
    description: description ?? 'The response, in the form asked for.',
    input_schema: asObject(schema),
  });
  return calls.length === 0 ? { type: 'tool', name: FORMAT_TOOL } : { type: 'any' };
}

type JsonSchemaFormat = Extract<OutputFormat, { type: 'json_schema' }>;

function writeTool(tool: Exclude<ModelTool, { type: 'foreign' }>, can: TargetCapabilities, dropped: DropList): Fields {
  const described = tool.description === null ? {} : { description: tool.description };
  if (tool.type === 'custom') {
    const schema = { type: 'object', properties: { input: { type: 'string' } }, required: ['input'], additionalProperties: false };
    return { name: nameOf(tool.name), ...described, input_schema: schema };
  }
  const schema = asObject(tool.schema);
  const isStrict = tool.strict === true && can.formats && isDeepStrictEqual(toClosedSchema(schema), schema);
  if (tool.strict === true && !isStrict) dropped.add('tools.strict');
  return { name: nameOf(tool.name), ...described, input_schema: schema, ...(isStrict && { strict: true }) };
}

function nameOf(name: string): string {
  return toTargetName('anthropic-messages', name);
}

/** The API requires `type: object` at the top of a tool schema. */
function asObject(schema: unknown): unknown {
  if (!isRecord(schema)) return NO_ARGUMENTS;
  return schema['type'] === 'object' ? schema : { ...schema, type: 'object' };
}

function writeChoice(choice: ToolChoice): Fields {
  if (choice.type === 'tool') return { type: 'tool', name: nameOf(choice.name) };
  const mode = choice.type === 'allowed' ? choice.mode : choice.type;
  return { type: mode === 'required' ? 'any' : mode };
}
