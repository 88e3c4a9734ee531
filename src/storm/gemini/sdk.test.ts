/** The official Google SDK against Storm: content, signatures, and how each fault appears. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ApiError, FinishReason, FunctionCallingConfigMode, GoogleGenAI } from '@google/genai';
import type { Content, GenerateContentParameters, GenerateContentResponse } from '@google/genai';
import type { Storm } from '../index.ts';
import { collect, errorOf, openStorm } from '../sdk.fixture.ts';

const MODEL = 'storm-large';
const ASKED: GenerateContentParameters = { model: MODEL, contents: 'hello' };

let storm: Storm;
before(async () => {
  storm = await openStorm({ timing: { tokens: 8 } });
});
after(() => storm.close());

const originOf = ({ port }: Storm): string => `http://127.0.0.1:${port}`;

function clientOf(of: Storm, fault?: string, apiKey = 'k'): GoogleGenAI {
  const headers: Record<string, string> = fault === undefined ? {} : { 'x-storm-fault': fault };
  return new GoogleGenAI({ apiKey, httpOptions: { baseUrl: originOf(of), headers, timeout: 2000 } });
}

const say = (client: GoogleGenAI, more: Partial<GenerateContentParameters> = {}) => client.models.generateContent({ ...ASKED, ...more });

async function stream(client: GoogleGenAI, more: Partial<GenerateContentParameters> = {}): Promise<GenerateContentResponse[]> {
  return collect(await client.models.generateContentStream({ ...ASKED, ...more }));
}

/** The error body in the message of the SDK's ApiError. */
async function statusOf(call: Promise<unknown>) {
  const error = await errorOf(call);
  assert.ok(error instanceof ApiError, error.message);
  const { error: body } = JSON.parse(error.message) as { error: { status: string; message: string; details?: Record<string, unknown>[] } };
  return { ...body, http: error.status };
}

const post = (path: string, body: object, headers: Record<string, string> = {}) =>
  fetch(`${originOf(storm)}${path}`, { method: 'POST', headers: { 'x-goog-api-key': 'k', ...headers }, body: JSON.stringify(body) });

