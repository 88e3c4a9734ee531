/** Writes a neutral request as a generateContent request. Model and streaming are given in the path. */
import { Buffer } from 'node:buffer';
import { DropList, findConversionFault } from '../conversion-loss.ts';
import type { TargetCapabilities, WriteEdits } from '../conversion-loss.ts';
import type { Fields } from '../loose-values.ts';
import type { Effort, Encoded, ModelRequest, ModelTool, ReasoningRequest, ToolChoice } from '../model.ts';
import { toTargetName } from '../tool-names.ts';
import { writeContents } from './write-contents.ts';

/** Thinking budget per effort, in tokens, for models that accept only a budget. */
const EFFORT_BUDGETS: Readonly<Record<Exclude<Effort, 'none'>, number>> = {
  minimal: 512,
  low: 1_024,
  medium: 8_192,
  high: 24_576,
  xhigh: 24_576,
  max: 24_576,
};

export function writeGeminiRequest(request: ModelRequest, edits: WriteEdits, can: TargetCapabilities): Encoded {
  const dropped = new DropList(request.rest);
  const fault = dropped.refusal ?? findConversionFault(request, dropped);
  if (fault !== null) return { ok: false, ...fault };
  const written = writeContents(request.turns, can, dropped);
  if ('field' in written) return { ok: false, ...written };
  const body: Fields = { contents: written.contents };
  if (written.system.length > 0) body['systemInstruction'] = { parts: written.system };
  writeTools(body, request);
  const config = generationConfig(request, can, dropped);
  if (Object.keys(config).length > 0) body['generationConfig'] = config;
  if (request.userId !== null) dropped.add('user');
  if (request.cacheKey !== null) dropped.add('prompt_cache_key');
  if (request.serviceTier !== null) dropped.add('service_tier');
  if (request.parallelToolCalls === false) dropped.add('parallel_tool_calls');
  return { ok: true, body: Buffer.from(JSON.stringify(edits.apply(body))), dropped: dropped.names };
}

function generationConfig(request: ModelRequest, can: TargetCapabilities, dropped: DropList): Fields {
  const config: Fields = {};
  const sample = (name: string, field: string, value: number | null): void => {
    if (value === null) return;
    if (can.samples) config[name] = value;
    else dropped.add(field);
  };
  sample('temperature', 'temperature', request.temperature);
  sample('topP', 'top_p', request.topP);
  sample('topK', 'top_k', request.topK);
  if (request.outputBound !== null) config['maxOutputTokens'] = request.outputBound;
  if (request.choices > 1) config['candidateCount'] = request.choices;
  if (request.seed !== null) config['seed'] = request.seed;
  if (request.presencePenalty !== null) config['presencePenalty'] = request.presencePenalty;
  if (request.frequencyPenalty !== null) config['frequencyPenalty'] = request.frequencyPenalty;
  if (request.stop.length > 0) config['stopSequences'] = request.stop;
  if (request.format !== null) config['responseMimeType'] = 'application/json';
  if (request.format?.type === 'json_schema') config['responseJsonSchema'] = request.format.schema;
  const thinking = request.reasoning === null ? null : thinkingConfig(request.reasoning, can, dropped);
  if (thinking !== null) config['thinkingConfig'] = thinking;
  return config;
}

function thinkingConfig({ effort, budgetTokens }: ReasoningRequest, can: TargetCapabilities, dropped: DropList): Fields | null {
  if (can.thinking === 'none') {
    if (effort !== 'none') dropped.add('reasoning');
    return null;
  }
  if (can.thinking === 'budget') {
    const least = can.thinkingBudgetMin ?? 0;
    if (effort === 'none') return { thinkingBudget: least };
    const budget = budgetTokens ?? (effort === null ? null : EFFORT_BUDGETS[effort]);
    return { includeThoughts: true, ...(budget === null ? {} : { thinkingBudget: Math.max(least, budget) }) };
  }
  if (effort === 'none') return { thinkingLevel: 'minimal' };
  const level = effort === null ? levelOfBudget(budgetTokens) : effort === 'xhigh' || effort === 'max' ? 'high' : effort;
  return { includeThoughts: true, ...(level === null ? {} : { thinkingLevel: level }) };
}

function levelOfBudget(budgetTokens: number | null): string | null {
  if (budgetTokens === null) return null;
  return budgetTokens <= 2_048 ? 'low' : budgetTokens <= 8_192 ? 'medium' : 'high';
}

function writeTools(body: Fields, request: ModelRequest): void {
  const tools = request.tools.filter((tool) => tool.type !== 'foreign').map(declarationOf);
  if (tools.length === 0) return;
  body['tools'] = [{ functionDeclarations: tools }];
  if (request.toolChoice !== null) body['toolConfig'] = { functionCallingConfig: callingConfig(request.toolChoice) };
}

function declarationOf(tool: Exclude<ModelTool, { type: 'foreign' }>): Fields {
  const name = targetName(tool.name);
  const described = tool.description === null ? {} : { description: tool.description };
  if (tool.type === 'custom') {
    const schema = { type: 'object', properties: { input: { type: 'string' } }, required: ['input'] };
    return { name, ...described, parametersJsonSchema: schema };
  }
  return { name, ...described, ...(tool.schema === null ? {} : { parametersJsonSchema: tool.schema }) };
}

function callingConfig(choice: ToolChoice): Fields {
  if (choice.type === 'tool') return { mode: 'ANY', allowedFunctionNames: [targetName(choice.name)] };
  if (choice.type === 'none') return { mode: 'NONE' };
  // Only mode ANY accepts a list of names.
  if (choice.type === 'allowed')
    return choice.mode === 'required' ? { mode: 'ANY', allowedFunctionNames: choice.names.map(targetName) } : { mode: 'AUTO' };
  return { mode: choice.type === 'required' ? 'ANY' : 'AUTO' };
}

function targetName(name: string): string {
  return toTargetName('gemini', name);
}
