/** Formats the response object, complete and as numbered events. */
import type { Choice } from '../content.ts';
import type { ResponseFacts, EventPart, Failure, ResponseBody, StreamEvent } from '../dialect.ts';
import type { EventText } from '../framings.ts';
import { errorObject } from '../openai/failures.ts';
import type { Fields } from '../request.ts';
import { outputItems } from './output.ts';
import type { OutputParts } from './output.ts';

export type ResponseObject = Readonly<Record<string, unknown>>;

/** A finished response: its output, status and usage. */
export function wholeResponse(fields: Fields, parts: OutputParts, choice: Choice | undefined, facts: ResponseFacts): ResponseObject {
  const output = outputItems(parts, choice, facts).map(({ whole }) => whole);
  return { ...openResponse(fields, parts, facts), ...endOf(choice, facts), output, usage: usageOf(facts.usage) };
}

/** The response as a response body. */
export function responseBody(fields: Fields, parts: OutputParts, choice: Choice | undefined, facts: ResponseFacts): ResponseBody {
  return { contentType: 'application/json', body: JSON.stringify(wholeResponse(fields, parts, choice, facts)) };
}

/** The response as stream events. */
export function responseEvents(fields: Fields, parts: OutputParts, choice: Choice | undefined, facts: ResponseFacts): StreamEvent[] {
  const events: StreamEvent[] = [];
  const add = (part: EventPart, type: string, more: Readonly<Record<string, unknown>>) =>
    events.push({ part, ...numbered(type, more, events.length) });
  const response = openResponse(fields, parts, facts);
  add('preamble', 'response.created', { response });
  add('preamble', 'response.in_progress', { response });
  const items = outputItems(parts, choice, facts);
  for (const [index, { whole, opening, events: inner }] of items.entries()) {
    const place = { output_index: index };
    add('preamble', 'response.output_item.added', { ...place, item: opening });
    for (const { part, type, fields: more } of inner) add(part, type, { ...place, ...more });
    add(index === items.length - 1 ? 'finish' : 'content', 'response.output_item.done', { ...place, item: whole });
  }
  const whole = wholeResponse(fields, parts, choice, facts);
  if (whole['status'] !== 'in_progress') add('done', `response.${String(whole['status'])}`, { response: whole });
  return events;
}

function numbered(type: string, fields: Readonly<Record<string, unknown>>, number: number): EventText {
  return { name: type, data: JSON.stringify({ type, ...fields, sequence_number: number }) };
}

/** The top-level error event. With another error shape it has the form of a chat stream's error, plus a sequence number. */
export function errorEvent(failure: Failure, sent: number): EventText {
  const { error } = errorObject(failure);
  return numbered('error', { code: error.code ?? error.type, message: error.message, param: error.param }, sent);
}

/** `response.failed`, with the response from the first event. */
export function failedEvent(failure: Failure, sent: number, first: Readonly<Record<string, unknown>>): EventText {
  const response = failedResponse(failure, (first['response'] ?? {}) as ResponseObject);
  return numbered('response.failed', { response }, sent);
}

/** A response whose generation failed; the HTTP status is 200. */
export function failedResponse(failure: Failure, response: ResponseObject): Record<string, unknown> {
  const { error } = errorObject(failure);
  const code = error.code ?? (error.type === 'server_error' ? 'server_error' : 'invalid_prompt');
  return {
    ...response,
    status: 'failed',
    completed_at: null,
    error: { code, message: error.message },
    incomplete_details: null,
    output: [],
    usage: null,
  };
}

function openResponse(fields: Fields, { seals, owner }: OutputParts, facts: ResponseFacts): ResponseObject {
  const { reasoning, text } = fields as { reasoning?: Record<string, unknown>; text?: Record<string, unknown> };
  return {
    id: responseId(seals.idOf(facts.call)),
    object: 'response',
    created_at: facts.created,
    status: 'in_progress',
    background: false,
    completed_at: null,
    error: null,
    incomplete_details: null,
    instructions: fields['instructions'] ?? null,
    max_output_tokens: fields['max_output_tokens'] ?? null,
    max_tool_calls: fields['max_tool_calls'] ?? null,
    model: owner.model,
    output: [],
    parallel_tool_calls: fields['parallel_tool_calls'] ?? true,
    previous_response_id: fields['previous_response_id'] ?? null,
    prompt_cache_key: fields['prompt_cache_key'] ?? null,
    reasoning: { effort: reasoning?.['effort'] ?? null, summary: reasoning?.['summary'] ?? null },
    safety_identifier: fields['safety_identifier'] ?? null,
    service_tier: 'default',
    store: fields['store'] !== false,
    temperature: fields['temperature'] ?? 1,
    text: { format: text?.['format'] ?? { type: 'text' }, verbosity: text?.['verbosity'] ?? 'medium' },
    tool_choice: fields['tool_choice'] ?? 'auto',
    tools: fields['tools'] ?? [],
    top_logprobs: fields['top_logprobs'] ?? 0,
    top_p: fields['top_p'] ?? 1,
    truncation: fields['truncation'] ?? 'disabled',
    usage: null,
    user: fields['user'] ?? null,
    metadata: fields['metadata'] ?? {},
  };
}

/** The response id of a call. */
export function responseId(code: string): string {
  return `resp_${code}`;
}

const STATUSES = ['failed', 'cancelled', 'queued', 'in_progress'];

function endOf(choice: Choice | undefined, { created }: ResponseFacts): ResponseObject {
  const reason =
    choice?.reason ?? (choice?.finish === 'length' ? 'max_output_tokens' : choice?.finish === 'filter' ? 'content_filter' : undefined);
  if (reason !== undefined && STATUSES.includes(reason)) {
    return reason === 'failed'
      ? { status: reason, error: { code: 'server_error', message: 'The model failed to generate a response.' } }
      : { status: reason };
  }
  if (reason !== undefined) return { status: 'incomplete', incomplete_details: { reason } };
  return choice?.finish === 'none' ? {} : { status: 'completed', completed_at: created };
}

/** `usage` of Responses. */
export function usageOf({ input, output, reasoning }: ResponseFacts['usage']): ResponseObject {
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: reasoning },
    total_tokens: input + output,
  };
}
