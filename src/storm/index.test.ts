import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { test } from 'node:test';
import OpenAI from 'openai';
import { startStorm } from './index.ts';
import type { StormOptions } from './index.ts';
import { createStormClock } from './system.ts';

const clock = createStormClock();

// oxlint-disable-next-line typescript/no-explicit-any -- responses are read as an untyped client would
type Json = Record<string, any>;

/** A Storm and the usual ways to call it. */
async function open(options: StormOptions = {}) {
  const storm = await startStorm(options);
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(`${storm.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer k', ...headers },
      body: body instanceof Buffer ? new Uint8Array(body) : JSON.stringify(body),
    });
  const chat = (body: Json = {}, headers: Record<string, string> = {}) =>
    post('/chat/completions', { model: 'storm-small', messages: [{ role: 'user', content: 'hello' }], ...body }, headers);
  const client = new OpenAI({ baseURL: storm.url, apiKey: 'k', maxRetries: 0 });
  return { storm, post, chat, client, [Symbol.asyncDispose]: () => storm.close() };
}

/** The events of a stream's text. */
function eventsOf(text: string): (Json | '[DONE]')[] {
  return text
    .split('\n\n')
    .filter((block) => block.startsWith('data: '))
    .map((block) => (block === 'data: [DONE]' ? '[DONE]' : JSON.parse(block.slice(6))));
}

async function json(response: Response): Promise<Json> {
  return (await response.json()) as Json;
}

test("a non-streaming chat response has OpenAI's format and the same text for the same request", async () => {
  await using storm = await open();
  const [first, second] = [await json(await storm.chat()), await json(await storm.chat())];
  assert.equal(first['object'], 'chat.completion');
  assert.equal(first['choices'][0].finish_reason, 'stop');
  assert.equal(first['choices'][0].message.role, 'assistant');
  assert.ok(first['choices'][0].message.content.length > 20);
  assert.equal(first['usage'].total_tokens, first['usage'].prompt_tokens + first['usage'].completion_tokens);
  assert.notEqual(first['id'], second['id']);
  assert.equal(first['choices'][0].message.content, second['choices'][0].message.content);
});

test('another seed gives another text', async () => {
  await using one = await open({ seed: 1 });
  await using two = await open({ seed: 2 });
  const texts = await Promise.all([one, two].map(async (storm) => (await json(await storm.chat()))['choices'][0].message.content));
  assert.notEqual(texts[0], texts[1]);
});

test('a stream carries role, content, finish and [DONE], with the content of the non-streaming response', async () => {
  await using storm = await open();
  const complete = await json(await storm.chat());
  const response = await storm.chat({ stream: true });
  assert.match(response.headers.get('content-type')!, /^text\/event-stream/);
  const events = eventsOf(await response.text());
  assert.equal(events.at(-1), '[DONE]');
  const chunks = events.slice(0, -1) as Json[];
  assert.deepEqual(chunks[0]!['choices'][0].delta, { role: 'assistant', content: '', refusal: null });
  assert.equal(chunks.map((chunk) => chunk['choices'][0].delta.content ?? '').join(''), complete['choices'][0].message.content);
  assert.equal(chunks.at(-1)!['choices'][0].finish_reason, 'stop');
  assert.equal(new Set(chunks.map((chunk) => chunk['id'])).size, 1);
  assert.ok(chunks.every((chunk) => !('usage' in chunk)));
});

test('include_usage puts null on every chunk and adds a last chunk without choices', async () => {
  await using storm = await open();
  const events = eventsOf(await (await storm.chat({ stream: true, stream_options: { include_usage: true } })).text());
  const chunks = events.slice(0, -1) as Json[];
  const last = chunks.pop()!;
  assert.ok(chunks.every((chunk) => chunk['usage'] === null && chunk['choices'].length === 1));
  assert.deepEqual(last['choices'], []);
  assert.equal(last['usage'].completion_tokens, chunks.length - 2);
});

test('the output limit ends a response with finish_reason length', async () => {
  await using storm = await open();
  const response = await json(await storm.chat({ max_completion_tokens: 5 }));
  assert.equal(response['choices'][0].finish_reason, 'length');
  assert.equal(response['usage'].completion_tokens, 5);
});

test('echo returns its text, n gives several choices', async () => {
  await using storm = await open();
  const echo = await json(await storm.chat({ messages: [{ role: 'user', content: 'echo ünï 👍  code ' }] }));
  assert.equal(echo['choices'][0].message.content, 'ünï 👍  code ');
  const two = await json(await storm.chat({ n: 2 }));
  assert.deepEqual(
    two['choices'].map((choice: Json) => choice['index']),
    [0, 1],
  );
});

test('the official client reads non-streaming responses, streams, tool calls and JSON', async () => {
  await using storm = await open();
  const messages = [{ role: 'user' as const, content: 'hi' }];
  const stream = storm.client.chat.completions.stream({ model: 'storm-large', messages });
  assert.ok((await stream.finalContent())!.length > 0);
  const parameters = { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 1, maximum: 7 } } };
  const tools = [{ type: 'function' as const, function: { name: 'weather', parameters } }];
  for (const streamed of [false, true]) {
    const run = storm.client.chat.completions.stream({ model: 'storm-large', messages, tools, tool_choice: 'required' });
    const completion = streamed
      ? await run.finalChatCompletion()
      : await storm.client.chat.completions.create({ model: 'storm-large', messages, tools, tool_choice: 'required' });
    assert.equal(completion.choices[0]!.finish_reason, 'tool_calls');
    const call = completion.choices[0]!.message.tool_calls![0]!;
    assert.ok(call.type === 'function' && call.function.name === 'weather');
    assert.equal(typeof JSON.parse(call.function.arguments).city, 'string');
  }
  const schema = { type: 'object', properties: { tags: { type: 'array', items: { enum: ['a', 'b'] } } }, required: ['tags'] };
  const shaped = await storm.client.chat.completions.create({
    model: 'storm-large',
    messages,
    response_format: { type: 'json_schema', json_schema: { name: 's', schema } },
  });
  assert.ok(['a', 'b'].includes(JSON.parse(shaped.choices[0]!.message.content!).tags[0]));
});

test('embeddings are unit vectors that depend on model and text, as floats or base64', async () => {
  await using storm = await open();
  const request = { model: 'embed', input: ['a', 'b', 'a'], dimensions: 8 };
  const floats = await json(await storm.post('/embeddings', request));
  const [a, b, again] = floats['data'].map((item: Json) => item['embedding']);
  assert.equal(a.length, 8);
  assert.deepEqual(a, again);
  assert.notDeepEqual(a, b);
  assert.ok(Math.abs(Math.hypot(...a) - 1) < 1e-6);
  const decoded = await storm.client.embeddings.create(request);
  assert.deepEqual(decoded.data[1]!.embedding, b);
  const other = await json(await storm.post('/embeddings', { ...request, model: 'other' }));
  assert.notDeepEqual(other['data'][0].embedding, a);
});

test('legacy completions respond with and without streaming', async () => {
  await using storm = await open();
  const complete = await storm.client.completions.create({ model: 'storm-small', prompt: 'x', max_tokens: 4 });
  let text = '';
  for await (const chunk of await storm.client.completions.create({ model: 'storm-small', prompt: 'x', max_tokens: 4, stream: true })) {
    text += chunk.choices[0]?.text ?? '';
  }
  assert.equal(text, complete.choices[0]!.text);
});

test('models are listed, one by one and together, and every path works without /v1', async () => {
  await using storm = await open({ models: ['a', 'vendor/b'], strictModels: true });
  const origin = storm.storm.url.replace('/v1', '');
  const list = await json(await fetch(`${origin}/models`));
  assert.deepEqual(
    list['data'].map((model: Json) => model['id']),
    ['a', 'vendor/b'],
  );
  assert.equal((await json(await fetch(`${storm.storm.url}/models/vendor/b`)))['id'], 'vendor/b');
  assert.equal((await fetch(`${storm.storm.url}/models/none`)).status, 404);
  const refused = await storm.chat();
  assert.equal(refused.status, 404);
  assert.equal((await json(refused))['error'].code, 'model_not_found');
  assert.equal((await storm.post('/nothing', {})).status, 404);
  assert.equal(storm.storm.stats().byPath['/v1/models'], 1);
});

test('byte endpoints report what they received', async () => {
  await using storm = await open();
  const body = Buffer.from('{"model":"m","query":"q","documents":["a","b"] , "odd":1e2}');
  const reranked = await json(await storm.post('/rerank', body));
  assert.equal(reranked['storm'].sha256, createHash('sha256').update(body).digest('hex'));
  assert.equal(reranked['results'].length, 2);
  const speech = await storm.post('/audio/speech', { model: 'tts', input: 'hi', voice: 'v' });
  assert.equal(speech.headers.get('content-type'), 'audio/mpeg');
  assert.ok((await speech.arrayBuffer()).byteLength > 1000);
  const form = new FormData();
  form.set('model', 'whisper');
  form.set('file', new Blob([new Uint8Array(5000)]), 'a.wav');
  const received = await json(await fetch(`${storm.storm.url}/audio/transcriptions`, { method: 'POST', body: form }));
  assert.deepEqual(received['storm'].parts, { model: 7, file: 5000 });
  assert.deepEqual(storm.storm.stats().byModel, { m: 1, tts: 1, whisper: 1 });
});

test('unknown keys and invalid bodies are rejected as OpenAI does', async () => {
  await using storm = await open({ apiKeys: ['good'] });
  const refused = await storm.chat();
  assert.equal(refused.status, 401);
  assert.equal((await json(refused))['error'].code, 'invalid_api_key');
  const good = { authorization: 'Bearer good' };
  assert.equal((await storm.chat({}, good)).status, 200);
  assert.equal((await storm.post('/chat/completions', Buffer.from('{'), good)).status, 400);
  assert.equal((await json(await storm.chat({ messages: [] }, good)))['error'].param, 'messages');
});

test('a call above the limit gets 429 with the wait in headers and body, per key', async () => {
  await using storm = await open({ limits: { requestsPerMinute: 2, tokensPerMinute: 1000 } });
  const first = await storm.chat({ max_tokens: 100 });
  assert.equal(first.headers.get('x-ratelimit-limit-requests'), '2');
  assert.equal(first.headers.get('x-ratelimit-remaining-requests'), '1');
  assert.match(first.headers.get('x-ratelimit-reset-requests')!, /^(30s|29\.\d+s)$/);
  assert.ok(Number(first.headers.get('x-ratelimit-remaining-tokens')) < 900);
  await storm.chat();
  const refused = await storm.chat();
  assert.equal(refused.status, 429);
  assert.match(refused.headers.get('retry-after')!, /^(29|30)$/);
  assert.equal(refused.headers.get('x-ratelimit-remaining-requests'), '0');
  const { error } = await json(refused);
  assert.equal(error.code, 'rate_limit_exceeded');
  assert.match(error.message, /Limit 2, Used 2, Requested 1\. Please try again in (29\.\d+|30)s/);
  assert.equal((await storm.chat({}, { authorization: 'Bearer other' })).status, 200);
  const { violations, admitted, starts } = storm.storm.stats();
  assert.equal(violations.requests, 1);
  assert.deepEqual([admitted.length, starts.length], [3, 4]);
});

test('a request above the limit of a minute is permanently too large', async () => {
  await using storm = await open({ limits: { tokensPerMinute: 100 } });
  const refused = await storm.chat({ max_tokens: 200 });
  assert.equal(refused.status, 429);
  assert.equal(refused.headers.get('retry-after'), null);
  assert.match((await json(refused))['error'].message, /^Request too large/);
});

test('concurrency is limited, and released when a call ends or its caller disconnects', async () => {
  await using storm = await open({ limits: { concurrency: 1 } });
  const leaving = new AbortController();
  const running = fetch(`${storm.storm.url}/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: 'fault-silence', messages: [{ role: 'user', content: 'x' }] }),
    headers: { authorization: 'Bearer k' },
    signal: leaving.signal,
  });
  await until(() => storm.storm.stats().running === 1);
  assert.equal((await storm.chat()).status, 429);
  leaving.abort();
  await assert.rejects(running);
  await until(() => storm.storm.stats().running === 0);
  assert.equal((await storm.chat()).status, 200);
  const { aborted, aborts, violations } = storm.storm.stats();
  assert.deepEqual([aborted, aborts[0]!.call, violations.concurrency], [1, 1, 1]);
  assert.ok(aborts[0]!.atMs >= aborts[0]!.afterMs);
});

