/** Writes a request of another dialect as a chat request. */
import { Buffer } from 'node:buffer';
import { hash } from 'node:crypto';
import type { Encoded, ModelRequest, ModelTool, OutputFormat, ToolChoice } from '../model.ts';
import type { Fields } from '../loose-values.ts';
import { conversionFault, DropList, findConversionFault } from '../conversion-loss.ts';
import type { ConversionFault, TargetCapabilities, WriteEdits } from '../conversion-loss.ts';
import { isStrictSchema } from '../json-schemas.ts';
import { toTargetName } from '../tool-names.ts';
import { writeMessages } from './write-messages.ts';

/** The largest reasoning budget, in tokens, that maps to each effort. */
const BUDGET_EFFORTS = [
  { upTo: 2_048, effort: 'low' },
  { upTo: 16_384, effort: 'medium' },
  { upTo: Infinity, effort: 'high' },
] as const;

export function writeChatRequest(request: ModelRequest, edits: WriteEdits, can: TargetCapabilities): Encoded {
  const dropped = new DropList(request.rest);
  const fault = dropped.refusal ?? faultIn(request) ?? findConversionFault(request, dropped);
  if (fault !== null) return { ok: false, ...fault };
  const messages = writeMessages(request.turns, can, dropped);
  if ('field' in messages) return { ok: false, ...messages };
  const body: Fields = { model: edits.model, messages: messages.list };
  if (request.stream) body['stream'] = true;
  if (request.stream && edits.askUsage) body['stream_options'] = { include_usage: true };
  writeBounds(body, request, can, dropped);
  writeTools(body, request, dropped);
  const format = request.format === null ? null : responseFormat(request.format, dropped);
  if (format !== null) body['response_format'] = format;
  if (request.userId !== null) body['user'] = userName(request.userId);
  if (request.cacheKey !== null) body['prompt_cache_key'] = request.cacheKey;
  if (request.serviceTier !== null) dropped.add('service_tier');
  return { ok: true, body: Buffer.from(JSON.stringify(edits.apply(body))), dropped: dropped.names };
}

/** In characters; longer names of end users are rejected by providers. */
const USER_LENGTH_MAX = 64;

/** Always the same name for the same user; agents send more than a name. */
function userName(userId: string): string {
  return userId.length <= USER_LENGTH_MAX ? userId : hash('sha256', userId, 'hex');
}

/** Stop sequences that providers accept. */
const STOPS_MAX = 4;

function faultIn({ outputBound, stop }: ModelRequest): ConversionFault | null {
  // Such a request fills the provider's prompt cache and generates nothing.
  if (outputBound === 0) return conversionFault('max_tokens');
  return stop.length > STOPS_MAX ? conversionFault('stop_sequences') : null;
}

function writeBounds(body: Fields, request: ModelRequest, can: TargetCapabilities, dropped: DropList): void {
  if (request.outputBound !== null) body[can.outputBoundField] = request.outputBound;
  if (request.choices > 1) body['n'] = request.choices;
  if (request.temperature !== null) body['temperature'] = request.temperature;
  if (request.topP !== null) body['top_p'] = request.topP;
  if (request.topK !== null) dropped.add('top_k');
  if (request.seed !== null) body['seed'] = request.seed;
  if (request.presencePenalty !== null) body['presence_penalty'] = request.presencePenalty;
  if (request.frequencyPenalty !== null) body['frequency_penalty'] = request.frequencyPenalty;
  if (request.stop.length > 0) body['stop'] = request.stop;
  const { reasoning } = request;
  if (reasoning === null) return;
  const { budgetTokens } = reasoning;
  const byBudget = budgetTokens === null ? null : BUDGET_EFFORTS.find(({ upTo }) => budgetTokens <= upTo)!.effort;
  const effort = reasoning.effort ?? byBudget;
  // Without an effort the model's default applies, as requested.
  if (effort !== null && can.reasons) body['reasoning_effort'] = effort;
  else if (effort !== null && effort !== 'none') dropped.add('reasoning');
}

function writeTools(body: Fields, request: ModelRequest, dropped: DropList): void {
  const tools = request.tools.filter((tool) => tool.type !== 'foreign').map((tool) => writeTool(tool, dropped));
  if (tools.length === 0) return;
  body['tools'] = tools;
  if (request.toolChoice !== null) body['tool_choice'] = writeChoice(request.toolChoice);
  if (request.parallelToolCalls !== null) body['parallel_tool_calls'] = request.parallelToolCalls;
}

function nameOf(name: string): string {
  return toTargetName('openai-chat', name);
}

const NO_ARGUMENTS = { type: 'object', properties: {} };

/** A custom tool becomes a function with its text as the one argument, which all hosts support. */
function writeTool(tool: Exclude<ModelTool, { type: 'foreign' }>, dropped: DropList): Fields {
  const described = tool.description === null ? {} : { description: tool.description };
  if (tool.type === 'custom') {
    const parameters = { type: 'object', properties: { input: { type: 'string' } }, required: ['input'], additionalProperties: false };
    return { type: 'function', function: { name: nameOf(tool.name), ...described, parameters } };
  }
  const strict = strictMember(tool.strict, tool.schema ?? NO_ARGUMENTS);
  if (tool.strict === true && strict.strict === undefined) dropped.add('tools.strict');
  return { type: 'function', function: { name: nameOf(tool.name), ...described, parameters: tool.schema ?? NO_ARGUMENTS, ...strict } };
}

/** OpenAI rejects a strict schema with optional members; without `strict` the model follows it as well as it can. */
function strictMember(strict: boolean | null, schema: unknown): { readonly strict?: boolean } {
  return strict === null || (strict && !isStrictSchema(schema)) ? {} : { strict };
}

/** Only OpenAI supports `allowed_tools`: a single required name becomes that tool, several names a choice among all. */
function writeChoice(choice: ToolChoice): unknown {
  if (choice.type === 'tool') return { type: 'function', function: { name: nameOf(choice.name) } };
  if (choice.type !== 'allowed') return choice.type;
  if (choice.mode === 'required' && choice.names.length === 1) return { type: 'function', function: { name: nameOf(choice.names[0]!) } };
  return choice.mode;
}

function responseFormat(format: OutputFormat, dropped: DropList): Fields {
  if (format.type === 'json_object') return { type: 'json_object' };
  const { name, description, schema, strict } = format;
  const json: Fields = { name: name ?? 'response', schema };
  if (description !== null) json['description'] = description;
  const member = strictMember(strict, schema);
  if (strict === true && member.strict === undefined) dropped.add('response_format.strict');
  Object.assign(json, member);
  return { type: 'json_schema', json_schema: json };
}
