/** OpenAI's chat completions in the simulation. */
import { isRecord } from '../../core/json.ts';
import { bodyOf } from '../workload.ts';
import { dataEvent, errorIn, numberOf, records, textOf, type Fields, type ResponseParts, type SimulatedDialect } from './dialect.ts';

export const openaiChat: SimulatedDialect = {
  path: () => '/v1/chat/completions',
  body: (request, mark) => bodyOf(request, mark),
  readResponse: (values) => ({
    content: values.map(textOfValue).join(''),
    isWhole: values.some((value) => records(value['choices']).some((choice) => choice['finish_reason'] != null)),
    error: errorIn(values),
  }),
  readRequest: (body) => {
    const messages = records(body['messages']);
    const parts = messages.flatMap(({ content }) => [{ text: content }, ...records(content)]);
    const options = body['stream_options'];
    return {
      model: textOf(body['model']),
      stream: body['stream'] === true,
      includeUsage: isRecord(options) && options['include_usage'] === true,
      user: textOf(body['user']) || textOf(body['safety_identifier']),
      texts: parts.map(({ text }) => textOf(text)),
      messages: messages.length,
      images: parts.filter(({ type }) => type === 'image_url').length,
      outputBound: numberOf(body['max_completion_tokens'] ?? body['max_tokens']),
      countsOutput: 'bound',
    };
  },
  whole: (parts) => ({
    id: 'chatcmpl-simulated',
    object: 'chat.completion',
    model: parts.model,
    choices: [{ index: 0, message: { role: 'assistant', content: parts.words.join('') }, finish_reason: parts.finish }],
    usage: usageOf(parts),
  }),
  stream: {
    opening: (parts) => chunk(parts, '{"role":"assistant","content":""}', null),
    word: (parts, at) => chunk(parts, `{"content":"${parts.words[at]}"}`, null),
    ending: (parts) => {
      const { model, finish, includeUsage } = parts;
      const usage = { id: 'chatcmpl-simulated', object: 'chat.completion.chunk', model, choices: [], usage: usageOf(parts) };
      return `${chunk(parts, '{}', finish)}${includeUsage ? dataEvent(usage) : ''}data: [DONE]\n\n`;
    },
    error: (message) => dataEvent(openaiError(500, message)),
  },
  error: openaiError,
};

export function openaiError(status: number, message: string): object {
  const type = status === 429 ? 'rate_limit_exceeded' : 'server_error';
  return { error: { message, type, param: null, code: status === 429 ? 'rate_limit_exceeded' : null } };
}

function textOfValue(value: Fields): string {
  const [choice] = records(value['choices']);
  const message = choice?.['message'] ?? choice?.['delta'];
  return isRecord(message) ? textOf(message['content']) : '';
}

function chunk({ model }: ResponseParts, delta: string, finish: string | null): string {
  const reason = finish === null ? 'null' : `"${finish}"`;
  const choices = `[{"index":0,"delta":${delta},"finish_reason":${reason}}]`;
  return `data: {"id":"chatcmpl-simulated","object":"chat.completion.chunk","model":${JSON.stringify(model)},"choices":${choices}}\n\n`;
}

function usageOf({ usage }: ResponseParts): object {
  return {
    prompt_tokens: usage.prompt,
    completion_tokens: usage.completion,
    total_tokens: usage.prompt + usage.completion,
    ...(usage.cached === 0 ? {} : { prompt_tokens_details: { cached_tokens: usage.cached } }),
  };
}
