/** Writes a neutral request as a Responses request with `store: false`. */
import { Buffer } from 'node:buffer';
import { conversionFault, DropList, findConversionFault } from '../conversion-loss.ts';
import type { ConversionFault, TargetCapabilities, WriteEdits } from '../conversion-loss.ts';
import type { Fields } from '../loose-values.ts';
import type { Encoded, ModelRequest, ModelTool, OutputFormat, ToolChoice } from '../model.ts';
import { toTargetName } from '../tool-names.ts';
import { writeItems } from './write-items.ts';

/** The API's minimum for `max_output_tokens`. */
const OUTPUT_BOUND_MIN = 16;

export function writeResponsesRequest(request: ModelRequest, edits: WriteEdits, can: TargetCapabilities): Encoded {
  const dropped = new DropList(request.rest);
  const fault = dropped.refusal ?? faultIn(request) ?? findConversionFault(request, dropped);
  if (fault !== null) return { ok: false, ...fault };
  const written = writeItems(request.turns, can, dropped);
  if ('field' in written) return { ok: false, ...written };
  const body: Fields = { model: edits.model, input: written.items, store: false };
  if (written.instructions !== null) body['instructions'] = written.instructions;
  if (request.stream) body['stream'] = true;
  if (request.outputBound !== null) body['max_output_tokens'] = Math.max(OUTPUT_BOUND_MIN, request.outputBound);
  writeSampling(body, request, can, dropped);
  writeTools(body, request);
  if (request.format !== null) body['text'] = { format: formatOf(request.format) };
  if (request.userId !== null) body['safety_identifier'] = request.userId;
  if (request.cacheKey !== null) body['prompt_cache_key'] = request.cacheKey;
  if (request.serviceTier !== null) dropped.add('service_tier');
  return { ok: true, body: Buffer.from(JSON.stringify(edits.apply(body))), dropped: dropped.names };
}

function faultIn(request: ModelRequest): ConversionFault | null {
  if (request.choices > 1) return conversionFault('n');
  return request.stop.length > 0 ? conversionFault('stop') : null;
}

function writeSampling(body: Fields, request: ModelRequest, can: TargetCapabilities, dropped: DropList): void {
  const put = (name: string, value: number | null): void => {
    if (value === null) return;
    if (can.samples) body[name] = value;
    else dropped.add(name);
  };
  put('temperature', request.temperature);
  put('top_p', request.topP);
  if (request.topK !== null) dropped.add('top_k');
  if (request.seed !== null) dropped.add('seed');
  if (request.presencePenalty !== null && request.presencePenalty !== 0) dropped.add('presence_penalty');
  if (request.frequencyPenalty !== null && request.frequencyPenalty !== 0) dropped.add('frequency_penalty');
  const { reasoning } = request;
  if (reasoning === null) return;
  const { budgetTokens } = reasoning;
  const effort =
    reasoning.effort ?? (budgetTokens === null ? null : budgetTokens <= 2_048 ? 'low' : budgetTokens <= 16_384 ? 'medium' : 'high');
  if (can.reasons) body['reasoning'] = { ...(effort === null ? {} : { effort }), ...(effort === 'none' ? {} : { summary: 'auto' }) };
  else if (effort !== 'none') dropped.add('reasoning');
}

const NO_ARGUMENTS = { type: 'object', properties: {} };

function writeTools(body: Fields, request: ModelRequest): void {
  const tools = request.tools.filter((tool) => tool.type !== 'foreign');
  if (tools.length === 0) return;
  body['tools'] = tools.map(writeTool);
  if (request.toolChoice !== null) body['tool_choice'] = writeChoice(request.toolChoice, tools);
  if (request.parallelToolCalls !== null) body['parallel_tool_calls'] = request.parallelToolCalls;
}

/** Schemas are strict by default in this API. */
function writeTool(tool: Exclude<ModelTool, { type: 'foreign' }>): Fields {
  const name = targetName(tool.name);
  const described = tool.description === null ? {} : { description: tool.description };
  if (tool.type === 'custom') return { type: 'custom', name, ...described, ...(tool.format === null ? {} : { format: tool.format }) };
  return { type: 'function', name, ...described, parameters: tool.schema ?? NO_ARGUMENTS, strict: tool.strict ?? false };
}

function writeChoice(choice: ToolChoice, tools: readonly ModelTool[]): unknown {
  const named = (name: string): Fields => ({
    type: tools.some((tool) => tool.type === 'custom' && tool.name === name) ? 'custom' : 'function',
    name: targetName(name),
  });
  if (choice.type === 'tool') return named(choice.name);
  if (choice.type !== 'allowed') return choice.type;
  return { type: 'allowed_tools', mode: choice.mode, tools: choice.names.map(named) };
}

function formatOf(format: OutputFormat): Fields {
  if (format.type === 'json_object') return { type: 'json_object' };
  const { name, description, schema, strict } = format;
  return {
    type: 'json_schema',
    name: name ?? 'response',
    ...(description === null ? {} : { description }),
    schema,
    strict: strict ?? false,
  };
}

function targetName(name: string): string {
  return toTargetName('openai-responses', name);
}
