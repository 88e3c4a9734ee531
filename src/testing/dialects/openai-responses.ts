/** OpenAI's Responses API in the simulation. */
import { isRecord } from '../../core/json.ts';
import { promptText } from '../prompt-text.ts';
import { errorIn, namedEvent, numberOf, records, textOf, type Fields, type ResponseParts, type SimulatedDialect } from './dialect.ts';
import { openaiError } from './openai-chat.ts';

const AROUND_PROMPT = '[{"role":"user","content":""}]'.length;
const ITEM = 'msg_simulated';

export const openaiResponses: SimulatedDialect = {
  path: () => '/v1/responses',
  body: ({ id, model, stream, inputTokens, outputBound }, mark) =>
    JSON.stringify({
      model,
      user: id,
      store: false,
      input: [{ role: 'user', content: promptText(inputTokens, AROUND_PROMPT, mark) }],
      ...(outputBound === null ? {} : { max_output_tokens: outputBound }),
      ...(stream ? { stream } : {}),
    }),
  readResponse: (values) => ({
    content: values.map(textOfValue).join(''),
    isWhole: values.some(({ status, type }) => isFinished(status) || type === 'response.completed' || type === 'response.incomplete'),
    error: errorOf(values),
  }),
  readRequest: (body) => {
    const { input } = body;
    const parts = records(input).flatMap(({ content }) => [{ text: content }, ...records(content)]);
    return {
      model: textOf(body['model']),
      stream: body['stream'] === true,
      includeUsage: true,
      user: textOf(body['user']) || textOf(body['safety_identifier']),
      texts: [textOf(input), ...parts.map(({ text }) => textOf(text))],
      messages: Math.max(1, records(input).length),
      images: parts.filter((part) => 'image_url' in part).length,
      outputBound: numberOf(body['max_output_tokens']),
      countsOutput: 'bound',
    };
  },
  whole: (parts) => finished(parts),
  stream: {
    opening: (parts) =>
      numbered(0, 'response.created', { response: opened(parts) }) +
      numbered(1, 'response.output_item.added', { output_index: 0, item: { ...itemOf(parts), content: [], status: 'in_progress' } }) +
      numbered(2, 'response.content_part.added', { ...PLACE, part: { type: 'output_text', text: '', annotations: [] } }),
    word: ({ words }, at) => numbered(at + 3, 'response.output_text.delta', { ...PLACE, delta: words[at], logprobs: [] }),
    ending: (parts) => {
      const [next, text] = [parts.words.length + 3, parts.words.join('')];
      const response = finished(parts);
      return (
        numbered(next, 'response.output_text.done', { ...PLACE, text, logprobs: [] }) +
        numbered(next + 1, 'response.content_part.done', { ...PLACE, part: { type: 'output_text', text, annotations: [] } }) +
        numbered(next + 2, 'response.output_item.done', { output_index: 0, item: itemOf(parts) }) +
        numbered(next + 3, `response.${String(response['status'])}`, { response })
      );
    },
    error: (message) => numbered(3, 'error', { code: 'server_error', message, param: null }),
  },
  error: openaiError,
};

const PLACE = { item_id: ITEM, output_index: 0, content_index: 0 };

function numbered(number: number, type: string, fields: Fields): string {
  return namedEvent({ type, ...fields, sequence_number: number });
}

function opened({ model }: ResponseParts): Fields {
  return { id: 'resp_simulated', object: 'response', created_at: 0, status: 'in_progress', model, error: null, output: [], usage: null };
}

function finished(parts: ResponseParts): Fields {
  const isCut = parts.finish === 'length';
  const { prompt, cached, completion } = parts.usage;
  return {
    ...opened(parts),
    status: isCut ? 'incomplete' : 'completed',
    incomplete_details: isCut ? { reason: 'max_output_tokens' } : null,
    output: parts.words.length === 0 ? [] : [itemOf(parts)],
    usage: {
      input_tokens: prompt,
      input_tokens_details: { cached_tokens: cached },
      output_tokens: completion,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: prompt + completion,
    },
  };
}

function itemOf({ words, finish }: ResponseParts): Fields {
  const content = [{ type: 'output_text', text: words.join(''), annotations: [], logprobs: [] }];
  return { id: ITEM, type: 'message', status: finish === 'length' ? 'incomplete' : 'completed', role: 'assistant', content };
}

function isFinished(status: unknown): boolean {
  return status === 'completed' || status === 'incomplete';
}

/** The text of a complete response or of an event. */
function textOfValue({ type, delta, output }: Fields): string {
  if (type === 'response.output_text.delta') return textOf(delta);
  return records(output)
    .flatMap(({ content }) => records(content))
    .map(({ text }) => textOf(text))
    .join('');
}

function errorOf(values: readonly Fields[]): string | null {
  const event = values.find(({ type }) => type === 'error');
  if (event !== undefined) return textOf(event['code']) || 'error';
  const inside = values.flatMap(({ response }) => (isRecord(response) ? [response] : []));
  return errorIn([...values, ...inside]);
}
