/** Anthropic's Messages API in the simulation. */
import { isRecord } from '../../core/json.ts';
import { promptText } from '../prompt-text.ts';
import { errorIn, namedEvent, numberOf, records, textOf, type Fields, type ResponseParts, type SimulatedDialect } from './dialect.ts';

/** `max_tokens` is required; sent by callers without an output limit. */
const MAX_TOKENS = 4_096;
const AROUND_PROMPT = '[{"role":"user","content":""}]'.length;

const ERROR_TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  429: 'rate_limit_error',
  503: 'overloaded_error',
};

export const anthropicMessages: SimulatedDialect = {
  path: () => '/v1/messages',
  body: ({ model, stream, inputTokens, outputBound }, mark) =>
    JSON.stringify({
      model,
      max_tokens: outputBound ?? MAX_TOKENS,
      messages: [{ role: 'user', content: promptText(inputTokens, AROUND_PROMPT, mark) }],
      ...(stream ? { stream } : {}),
    }),
  readResponse: (values) => ({
    content: values.map(textOfValue).join(''),
    isWhole: values.some(
      ({ type, delta }) => type === 'message' || type === 'message_stop' || (isRecord(delta) && delta['stop_reason'] != null),
    ),
    error: errorIn(values),
  }),
  readRequest: (body) => ({
    model: textOf(body['model']),
    stream: body['stream'] === true,
    includeUsage: true,
    user: isRecord(body['metadata']) ? textOf(body['metadata']['user_id']) : '',
    texts: records(body['messages']).flatMap(({ content }) => [textOf(content), ...records(content).map(({ text }) => textOf(text))]),
    messages: records(body['messages']).length,
    images: records(body['messages'])
      .flatMap(({ content }) => records(content))
      .filter(({ type }) => type === 'image').length,
    outputBound: numberOf(body['max_tokens']),
    countsOutput: 'generated',
  }),
  whole: (parts) => ({
    ...messageOf(parts),
    content: parts.words.length === 0 ? [] : [{ type: 'text', text: parts.words.join('') }],
    ...stopOf(parts),
    usage: usageOf(parts),
  }),
  stream: {
    opening: (parts) =>
      namedEvent({
        type: 'message_start',
        message: {
          ...messageOf(parts),
          content: [],
          stop_reason: null,
          stop_sequence: null,
          usage: { ...usageOf(parts), output_tokens: 1 },
        },
      }) + namedEvent({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
    word: ({ words }, at) => namedEvent({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: words[at] } }),
    ending: (parts) =>
      namedEvent({ type: 'content_block_stop', index: 0 }) +
      namedEvent({ type: 'message_delta', delta: stopOf(parts), usage: { output_tokens: parts.usage.completion } }) +
      namedEvent({ type: 'message_stop' }),
    error: (message) => namedEvent({ type: 'error', error: { type: 'api_error', message } }),
  },
  error: (status, message) => ({ type: 'error', error: { type: ERROR_TYPES[status] ?? 'api_error', message } }),
};

/** The text of a complete message or of an event. */
function textOfValue({ content, delta }: Fields): string {
  if (isRecord(delta)) return textOf(delta['text']);
  return records(content)
    .map(({ text }) => textOf(text))
    .join('');
}

function messageOf({ model }: ResponseParts): Fields {
  return { id: 'msg_simulated', type: 'message', role: 'assistant', model };
}

function stopOf({ finish }: ResponseParts): Fields {
  return { stop_reason: finish === 'length' ? 'max_tokens' : 'end_turn', stop_sequence: null };
}

function usageOf({ usage }: ResponseParts): Fields {
  const { prompt, cached, completion } = usage;
  return { input_tokens: prompt - cached, cache_creation_input_tokens: 0, cache_read_input_tokens: cached, output_tokens: completion };
}
