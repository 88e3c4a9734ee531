/** What is sent, and what its providers do, for the goldens of OpenAI traffic. */
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import type { SimulatedResponse, SimulatedCall, SimulatedStep } from '../../src/testing/simulated-upstream.ts';

type Script = SimulatedResponse | ((call: SimulatedCall) => SimulatedResponse);

export interface Scenario {
  readonly name: string;
  readonly providers: Readonly<Record<string, Script>>;
  /** Default: chat completions. */
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly config?: Omit<ConfigInput, 'providers' | 'models'>;
  readonly models?: ConfigInput['models'];
  /** Sent so many times, one after the other. Default 1. */
  readonly times?: number;
}

const MESSAGES = [{ role: 'user', content: 'Say something about harbours.' }];
const CHAT = { model: 'fast', messages: MESSAGES };
const STREAM = { ...CHAT, stream: true };
const JSON_HEADERS = { 'content-type': 'application/json', 'x-request-id': 'upstream-1', 'openai-processing-ms': '12' };

function whole(status: number, body: unknown, headers: Readonly<Record<string, string>> = JSON_HEADERS): SimulatedResponse {
  const bytes = typeof body === 'string' ? body : JSON.stringify(body);
  return { steps: [{ do: 'head', status, headers }, { do: 'send', bytes }] };
}

function events(list: readonly string[], more: readonly SimulatedStep[] = []): SimulatedResponse {
  const head: SimulatedStep = { do: 'head', status: 200, headers: { 'content-type': 'text/event-stream', 'x-request-id': 'upstream-2' } };
  return { steps: [head, ...list.map((bytes): SimulatedStep => ({ do: 'send', bytes })), ...more] };
}

const completion = (message: object, finish = 'stop', more: object = {}): object => ({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1_780_000_000,
  model: 'm-2026',
  choices: [{ index: 0, message: { role: 'assistant', content: null, refusal: null, ...message }, logprobs: null, finish_reason: finish }],
  usage: { prompt_tokens: 9, completion_tokens: 5, total_tokens: 14, prompt_tokens_details: { cached_tokens: 3 } },
  system_fingerprint: 'fp_1',
  ...more,
});

const chunk = (delta: object, finish: string | null = null, more: object = {}): string =>
  `data: ${JSON.stringify({
    id: 'chatcmpl-2',
    object: 'chat.completion.chunk',
    created: 1_780_000_000,
    model: 'm-2026',
    choices: [{ index: 0, delta, finish_reason: finish }],
    ...more,
  })}\n\n`;

const ROLE = chunk({ role: 'assistant', content: '' });
const HELLO = chunk({ content: 'Harbours ' });
const END = chunk({}, 'stop');
const USAGE = `data: ${JSON.stringify({ id: 'chatcmpl-2', choices: [], usage: { prompt_tokens: 9, completion_tokens: 5, total_tokens: 14 } })}\n\n`;
const DONE = 'data: [DONE]\n\n';
const GOOD_STREAM = events([ROLE, HELLO, chunk({ content: 'shelter ships.' }), END, USAGE, DONE]);
const GOOD = whole(200, completion({ content: 'Harbours shelter ships.' }));
const error = (message: string, type: string, code: string | null, param: string | null = null): object => ({
  error: { message, type, param, code },
});
const TOOLS = [{ type: 'function', function: { name: 'tide', parameters: { type: 'object', properties: { at: { type: 'string' } } } } }];
const CALL = { id: 'call_1', type: 'function', function: { name: 'tide', arguments: '{"at":"noon"}' } };