test('a caller that disconnects from a stream is counted as aborted, with its elapsed time', async () => {
  await using storm = await open();
  const leaving = new AbortController();
  const response = await fetch(`${storm.storm.url}/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: 'fault-stall-1', stream: true, messages: [{ role: 'user', content: 'x' }] }),
    signal: leaving.signal,
  });
  await response.body!.getReader().read();
  leaving.abort();
  await until(() => storm.storm.stats().aborted === 1);
  const { running, byStatus, log } = storm.storm.stats();
  assert.deepEqual([running, byStatus, log[0]!.ending], [0, { 200: 1 }, 'aborted']);
});

test('statistics count by model, status, tag and fault, over HTTP too, and reset', async () => {
  await using storm = await open({ keepBodies: 1 });
  await storm.chat({}, { 'x-storm-tag': 'a' });
  await storm.chat({ model: 'fault-500' }, { 'x-storm-tag': 'a' });
  const origin = storm.storm.url.replace('/v1', '');
  const stats = await json(await fetch(`${origin}/storm/stats`));
  assert.equal(stats['calls'], 2);
  assert.deepEqual(stats['byModel'], { 'storm-small': 1, 'fault-500': 1 });
  assert.deepEqual(stats['byStatus'], { 200: 1, 500: 1 });
  assert.deepEqual(stats['byTag'], { a: 2 });
  assert.deepEqual(stats['byFault'], { 500: 1 });
  assert.deepEqual([stats['running'], stats['maxRunning']], [0, 1]);
  const { log } = storm.storm.stats();
  assert.equal(log[0]!.body, undefined);
  assert.equal(JSON.parse(log[1]!.body!.toString()).model, 'fault-500');
  assert.equal(log[1]!.headers!['x-storm-tag'], 'a');
  await fetch(`${origin}/storm/reset`, { method: 'POST' });
  assert.equal(storm.storm.stats().calls, 0);
});

test('faults can be set while it runs, in code and over HTTP', async () => {
  await using storm = await open();
  storm.storm.setFaults([{ kind: '503', calls: { first: 1 } }]);
  assert.deepEqual([(await storm.chat()).status, (await storm.chat()).status], [503, 200]);
  const url = storm.storm.url.replace('/v1', '/storm/faults');
  assert.equal((await fetch(url, { method: 'POST', body: '[{"kind":"529"}]' })).status, 200);
  assert.equal((await storm.chat()).status, 529);
  assert.equal((await fetch(url, { method: 'POST', body: '[{"kind":"nonsense"}]' })).status, 400);
});

test('while down it resets open connections and refuses new ones; once up it listens on the same port', async () => {
  await using storm = await open();
  const running = storm.chat({ model: 'fault-silence' });
  await until(() => storm.storm.stats().running === 1);
  await storm.storm.setDown(true);
  await assert.rejects(running);
  const { log, aborted } = storm.storm.stats();
  assert.deepEqual([log[0]!.ending, aborted], ['broken', 0]);
  const socket = connect(storm.storm.port, '127.0.0.1');
  const code = await new Promise((resolve) => socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code)));
  assert.equal(code, 'ECONNREFUSED');
  await storm.storm.setDown(false);
  assert.equal((await storm.chat()).status, 200);
});

test('a stream keeps its pace: time to first token, then tokens per second', async () => {
  await using storm = await open({ timing: { headersMs: 10, firstTokenMs: 20, tokensPerSecond: 1000, tokens: 30 } });
  const begun = clock.now();
  const response = await storm.chat({ stream: true });
  const headersMs = clock.now() - begun;
  await response.text();
  const wholeMs = clock.now() - begun;
  assert.ok(headersMs >= 9, `headers after ${headersMs}`);
  assert.ok(wholeMs >= 57 && wholeMs < 500, `end after ${wholeMs}`);
  const complete = clock.now();
  await (await storm.chat()).text();
  assert.ok(clock.now() - complete >= 57);
});

/** Yields to the event loop until `met`; the test runner's time limit ends a futile wait. */
async function until(met: () => boolean): Promise<void> {
  while (!met()) await new Promise((resolve) => setImmediate(resolve));
}
