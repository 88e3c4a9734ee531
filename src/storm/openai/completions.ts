/** `POST /v1/completions`, the legacy endpoint. */
import type { Choice, Finish } from '../content.ts';
import type { ResponseFacts, ParsedRequest, Failure, ResponseBody, Received, StreamEvent } from '../dialect.ts';
import { countChoices, countInput, readFields, wantsUsage, wholeNumber } from '../request.ts';
import { toUsage } from './usage.ts';

const FINISH: Record<Finish, string | null> = { stop: 'stop', length: 'length', tool: 'stop', filter: 'content_filter', none: null };

/** OpenAI's default of `max_tokens`. */
const OUTPUT_DEFAULT = 16;

/** Parses a completion request. Token arrays count as an empty prompt. */
export function readCompletions(received: Received): ParsedRequest | Failure {
  const read = readFields(received);
  if ('reason' in read) return read;
  const { fields } = read;
  const model = fields['model'] as string;
  const { prompt } = fields;
  const text = Array.isArray(prompt) ? prompt.find((item) => typeof item === 'string') : prompt;
  const withUsage = wantsUsage(fields);
  return {
    model,
    stream: fields['stream'] === true,
    inputTokens: countInput(received, fields),
    outputLimit: wholeNumber(fields['max_tokens']) ?? OUTPUT_DEFAULT,
    prompt: { text: typeof text === 'string' ? text : '', choices: countChoices(fields) },
    fields,
    body: (choices, facts) => chatBody(model, choices, facts),
    events: (choices, facts) => streamEvents(model, choices, facts, withUsage),
  };
}

function head(model: string, facts: ResponseFacts): string {
  return `{"id":"cmpl-storm${facts.call}","object":"text_completion","created":${facts.created},"model":${JSON.stringify(model)},"system_fingerprint":${JSON.stringify(`fp_${facts.name}`)},"choices":`;
}

function chatBody(model: string, choices: readonly Choice[], facts: ResponseFacts): ResponseBody {
  const shown = choices
    .filter((choice) => choice.kind !== 'absent')
    .map((choice, index) => ({
      text: choice.deltas.join(''),
      index,
      logprobs: null,
      finish_reason: choice.reason ?? FINISH[choice.finish],
    }));
  return { contentType: 'application/json', body: `${head(model, facts)}${JSON.stringify(shown)},"usage":${toUsage(facts.usage)}}` };
}

function streamEvents(model: string, choices: readonly Choice[], facts: ResponseFacts, withUsage: boolean): StreamEvent[] {
  const start = `${head(model, facts)}`;
  const end = withUsage ? ',"usage":null}' : '}';
  const events: StreamEvent[] = [];
  choices.forEach((choice, index) => {
    const one = (text: string, finish: string | null) =>
      `${start}${JSON.stringify([{ text, index, logprobs: null, finish_reason: finish }])}${end}`;
    if (choice.kind === 'absent') events.push({ part: 'preamble', data: `${start}[]${end}` });
    for (const delta of choice.deltas) events.push({ part: 'content', data: one(delta, null) });
    const finish = choice.reason ?? FINISH[choice.finish];
    if (finish !== null && choice.kind !== 'absent') events.push({ part: 'finish', data: one('', finish) });
  });
  if (withUsage) events.push({ part: 'usage', data: `${start}[],"usage":${toUsage(facts.usage)}}` });
  events.push({ part: 'done', data: '[DONE]' });
  return events;
}