export const SCENARIOS: readonly Scenario[] = [
  { name: 'plain chat', providers: { a: GOOD }, body: CHAT },
  { name: 'plain chat with unknown fields, odd spacing and unicode', providers: { a: GOOD }, body: ' {"model" : "fast","messages":[{"role":"user","content":"\\u00e9é 🚢"}],"x_vendor":{"a":[1.10,12345678901234567890]} , "top_p":0.50}' }, // prettier-ignore
  { name: 'plain chat with a tool call', providers: { a: whole(200, completion({ tool_calls: [CALL] }, 'tool_calls')) }, body: { ...CHAT, tools: TOOLS, tool_choice: 'auto' } }, // prettier-ignore
  { name: 'plain chat cut at its length', providers: { a: whole(200, completion({ content: 'Harb' }, 'length')) }, body: { ...CHAT, max_tokens: 2 } },
  { name: 'plain chat with two choices', providers: { a: whole(200, { ...completion({ content: 'x' }), choices: [0, 1].map((index) => ({ index, message: { role: 'assistant', content: `c${index}` }, finish_reason: 'stop' })) }) }, body: { ...CHAT, n: 2 } }, // prettier-ignore
  { name: 'plain chat with headers that travel on', providers: { a: GOOD }, body: CHAT, headers: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', 'openai-organization': 'org-1', 'user-agent': 'x/1', 'x-stainless-retry-count': '0', authorization: 'Bearer unused' } }, // prettier-ignore
  { name: 'stream', providers: { a: GOOD_STREAM }, body: STREAM },
  { name: 'stream with usage asked for', providers: { a: GOOD_STREAM }, body: { ...STREAM, stream_options: { include_usage: true, include_obfuscation: false } } },
  { name: 'stream without DONE', providers: { a: events([ROLE, HELLO, END]) }, body: STREAM },
  { name: 'stream with comments and CRLF', providers: { a: events([': hi\r\n\r\n', HELLO.replaceAll('\n', '\r\n'), END.replaceAll('\n', '\r\n'), 'data: [DONE]\r\n\r\n']) }, body: STREAM }, // prettier-ignore
  { name: 'stream of a tool call', providers: { a: events([chunk({ role: 'assistant', tool_calls: [{ index: 0, ...CALL, function: { name: 'tide', arguments: '' } }] }), chunk({ tool_calls: [{ index: 0, function: { arguments: '{"at":"noon"}' } }] }), chunk({}, 'tool_calls'), DONE]) }, body: { ...STREAM, tools: TOOLS } }, // prettier-ignore
  { name: 'stream cut after content', providers: { a: events([ROLE, HELLO]) }, body: STREAM },
  { name: 'stream reset after content', providers: { a: events([ROLE, HELLO], [{ do: 'break', code: 'ECONNRESET' }]) }, body: STREAM },
  { name: 'stream with an error after content', providers: { a: events([ROLE, HELLO, `data: ${JSON.stringify(error('overloaded', 'server_error', 'overloaded'))}\n\n`]) }, body: STREAM }, // prettier-ignore
  { name: 'stream that stalls after content', providers: { a: events([ROLE, HELLO], [{ do: 'wait', ms: Infinity }]) }, body: STREAM },
  { name: 'stream cut before content, second provider', providers: { a: events([ROLE]), b: GOOD_STREAM }, body: STREAM },
  { name: 'stream with an error as its first event, second provider', providers: { a: events([`data: ${JSON.stringify(error('overloaded', 'server_error', 'overloaded'))}\n\n`]), b: GOOD_STREAM }, body: STREAM }, // prettier-ignore
  { name: 'stream kept alive through a slow second provider', providers: { a: whole(503, error('busy', 'server_error', null)), b: { steps: [{ do: 'wait', ms: 30_000 }, ...GOOD_STREAM.steps] } }, body: STREAM }, // prettier-ignore
  { name: 'stream kept alive, then nobody answers', providers: { a: { steps: [{ do: 'wait', ms: 30_000 }, ...whole(400, error('bad', 'invalid_request_error', null, 'messages')).steps] } }, body: STREAM }, // prettier-ignore
  { name: 'stream answered with plain JSON', providers: { a: GOOD }, body: STREAM },
  { name: 'plain request answered with a stream', providers: { a: GOOD_STREAM }, body: CHAT },
  { name: 'legacy completion', providers: { a: whole(200, { id: 'cmpl-1', object: 'text_completion', model: 'm', choices: [{ index: 0, text: 'Ships.', logprobs: null, finish_reason: 'stop' }], usage: { prompt_tokens: 2, completion_tokens: 2, total_tokens: 4 } }) }, path: '/v1/completions', body: { model: 'fast', prompt: 'Harbours' } }, // prettier-ignore
  { name: 'embeddings', providers: { a: whole(200, { object: 'list', data: [{ object: 'embedding', index: 0, embedding: 'AACAPw==' }], model: 'm', usage: { prompt_tokens: 2, total_tokens: 2 } }) }, path: '/v1/embeddings', body: { model: 'fast', input: 'harbour', encoding_format: 'base64' } }, // prettier-ignore
  { name: 'moderations pass as bytes', providers: { a: whole(200, '{"id":"modr-1","results":[{"flagged":false}]}') }, path: '/v1/moderations', body: { model: 'fast', input: 'harbour' } },
  { name: 'speech passes as bytes', providers: { a: { steps: [{ do: 'head', status: 200, headers: { 'content-type': 'audio/mpeg' } }, { do: 'send', bytes: 'ID3fake' }] } }, path: '/v1/audio/speech', body: { model: 'fast', input: 'ships', voice: 'alloy' } }, // prettier-ignore
  { name: 'models', providers: { a: GOOD }, path: '/v1/models', method: 'GET' },
  { name: 'one model', providers: { a: GOOD }, path: '/v1/models/fast', method: 'GET' },
  { name: 'error 400 of the caller', providers: { a: whole(400, error("Missing required parameter: 'messages[0].role'.", 'invalid_request_error', 'missing_required_parameter', 'messages[0].role')) }, body: CHAT }, // prettier-ignore
  { name: 'error 400 context length, one provider', providers: { a: whole(400, error("This model's maximum context length is 10 tokens.", 'invalid_request_error', 'context_length_exceeded', 'messages')) }, body: STREAM }, // prettier-ignore
  { name: 'error 401 of our key', providers: { a: whole(401, error('Incorrect API key provided', 'invalid_request_error', 'invalid_api_key')) }, body: CHAT },
  { name: 'error 404 model, second provider', providers: { a: whole(404, error('The model does not exist', 'invalid_request_error', 'model_not_found')), b: GOOD }, body: CHAT },
  { name: 'error 429 with a long wait', providers: { a: whole(429, error('Rate limit reached', 'requests', 'rate_limit_exceeded'), { ...JSON_HEADERS, 'retry-after': '3600' }) }, body: CHAT }, // prettier-ignore
  { name: 'error 429 then an answer', providers: { a: (call) => (call.number === 1 ? whole(429, error('slow', 'requests', 'rate_limit_exceeded'), { ...JSON_HEADERS, 'retry-after': '2' }) : GOOD) }, body: CHAT }, // prettier-ignore
  { name: 'error 500 at every try', providers: { a: whole(500, error('boom', 'server_error', null)) }, body: CHAT },
  { name: 'error 502 as a web page, then an answer elsewhere', providers: { a: whole(502, '<html><title>Bad gateway</title></html>', { 'content-type': 'text/html' }), b: GOOD }, body: CHAT }, // prettier-ignore
  { name: 'two providers fail in different ways', providers: { a: whole(500, error('boom', 'server_error', null)), b: { refuse: 'ECONNREFUSED', steps: [] } }, body: CHAT },
  { name: 'silent provider until the deadline', providers: { a: { steps: [{ do: 'wait', ms: Infinity }] } }, body: CHAT, headers: { 'x-breakwater-deadline-ms': '2000' } },
  { name: 'empty answer twice', providers: { a: whole(200, completion({ content: '' })) }, body: CHAT },
  { name: 'unknown model', providers: { a: GOOD }, body: { ...CHAT, model: 'nothing' } },
  { name: 'no messages', providers: { a: GOOD }, body: { model: 'fast' } },
  { name: 'no JSON', providers: { a: GOOD }, body: '{"model":' },
  { name: 'unknown path', providers: { a: GOOD }, path: '/v1/nothing', body: CHAT },
  { name: 'set and drop', providers: { a: GOOD }, models: { fast: { targets: [{ target: 'a/m', set: { temperature: 1, seed: 7 }, drop: ['top_p', 'user'] }] } }, body: { user: 'u', ...CHAT, top_p: 0.5, temperature: 0.2 } }, // prettier-ignore
  { name: 'short answer of the first provider, good one of the second', providers: { a: whole(200, completion({ content: 'No.' })), b: GOOD }, models: { fast: { targets: ['a/m', 'b/m'], quality: { minLength: 10 } } }, body: CHAT }, // prettier-ignore
  { name: 'short answers everywhere', providers: { a: whole(200, completion({ content: 'No.' })) }, models: { fast: { targets: ['a/m'], quality: { minLength: 10 } } }, body: STREAM }, // prettier-ignore
  { name: 'cached answer', providers: { a: GOOD }, config: { policy: { cache: { enabled: true } } }, body: { ...CHAT, temperature: 0 }, times: 2 },
  { name: 'idempotency key', providers: { a: GOOD }, headers: { 'idempotency-key': 'k1' }, body: CHAT, times: 2 },
]; // prettier-ignore
