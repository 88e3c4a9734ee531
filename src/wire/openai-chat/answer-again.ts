/** An answer that was kept, in the form that another caller of the same asks for. */
import { Buffer } from 'node:buffer';
import type { TokenUsage } from '../../core/facts.ts';
import { asBuffer } from '../bytes.ts';
import type { WantedForm, WholeResponse } from '../dialect.ts';
import { isRecord } from '../json-values.ts';
import { SseFramer } from '../sse/sse-framer.ts';
import { fitsForm } from '../whole-bounds.ts';
import { writeJson } from '../write-json.ts';
import { answerAsStream } from './answer-as-stream.ts';
import { streamAsAnswer } from './stream-as-answer.ts';
import { TERMINATOR } from './terminator.ts';

/** True if `inForm` may be called. */
export function canBeInForm(answer: WholeResponse, wanted: WantedForm): boolean {
  const { isStream, tellsUsage } = answer;
  return fitsForm(answer, isStream === wanted.stream && (!isStream || tellsUsage === wanted.usage));
}

/** The same answer in the wanted form; the same bytes where that is the form they have. */
export function inForm(answer: WholeResponse, wanted: WantedForm): Uint8Array {
  if (!wanted.stream) return answer.isStream ? asPlain(answer) : answer.body;
  if (!answer.isStream) return answerAsStream(answer.body, wanted.usage);
  if (wanted.usage === answer.tellsUsage) return answer.body;
  return wanted.usage ? withUsage(answer) : withoutUsage(answer.body);
}

function asPlain({ body, tellsUsage, usage }: WholeResponse): Uint8Array {
  const plain = streamAsAnswer(body);
  if (tellsUsage || usage === null) return plain;
  return Buffer.from(writeJson({ ...(JSON.parse(asBuffer(plain).toString()) as object), usage: usageMember(usage) }));
}

function withUsage({ body, usage }: WholeResponse): Uint8Array {
  const end = asBuffer(body).lastIndexOf('data: [DONE]');
  const first = dataEvents(body)[0];
  if (usage === null || first === undefined || end < 0) return body;
  const event = { ...first.value, choices: [], usage: usageMember(usage) };
  return Buffer.concat([body.subarray(0, end), Buffer.from(`data: ${writeJson(event)}\n\n`), TERMINATOR]);
}

/** Without the event that tells nothing but the usage. */
function withoutUsage(body: Uint8Array): Uint8Array {
  const kept = dataEvents(body).filter(
    ({ value }) => !(Array.isArray(value['choices']) && value['choices'].length === 0 && isRecord(value['usage'])),
  );
  return Buffer.concat([...kept.map(({ data }) => Buffer.from(`data: ${data}\n\n`)), TERMINATOR]);
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

/** In strings of JSON every quote is escaped, so this is found in no content. */
const UNFINISHED = /"finish_reason"\s*:\s*"(?:length|max_tokens|content_filter)"/;

/** True if some choice came to its end before what it had to say did: at its length limit, or by a filter. */
export function isUnfinished(answer: Uint8Array): boolean {
  return UNFINISHED.test(asBuffer(answer).toString('latin1'));
}