describe('generateContent', () => {
  test('a stream has the content of the non-streaming response, with usage and a finish reason at its end', async () => {
    const client = clientOf(storm);
    const complete = await say(client);
    const chunks = await stream(client);
    assert.ok(complete.text!.length > 20);
    assert.equal(chunks.map(({ text = '' }) => text).join(''), complete.text);
    assert.equal(chunks.length, 9);
    assert.deepEqual(
      chunks.map(({ candidates }) => candidates![0]!.finishReason),
      [...Array.from({ length: 8 }, () => undefined), FinishReason.STOP],
    );
    assert.deepEqual(chunks.at(-1)!.usageMetadata, complete.usageMetadata);
    const { promptTokenCount, candidatesTokenCount, totalTokenCount } = complete.usageMetadata!;
    assert.deepEqual([candidatesTokenCount, totalTokenCount], [8, promptTokenCount! + 8]);
    assert.equal(storm.stats().log.at(-1)!.outputTokens, 8);
  });

  test('without alt=sse a stream is one JSON array; with it, server-sent events without a terminator', async () => {
    const body = { contents: [{ parts: [{ text: 'hello' }] }] };
    const array = await post(`/v1beta/models/${MODEL}:streamGenerateContent`, body);
    assert.match(array.headers.get('content-type')!, /^application\/json/);
    const chunks = (await array.json()) as unknown[];
    const sse = await post(`/v1beta/models/${MODEL}:streamGenerateContent?alt=sse`, body);
    assert.match(sse.headers.get('content-type')!, /^text\/event-stream/);
    const blocks = (await sse.text()).split('\r\n\r\n').filter((block) => block !== '');
    assert.equal(blocks.length, chunks.length);
    for (const block of blocks) assert.ok('candidates' in (JSON.parse(block.replace(/^data: /, '')) as object));
  });

  test('the key is accepted in a header or in the query', async () => {
    await using strict = await openStorm({ apiKeys: ['k'] });
    const url = `${originOf(strict)}/v1beta/models/${MODEL}:generateContent`;
    const body = JSON.stringify({ contents: [{ parts: [{ text: 'x' }] }] });
    assert.equal((await fetch(`${url}?key=k`, { method: 'POST', body })).status, 200);
    const refused = await statusOf(say(clientOf(strict, undefined, 'wrong')));
    assert.deepEqual([refused.http, refused.status, refused.details![0]!['reason']], [400, 'INVALID_ARGUMENT', 'API_KEY_INVALID']);
  });

  test('a function call is complete, and its response continues the conversation', async () => {
    const client = clientOf(storm);
    const config = {
      tools: [
        { functionDeclarations: [{ name: 'weather', parametersJsonSchema: { type: 'object', properties: { city: { type: 'string' } } } }] },
      ],
      toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY } },
    };
    for (const chunks of [[await say(client, { config })], await stream(client, { config })]) {
      const calls = chunks.flatMap(({ functionCalls = [] }) => functionCalls);
      assert.deepEqual([calls.length, calls[0]!.name, typeof calls[0]!.args!['city']], [1, 'weather', 'string']);
      assert.equal(chunks.at(-1)!.candidates![0]!.finishReason, FinishReason.STOP);
      const call: Content = { role: 'model', parts: [{ functionCall: { name: 'weather', args: calls[0]!.args! } }] };
      const asked: Content = { role: 'user', parts: [{ text: 'weather?' }] };
      const response = { functionResponse: { name: 'weather', response: { output: 'calm' } } };
      assert.ok((await say(client, { contents: [asked, call, { role: 'user', parts: [response] }] })).text);
      const uneven = await statusOf(say(client, { contents: [asked, call, { role: 'user', parts: [response, response] }] }));
      assert.match(uneven.message, /number of function response parts is equal/);
    }
  });

  test('schemas, output limits and candidate counts are respected', async () => {
    const client = clientOf(storm);
    const schema = { type: 'OBJECT', properties: { tag: { type: 'STRING', enum: ['a', 'b'] } } };
    const shaped = await say(client, { config: { responseMimeType: 'application/json', responseSchema: schema } });
    assert.ok(['a', 'b'].includes((JSON.parse(shaped.text!) as { tag: string }).tag));
    const bounded = await say(client, { config: { maxOutputTokens: 3 } });
    assert.equal(bounded.candidates![0]!.finishReason, FinishReason.MAX_TOKENS);
    assert.equal(bounded.usageMetadata!.candidatesTokenCount, 3);
    assert.deepEqual(
      (await say(client, { config: { candidateCount: 2 } })).candidates!.map(({ index }) => index),
      [0, 1],
    );
  });

  test('unknown fields, unknown roles and empty contents are rejected', async () => {
    const refused = async (body: object) => {
      const response = await post(`/v1beta/models/${MODEL}:generateContent`, body);
      return `${response.status} ${((await response.json()) as { error: { message: string } }).error.message}`;
    };
    const contents = [{ role: 'user', parts: [{ text: 'x' }] }];
    assert.match(await refused({ contents, messages: [] }), /^400 .*Unknown name "messages": Cannot find field/);
    assert.match(await refused({ contents, generation_config: { max_tokens: 3 } }), /Unknown name "maxTokens" at 'generation_config'/);
    assert.match(await refused({ contents: [{ role: 'assistant', parts: [{ text: 'x' }] }] }), /valid role: user, model/);
    assert.match(await refused({}), /contents is not specified/);
    assert.match(await refused({ contents: [{ role: 'user', parts: [] }] }), /must not be empty/);
    assert.equal(
      (await post(`/v1beta/models/${MODEL}:generateContent`, { contents, system_instruction: { parts: [{ text: 'x' }] } })).status,
      200,
    );
  });

  test('models are listed, tokens counted, texts embedded', async () => {
    const client = clientOf(storm);
    const models = await collect(await client.models.list());
    assert.ok(models.some(({ name }) => name === `models/${MODEL}`));
    assert.equal((await client.models.get({ model: MODEL })).name, `models/${MODEL}`);
    assert.equal((await statusOf(client.models.get({ model: 'none' }))).status, 'NOT_FOUND');
    const counted = await client.models.countTokens({ model: MODEL, contents: 'hello' });
    assert.ok(counted.totalTokens! > 0);
    const many = await client.models.embedContent({ model: 'embed', contents: ['a', 'b', 'a'], config: { outputDimensionality: 8 } });
    const [a, b, again] = many.embeddings!.map(({ values }) => values);
    assert.equal(a!.length, 8);
    assert.deepEqual(a, again);
    assert.notDeepEqual(a, b);
    const single = await post('/v1beta/models/embed:embedContent', { content: { parts: [{ text: 'a' }] }, outputDimensionality: 8 });
    assert.deepEqual(((await single.json()) as { embedding: { values: number[] } }).embedding.values, a);
  });
});

