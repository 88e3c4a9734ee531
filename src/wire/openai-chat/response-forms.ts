/** Converts a stored response to the form that another caller requests. */
import { Buffer } from 'node:buffer';
import type { TokenUsage } from '../../core/facts.ts';
import { isRecord } from '../../core/json.ts';
import { asBuffer } from '../bytes.ts';
import type { RequestedForm, WholeResponse } from '../dialect.ts';
import { SseFramer } from '../sse/sse-framer.ts';
import { fitsForm } from '../parse-limits.ts';
import { writeJson } from '../write-json.ts';
import { completionToStream } from './completion-to-stream.ts';
import { streamToCompletion } from './stream-to-completion.ts';
import { TERMINATOR } from './terminator.ts';

/** True if `convertForm` may be called. */
export function canConvertForm(response: WholeResponse, requested: RequestedForm): boolean {
  const { isStream, includesUsage } = response;
  return fitsForm(response, isStream === requested.stream && (!isStream || includesUsage === requested.usage));
}

/** The response in the requested form; the same bytes if it has that form. */
export function convertForm(response: WholeResponse, requested: RequestedForm): Uint8Array {
  if (!requested.stream) return response.isStream ? asNonStreaming(response) : response.body;
  if (!response.isStream) return completionToStream(response.body, requested.usage);
  if (requested.usage === response.includesUsage) return response.body;
  return requested.usage ? withUsage(response) : withoutUsage(response.body);
}

function asNonStreaming({ body, includesUsage, usage }: WholeResponse): Uint8Array {
  const response = streamToCompletion(body);
  if (includesUsage || usage === null) return response;
  return Buffer.from(writeJson({ ...(JSON.parse(asBuffer(response).toString()) as object), usage: usageMember(usage) }));
}

function withUsage({ body, usage }: WholeResponse): Uint8Array {
  const end = asBuffer(body).lastIndexOf('data: [DONE]');
  const first = dataEvents(body)[0];
  if (usage === null || first === undefined || end < 0) return body;
  const event = { ...first.value, choices: [], usage: usageMember(usage) };
  return Buffer.concat([body.subarray(0, end), Buffer.from(`data: ${writeJson(event)}\n\n`), TERMINATOR]);
}

/** Without the event that holds only usage. */
function withoutUsage(body: Uint8Array): Uint8Array {
  const events = dataEvents(body).filter(
    ({ value }) => !(Array.isArray(value['choices']) && value['choices'].length === 0 && isRecord(value['usage'])),
  );
  return Buffer.concat([...events.map(({ data }) => Buffer.from(`data: ${data}\n\n`)), TERMINATOR]);
}

function dataEvents(body: Uint8Array): { data: string; value: Record<string, unknown> }[] {
  const found: { data: string; value: Record<string, unknown> }[] = [];
  const framer = new SseFramer(body.byteLength + 1);
  framer.push(body);
  while (framer.next()) {
    const data = framer.readData();
    if (data === null || !data.trimStart().startsWith('{')) continue;
    const value: unknown = JSON.parse(data);
    if (isRecord(value)) found.push({ data: data.replaceAll('\n', ' '), value });
  }
  return found;
}

function usageMember({ inputTokens, cachedInputTokens, outputTokens }: TokenUsage): Record<string, unknown> {
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
    prompt_tokens_details: { cached_tokens: cachedInputTokens },
  };
}

/** Quotes inside JSON strings are escaped, so this does not match content. */
const UNFINISHED = /"finish_reason"\s*:\s*"(?:length|max_tokens|content_filter)"/;

/** True if a choice was cut short by its output limit or a filter. */
export function isUnfinished(response: Uint8Array): boolean {
  return UNFINISHED.test(asBuffer(response).toString('latin1'));
}
