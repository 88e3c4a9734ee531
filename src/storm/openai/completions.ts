/** `POST /v1/completions`, the old form. */
import type { Choice, Finish } from '../content.ts';
import type { ResponseFacts, Ask, Failure, PlainBody, Received, StreamEvent } from '../dialect.ts';
import { countChoices, countInput, readFields, wantsUsage, wholeNumber } from '../request.ts';
import { toUsage } from './usage.ts';

const FINISH: Record<Finish, string | null> = { stop: 'stop', length: 'length', tool: 'stop', filter: 'content_filter', none: null };

/** OpenAI's own bound where the request gives none. */
const OUTPUT_DEFAULT = 16;

/** Reads a completion request. Token arrays are taken as an empty prompt. */
export function readCompletions(received: Received): Ask | Failure {
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
    outputBound: wholeNumber(fields['max_tokens']) ?? OUTPUT_DEFAULT,
    prompt: { text: typeof text === 'string' ? text : '', choices: countChoices(fields) },
    fields,
    plain: (choices, facts) => plainAnswer(model, choices, facts),
    events: (choices, facts) => streamAnswer(model, choices, facts, withUsage),
  };
}

function head(model: string, facts: ResponseFacts): string {
  return `{"id":"cmpl-storm${facts.call}","object":"text_completion","created":${facts.created},"model":${JSON.stringify(model)},"system_fingerprint":${JSON.stringify(`fp_${facts.name}`)},"choices":`;
}

function plainAnswer(model: string, choices: readonly Choice[], facts: ResponseFacts): PlainBody {
  const shown = choices
    .filter((choice) => choice.kind !== 'absent')
    .map((choice, index) => ({
      text: choice.pieces.join(''),
      index,
      logprobs: null,
      finish_reason: choice.reason ?? FINISH[choice.finish],
    }));
  return { contentType: 'application/json', body: `${head(model, facts)}${JSON.stringify(shown)},"usage":${toUsage(facts.usage)}}` };
}

function streamAnswer(model: string, choices: readonly Choice[], facts: ResponseFacts, withUsage: boolean): StreamEvent[] {
  const start = `${head(model, facts)}`;
  const end = withUsage ? ',"usage":null}' : '}';
  const events: StreamEvent[] = [];
  choices.forEach((choice, index) => {
    const one = (text: string, finish: string | null) =>
      `${start}${JSON.stringify([{ text, index, logprobs: null, finish_reason: finish }])}${end}`;
    if (choice.kind === 'absent') events.push({ part: 'preamble', data: `${start}[]${end}` });
    for (const piece of choice.pieces) events.push({ part: 'content', data: one(piece, null) });
    const finish = choice.reason ?? FINISH[choice.finish];
    if (finish !== null && choice.kind !== 'absent') events.push({ part: 'finish', data: one('', finish) });
  });
  if (withUsage) events.push({ part: 'usage', data: `${start}[],"usage":${toUsage(facts.usage)}}` });
  events.push({ part: 'done', data: '[DONE]' });
  return events;
}