describe('reasoning', () => {
  const config = { thinkingConfig: { includeThoughts: true } };
  const tools = {
    ...config,
    tools: [{ functionDeclarations: [{ name: 'weather' }] }],
    toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY } },
  };

  test('reasoning comes first, is counted separately, and the text is signed', async () => {
    for (const chunks of [[await say(clientOf(storm), { config })], await stream(clientOf(storm), { config })]) {
      const parts = chunks.flatMap(({ candidates }) => candidates![0]!.content?.parts ?? []);
      assert.equal(parts[0]!.thought, true);
      assert.equal(parts.filter(({ thoughtSignature }) => thoughtSignature !== undefined).length, 1);
      const { candidatesTokenCount, thoughtsTokenCount } = chunks.at(-1)!.usageMetadata!;
      assert.deepEqual([candidatesTokenCount, thoughtsTokenCount], [8, 7]);
    }
    assert.equal(storm.stats().log.at(-1)!.outputTokens, 15);
  });

  test('a signed call is accepted back with its signature, only with its own key and model', async () => {
    await using other = await openStorm();
    const client = clientOf(storm);
    const { candidates } = await say(client, { config: tools });
    const made = candidates![0]!.content!;
    const call = made.parts!.find(({ functionCall }) => functionCall !== undefined)!;
    assert.ok(call.functionCall!.id !== undefined && call.thoughtSignature !== undefined);
    const asked: Content = { role: 'user', parts: [{ text: 'weather?' }] };
    const response: Content = { role: 'user', parts: [{ functionResponse: { name: 'weather', response: { output: 'calm' } } }] };
    const contents = [asked, made, response];
    assert.ok((await say(client, { contents, config })).text);
    const foreign = await statusOf(say(clientOf(storm, undefined, 'another'), { contents, config }));
    const model = await statusOf(client.models.generateContent({ model: 'storm-small', contents, config }));
    const provider = await statusOf(say(clientOf(other), { contents, config }));
    assert.deepEqual(
      [foreign, model, provider].map(({ http, message }) => `${http} ${message}`),
      ['400 Thought signature is not valid.', '400 Thought signature is not valid.', '400 Corrupted thought signature.'],
    );
    const unsigned: Content = { role: 'model', parts: [{ functionCall: call.functionCall! }] };
    assert.match((await statusOf(say(client, { contents: [asked, unsigned, response], config }))).message, /missing a thought_signature/);
    const later: Content = { role: 'user', parts: [{ text: 'and now?' }] };
    const settled = [asked, unsigned, response, { role: 'model', parts: [{ text: 'calm' }] }, later];
    assert.ok((await say(client, { contents: settled, config })).text, 'earlier turns need no signature');
    const borrowed: Content = { role: 'model', parts: [{ ...unsigned.parts![0], thoughtSignature: 'skip_thought_signature_validator' }] };
    assert.ok((await say(client, { contents: [asked, borrowed, response], config })).text);
  });
});

