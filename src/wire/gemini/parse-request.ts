/** Parses a generateContent request into the neutral model, from which it is written in another dialect. */
import { isRecord } from '../../core/json.ts';
import { numberIn, parseExact } from '../json-exact.ts';
import { booleanOf, listOf, ownOf, recordsIn, recordsOrOne, textIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import type { Effort, ModelRequest, ModelTool, OutputFormat, ReasoningRequest, ToolChoice, Turn, Unmodelled } from '../model.ts';
import { camelCased } from './names.ts';
import { PartReader } from './parse-parts.ts';
import { GEMINI_FIELDS, GENERATION_FIELDS } from './request-fields.ts';
import { toJsonSchema } from './schema.ts';

/** `text`: a request body that passed decoding; `stream`, from the path: whether a stream is requested. */
export function parseGeminiRequest(text: string, stream: boolean): ModelRequest {
  const body = camelCased(parseExact(text) as Fields);
  const config = isRecord(body['generationConfig']) ? camelCased(body['generationConfig']) : {};
  const rest = [...unmodelled(body, GEMINI_FIELDS, ''), ...unmodelled(config, GENERATION_FIELDS, 'generationConfig.')];
  if (listOf(config['responseModalities']).some((modality) => textIn(modality).toUpperCase() !== 'TEXT')) {
    rest.push({ name: 'generationConfig.responseModalities', handling: 'refuse' });
  }
  const parts = new PartReader();
  const system = systemTurn(body['systemInstruction'], parts);
  const turns = recordsOrOne(body['contents']).flatMap((content): Turn[] => {
    const read = parts.readParts(content['parts']);
    return read.length === 0 ? [] : [{ role: content['role'] === 'model' ? 'assistant' : 'user', parts: read }];
  });
  return {
    stream,
    includeUsage: true,
    turns: [...system, ...turns],
    tools: recordsOrOne(body['tools']).flatMap(toolsOf),
    toolChoice: toolChoiceOf(body['toolConfig']),
    parallelToolCalls: null,
    outputBound: numberIn(config['maxOutputTokens']),
    choices: Math.max(1, numberIn(config['candidateCount']) ?? 1),
    temperature: numberIn(config['temperature']),
    topP: numberIn(config['topP']),
    topK: numberIn(config['topK']),
    seed: numberIn(config['seed']),
    presencePenalty: numberIn(config['presencePenalty']),
    frequencyPenalty: numberIn(config['frequencyPenalty']),
    stop: listOf(config['stopSequences']).filter((stop) => typeof stop === 'string'),
    format: formatOf(config),
    reasoning: reasoningOf(config['thinkingConfig']),
    userId: null,
    cacheKey: null,
    serviceTier: textOrNull(body['serviceTier']),
    rest,
  };
}

function unmodelled(fields: Fields, fates: Readonly<Record<string, string>>, prefix: string): Unmodelled[] {
  return Object.entries(fields).flatMap(([name, value]): Unmodelled[] => {
    const handling = ownOf(fates, name) ?? 'drop';
    const isEmpty = value === null || value === false || (Array.isArray(value) && value.length === 0);
    return isEmpty || (handling !== 'drop' && handling !== 'refuse') ? [] : [{ name: prefix + name, handling }];
  });
}

function systemTurn(instruction: unknown, reader: PartReader): Turn[] {
  const text = textOrNull(instruction);
  if (text !== null) return [{ role: 'system', parts: [{ type: 'text', text }] }];
  const parts = isRecord(instruction) ? reader.readParts(instruction['parts']) : [];
  return parts.length === 0 ? [] : [{ role: 'system', parts }];
}

function toolsOf(tool: Fields): ModelTool[] {
  return Object.entries(camelCased(tool)).flatMap(([name, value]): ModelTool[] => {
    if (name === 'functionDeclarations') return recordsIn(value).map(functionTool);
    return value === null ? [] : [{ type: 'foreign', name }];
  });
}

function functionTool(declaration: Fields): ModelTool {
  const fields = camelCased(declaration);
  const schema = fields['parametersJsonSchema'] ?? (isRecord(fields['parameters']) ? toJsonSchema(fields['parameters']) : null);
  return { type: 'function', name: textIn(fields['name']), description: textOrNull(fields['description']), schema, strict: null };
}

function toolChoiceOf(config: unknown): ToolChoice | null {
  const calling = isRecord(config) ? camelCased(config)['functionCallingConfig'] : null;
  if (!isRecord(calling)) return null;
  const fields = camelCased(calling);
  const names = listOf(fields['allowedFunctionNames']).filter((name) => typeof name === 'string');
  const mode = textIn(fields['mode']).toUpperCase();
  if (mode === 'NONE') return { type: 'none' };
  if (names.length > 0) return { type: 'allowed', mode: mode === 'ANY' ? 'required' : 'auto', names };
  return { type: mode === 'ANY' ? 'required' : 'auto' };
}

function formatOf(config: Fields): OutputFormat | null {
  const schema = config['responseJsonSchema'] ?? (isRecord(config['responseSchema']) ? toJsonSchema(config['responseSchema']) : null);
  if (isRecord(schema)) return { type: 'json_schema', name: null, description: null, schema, strict: null };
  return config['responseMimeType'] === 'application/json' ? { type: 'json_object' } : null;
}

const LEVELS: Readonly<Record<string, Effort>> = { minimal: 'minimal', low: 'low', medium: 'medium', high: 'high' };

/** A budget of -1 leaves the choice to the model. */
function reasoningOf(config: unknown): ReasoningRequest | null {
  if (!isRecord(config)) return null;
  const fields = camelCased(config);
  const effort = ownOf(LEVELS, textIn(fields['thinkingLevel']).toLowerCase()) ?? null;
  const budget = numberIn(fields['thinkingBudget']);
  if (budget === 0) return { effort: 'none', budgetTokens: null };
  const budgetTokens = budget === null || budget < 0 ? null : budget;
  if (effort === null && budgetTokens === null && booleanOf(fields['includeThoughts']) !== true) return null;
  return { effort, budgetTokens };
}
