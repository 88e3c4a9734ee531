/** Parses a Responses request into the neutral model, from which it is written in another dialect. */
import { isRecord } from '../../core/json.ts';
import { numberIn, parseExact } from '../json-exact.ts';
import { booleanOf, listOf, ownOf, recordsIn, textIn, textOrNull } from '../loose-values.ts';
import type { Fields } from '../loose-values.ts';
import { EFFORTS } from '../model.ts';
import type { ModelRequest, ModelTool, OutputFormat, ReasoningRequest, ToolChoice, Unmodelled } from '../model.ts';
import { ItemReader } from './parse-items.ts';
import { RESPONSES_FIELDS } from './request-fields.ts';
import { flatToolName } from './tool-names.ts';

/** `text`: a request body that passed decoding; a `previous_response_id` of this proxy has been expanded. */
export function parseResponsesRequest(text: string): ModelRequest {
  const body = parseExact(text) as Fields;
  const rest: Unmodelled[] = [];
  for (const [name, value] of Object.entries(body)) {
    const handling = ownOf(RESPONSES_FIELDS, name) ?? 'drop';
    if ((handling === 'drop' || handling === 'refuse') && value !== null && value !== false && value !== '') rest.push({ name, handling });
  }
  const { text: format } = body;
  if (isRecord(format) && format['verbosity'] !== undefined && format['verbosity'] !== null)
    rest.push({ name: 'text.verbosity', handling: 'drop' });
  const items = new ItemReader();
  const instructions = textOrNull(body['instructions']);
  if (instructions !== null) items.addSystem(instructions);
  if (typeof body['input'] === 'string') items.addUser(body['input']);
  for (const item of recordsIn(body['input'])) items.add(item);
  if (items.refused !== null) rest.push({ name: `input.${items.refused}`, handling: 'refuse' });
  const reasoning = body['reasoning'];
  return {
    stream: body['stream'] === true,
    includeUsage: true,
    turns: items.turns,
    tools: [...recordsIn(body['tools']), ...items.tools].flatMap((tool) => toolsOf(tool)),
    toolChoice: toolChoiceOf(body['tool_choice']),
    parallelToolCalls: booleanOf(body['parallel_tool_calls']),
    outputBound: numberIn(body['max_output_tokens']),
    choices: 1,
    temperature: numberIn(body['temperature']),
    topP: numberIn(body['top_p']),
    topK: null,
    seed: null,
    presencePenalty: null,
    frequencyPenalty: null,
    stop: [],
    format: isRecord(format) ? formatOf(format['format']) : null,
    reasoning: isRecord(reasoning) ? reasoningOf(reasoning) : null,
    userId: textOrNull(body['safety_identifier']) ?? textOrNull(body['user']),
    cacheKey: textOrNull(body['prompt_cache_key']),
    serviceTier: body['service_tier'] === 'auto' ? null : textOrNull(body['service_tier']),
    rest,
  };
}

function toolsOf(tool: Fields, namespace: string | null = null): ModelTool[] {
  const own = textIn(tool['name']);
  const name = flatToolName(namespace, own);
  const description = textOrNull(tool['description']);
  const origin = namespace === null ? {} : { origin: { namespace, name: own } };
  switch (tool['type']) {
    case 'function':
      return [{ type: 'function', name, description, schema: tool['parameters'] ?? null, strict: booleanOf(tool['strict']), ...origin }];
    case 'custom':
      return [{ type: 'custom', name, description, format: tool['format'] ?? null, ...origin }];
    case 'namespace':
      return namespace === null ? recordsIn(tool['tools']).flatMap((inner) => toolsOf(inner, own)) : [];
    default:
      return [{ type: 'foreign', name: textOrNull(tool['type']) ?? 'tool' }];
  }
}

function toolChoiceOf(choice: unknown): ToolChoice | null {
  if (choice === 'auto' || choice === 'none' || choice === 'required') return { type: choice };
  if (!isRecord(choice)) return null;
  if (choice['type'] === 'allowed_tools') {
    const names = listOf(choice['tools']).flatMap((tool) => {
      const name = isRecord(tool) ? textOrNull(tool['name']) : null;
      return isRecord(tool) && name !== null ? [flatToolName(textOrNull(tool['namespace']), name)] : [];
    });
    return { type: 'allowed', mode: choice['mode'] === 'required' ? 'required' : 'auto', names };
  }
  const name = textOrNull(choice['name']);
  return { type: 'tool', name: name === null ? textIn(choice['type']) : flatToolName(textOrNull(choice['namespace']), name) };
}

function formatOf(format: unknown): OutputFormat | null {
  if (!isRecord(format)) return null;
  if (format['type'] === 'json_object') return { type: 'json_object' };
  if (format['type'] !== 'json_schema') return null;
  return {
    type: 'json_schema',
    name: textOrNull(format['name']),
    description: textOrNull(format['description']),
    schema: format['schema'] ?? {},
    strict: booleanOf(format['strict']),
  };
}

function reasoningOf(reasoning: Fields): ReasoningRequest | null {
  const effort = EFFORTS.find((known) => known === reasoning['effort']) ?? null;
  return effort === null && reasoning['summary'] === undefined ? null : { effort, budgetTokens: null };
}