describe('faults', () => {
  test('errors have their google.rpc status, streaming or not', async () => {
    for (const [fault, http, status] of [
      ['429', 429, 'RESOURCE_EXHAUSTED'],
      ['400', 400, 'INVALID_ARGUMENT'],
      ['401', 400, 'INVALID_ARGUMENT'],
      ['403', 403, 'PERMISSION_DENIED'],
      ['404', 404, 'NOT_FOUND'],
      ['500', 500, 'INTERNAL'],
      ['503', 503, 'UNAVAILABLE'],
      ['504', 504, 'DEADLINE_EXCEEDED'],
      ['529', 503, 'UNAVAILABLE'],
    ] as const) {
      for (const ask of [say, stream]) {
        const seen = await statusOf(ask(clientOf(storm, fault)));
        assert.deepEqual([seen.http, seen.status], [http, status]);
      }
    }
  });

  test('a rate limit states its quota and wait in the body and not in headers; each model has its own limits', async () => {
    for (const [limits, quotaId] of [
      [{ requestsPerMinute: 1 }, 'GenerateRequestsPerMinutePerProjectPerModel-FreeTier'],
      [{ requestsPerDay: 1 }, 'GenerateRequestsPerDayPerProjectPerModel-FreeTier'],
    ] as const) {
      await using limited = await openStorm({ limits });
      const url = `${originOf(limited)}/v1beta/models/${MODEL}:generateContent`;
      const body = JSON.stringify({ contents: [{ parts: [{ text: 'x' }] }] });
      assert.equal((await fetch(url, { method: 'POST', body })).status, 200);
      const response = await fetch(url, { method: 'POST', body });
      assert.deepEqual([response.status, response.headers.get('retry-after'), response.headers.get('retry-after-ms')], [429, null, null]);
      const { error } = (await response.json()) as { error: { details: Record<string, unknown>[] } };
      const [quota] = error.details[0]!['violations'] as { quotaId: string }[];
      assert.equal(quota!.quotaId, quotaId);
      assert.match(String(error.details.at(-1)!['retryDelay']), /^\d+(?:\.\d+)?s$/);
      assert.equal((await fetch(url.replace(MODEL, 'storm-small'), { method: 'POST', body })).status, 200);
      assert.deepEqual([limited.stats().calls, limited.stats().violations.total], [3, 1]);
    }
  });

  test('every finish reason and block reason is passed through', async () => {
    const reasons = Object.values(FinishReason).filter((reason) => reason !== FinishReason.FINISH_REASON_UNSPECIFIED);
    for (const reason of reasons) {
      const fault = `finish-reason-${reason}`;
      assert.equal((await say(clientOf(storm, fault))).candidates![0]!.finishReason, reason);
      assert.equal((await stream(clientOf(storm, fault))).at(-1)!.candidates![0]!.finishReason, reason);
    }
    const filtered = await say(clientOf(storm, 'content-filter'));
    assert.deepEqual([filtered.candidates![0]!.finishReason, filtered.candidates![0]!.content], [FinishReason.SAFETY, undefined]);
    for (const chunks of [[await say(clientOf(storm, 'blocked-JAILBREAK'))], await stream(clientOf(storm, 'blocked-JAILBREAK'))]) {
      assert.deepEqual([chunks.length, chunks[0]!.promptFeedback!.blockReason, chunks[0]!.candidates], [1, 'JAILBREAK', undefined]);
    }
  });

  test('an error chunk, a broken connection or garbage is an SDK error', async () => {
    for (const fault of ['error-first', 'error-content-3', 'cut-3', 'cut-reset-3', 'cut-event-3', 'reset', 'malformed-3', 'html']) {
      await assert.rejects(stream(clientOf(storm, fault)), Error, fault);
    }
    assert.deepEqual(await stream(clientOf(storm, 'empty-body')), [], 'this SDK accepts an empty body');
    const error = await errorOf(stream(clientOf(storm, 'error-content-3; reason=overloaded')));
    assert.ok(error instanceof ApiError && error.status === 503);
  });

  test('a failed array stream is still valid JSON, a truncated one is not', async () => {
    const path = `/v1beta/models/${MODEL}:streamGenerateContent`;
    const body = { contents: [{ parts: [{ text: 'x' }] }] };
    const failed = (await (await post(path, body, { 'x-storm-fault': 'error-content-3' })).json()) as Record<string, unknown>[];
    assert.deepEqual([failed.length, 'error' in failed[3]!], [4, true]);
    for (const fault of ['cut-3', 'no-done', 'malformed-3']) {
      await errorOf(post(path, body, { 'x-storm-fault': fault }).then((response) => response.json()));
    }
    const refused = await post(path, body, { 'x-storm-fault': '503' });
    assert.equal(((await refused.json()) as { error: { status: string } }[])[0]!.error.status, 'UNAVAILABLE', 'errors are arrays as well');
    for (const fault of ['comments', 'crlf', 'event-lines', 'bom']) {
      const chunks = (await (await post(path, body, { 'x-storm-fault': fault })).json()) as unknown[];
      assert.equal(chunks.length, 9, 'faults of server-sent events do not affect an array stream');
    }
  });

  test('a stream without its last chunk has no finish reason', async () => {
    const chunks = await stream(clientOf(storm, 'no-end'));
    assert.deepEqual([chunks.length, chunks.at(-1)!.candidates![0]!.finishReason], [8, undefined]);
    assert.equal((await stream(clientOf(storm, 'no-finish'))).length, 8);
  });
});
