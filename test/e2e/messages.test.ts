/** Messages traffic whose caller and target both speak it: what passes unchanged, what each ending means, what is learned and counted. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/simulated-upstream.ts';
import { FOREVER, headStep, messageEvent, send, wholeAnswer, WIRES } from './dialect-wires.ts';
import { targetsOf } from './keyed.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualOptions, VirtualWorld } from './virtual.ts';
import { eventually } from './world.ts';

const wire = WIRES.anthropic;
const BODY = { model: 'fast', max_tokens: 50, messages: [{ role: 'user', content: 'Hi' }] };

interface Got {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

interface World extends Omit<VirtualWorld, 'post'> {
  post(body: unknown, headers?: Record<string, string>, path?: string): Promise<Got>;
}

async function start(
  t: TestContext,
  answer: (call: SimulatedCall) => SimulatedResponse,
  more: Partial<VirtualOptions> = {},
): Promise<World> {
  const world = await startVirtualWorld(t, {
    providers: { a: answer, b: answer },
    configured: { a: { protocol: 'anthropic', baseUrl: 'http://a', apiKey: 'sk-a' } },
    models: { fast: ['a/claude-x'] },
    ...more,
  });
  const post = async (body: unknown, headers: Record<string, string> = {}, path = '/v1/messages'): Promise<Got> => {
    const bytes = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
    const sent: Record<string, string> = { 'content-type': 'application/json', ...headers };
    const calls = world.upstream.calls.length;
    const asked = world.fetch(`http://breakwater${path}`, { method: 'POST', headers: sent, body: bytes as string });
    // Decompression runs in a thread, in real time: the virtual clock waits for it.
    if (sent['content-encoding'] !== undefined) await eventually(() => world.upstream.calls.length > calls, 'the call');
    const response = await world.until(asked);
    return { status: response.status, headers: response.headers, text: await world.until(response.text()) };
  };
  return { ...world, post };
}

const ok = (call: SimulatedCall): SimulatedResponse => wholeAnswer(wire, (JSON.parse(call.body) as { stream?: boolean }).stream === true);
const plain = (body: object | string): SimulatedResponse => ({
  steps: [headStep(false), send(typeof body === 'string' ? body : JSON.stringify(body))],
});
const message = (content: readonly object[], stop: string | null, more: object = {}): object => ({
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'claude-x',
  content,
  stop_reason: stop,
  stop_sequence: null,
  usage: { input_tokens: 5, output_tokens: 3 },
  ...more,
});
const withoutComments = (text: string): string => text.replaceAll(/^:.*\n\n/gm, '');

function sentHeader(call: SimulatedCall, name: string): string | undefined {
  const { headers } = call.request;
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1];
  return undefined;
}

describe('equal dialects', () => {
  const unknown = fc.dictionary(
    fc.stringMatching(/^x_[a-z]{1,8}$/),
    fc.jsonValue({ maxDepth: 3 }).filter((value) => value !== undefined),
    { maxKeys: 4 },
  );

  it('the request arrives byte for byte but for the name of the model, whatever stands in it', async (t) => {
    const world = await start(t, ok);
    await fc.assert(
      fc.asyncProperty(unknown, unknown, fc.boolean(), fc.boolean(), async (top, inner, stream, isZipped) => {
        const text = JSON.stringify(
          { ...top, ...BODY, messages: [{ role: 'user', content: [{ type: 'text', text: 'Hi', ...inner }] }], stream },
          null,
          1,
        );
        const body = isZipped ? gzipSync(text) : text;
        const { status } = await world.post(body, isZipped ? { 'content-encoding': 'gzip' } : {});
        assert.equal(status, 200);
        assert.equal(world.upstream.calls.at(-1)!.body, text.replace('"fast"', '"claude-x"'));
      }),
      { numRuns: 60 },
    );
  });

  it('a plain response reaches the caller byte for byte, whatever stands in it', async (t) => {
    let body = '';
    const world = await start(t, () => plain(body));
    await fc.assert(
      fc.asyncProperty(unknown, unknown, async (top, inner) => {
        body = JSON.stringify(message([{ type: 'text', text: 'one', ...inner }], 'end_turn', top), null, 1);
        assert.equal((await world.post(BODY)).text, body);
      }),
      { numRuns: 60 },
    );
  });

  it('a stream reaches the caller byte for byte, in any chunks, with pings, blocks, deltas and events that are not known', async (t) => {
    const events = [
      wire.head,
      wire.words[0]!,
      messageEvent('ping'),
      messageEvent('content_block_delta', { index: 0, delta: { type: 'sparkle_delta', sparkle: '*' } }),
      messageEvent('weather_report', { wind: 12.5 }),
      messageEvent('content_block_delta', {
        index: 0,
        delta: { type: 'citations_delta', citation: { type: 'char_location', cited_text: 'x' } },
      }),
      messageEvent('content_block_start', { index: 1, content_block: { type: 'web_fetch_tool_result', content: { url: 'x' } } }),
      messageEvent('content_block_stop', { index: 1 }),
      messageEvent('content_block_start', { index: 2, content_block: { type: 'compaction', content: '' } }),
      messageEvent('content_block_delta', { index: 2, delta: { type: 'compaction_delta', content: 'So far' } }),
      messageEvent('content_block_stop', { index: 2 }),
      wire.tail,
      wire.terminator,
    ].join('');
    const bytes = Buffer.from(events);
    let size = 1;
    const world = await start(t, () => ({
      steps: [
        headStep(true),
        ...Array.from(
          { length: Math.ceil(bytes.length / size) },
          (_, i) => ({ do: 'send', bytes: bytes.subarray(i * size, (i + 1) * size) }) as const,
        ),
      ],
    }));
    for (size of [1, 7, 64, bytes.length]) {
      const { status, text } = await world.post({ ...BODY, stream: true });
      assert.equal(status, 200);
      assert.equal(withoutComments(text), events);
    }
  });

  it('an error body passes as it is', async (t) => {
    const body = `{ "type":"error", "error":{"type":"invalid_request_error","message":"messages.1: bad","details":{"error_code":"x_y"}}, "request_id":"req_up" }`;
    const world = await start(t, () => ({ steps: [headStep(false, 400), send(body)] }));
    const { status, text, headers } = await world.post(BODY);
    assert.equal(status, 400);
    assert.equal(text, body);
    assert.equal(headers.get('x-should-retry'), 'false');
  });

  it('version, betas and the beta path stay as the caller has them; without a version there is a default', async (t) => {
    const world = await start(t, ok);
    const betas = 'interleaved-thinking-2025-05-14,context-management-2025-06-27';
    await world.post(BODY, { 'anthropic-version': '2026-10-21', 'anthropic-beta': betas }, '/v1/messages?beta=true');
    const [call] = world.upstream.calls;
    assert.equal(sentHeader(call!, 'anthropic-version'), '2026-10-21');
    assert.equal(sentHeader(call!, 'anthropic-beta'), betas);
    assert.equal(call!.request.path, '/v1/messages?beta=true');
    assert.equal(sentHeader(call!, 'x-api-key'), 'sk-a');
    await world.post(BODY);
    assert.equal(sentHeader(world.upstream.calls[1]!, 'anthropic-version'), '2023-06-01');
  });

  for (const path of ['/v1/messages', '/messages', '/anthropic/v1/messages', '/v1/messages?beta=true']) {
    it(`${path} is answered`, async (t) => {
      const world = await start(t, ok);
      const { status, text } = await world.post(BODY, {}, path);
      assert.equal(status, 200);
      assert.equal(text, wire.plain);
    });
  }
});

describe("a caller's own credential", () => {
  const configured = { a: { protocol: 'anthropic', baseUrl: 'http://a', apiKey: 'caller' } } as const;

  it('goes on in the header that it came in', async (t) => {
    const world = await start(t, ok, { configured });
    await world.post(BODY, { 'x-api-key': 'sk-ant-one' });
    await world.post(BODY, { authorization: 'Bearer sk-ant-oat-two' });
    const [first, second] = world.upstream.calls;
    assert.deepEqual([sentHeader(first!, 'x-api-key'), sentHeader(first!, 'authorization')], ['sk-ant-one', undefined]);
    assert.deepEqual([sentHeader(second!, 'x-api-key'), sentHeader(second!, 'authorization')], [undefined, 'Bearer sk-ant-oat-two']);
  });

  it('of a chat caller is a key, or a token where it looks like one', async (t) => {
    const world = await start(t, ok, { configured });
    const chat = { model: 'fast', messages: [{ role: 'user', content: 'Hi' }] };
    for (const key of ['sk-ant-one', 'sk-ant-oat01-two'])
      await world.post(chat, { authorization: `Bearer ${key}` }, '/v1/chat/completions');
    const [first, second] = world.upstream.calls;
    assert.equal(sentHeader(first!, 'x-api-key'), 'sk-ant-one');
    assert.equal(sentHeader(second!, 'authorization'), 'Bearer sk-ant-oat01-two');
  });
});

describe('the ending of a message', () => {
  const chat = { model: 'fast', messages: [{ role: 'user', content: 'Hi' }] };
  const text = { type: 'text', text: 'So' };
  const refusal = { type: 'refusal', category: 'cyber', explanation: 'Not this.' };
  const server = { type: 'server_tool_use', id: 'srvtoolu_1', name: 'web_search', input: { query: 'x' } };
  const endings: [name: string, body: object, finish: string, words: object][] = [
    ['refusal with details', message([], 'refusal', { stop_details: refusal }), 'content_filter', { content: null, refusal: 'Not this.' }],
    ['refusal without details', message([], 'refusal', { stop_details: null }), 'content_filter', { content: null, refusal: null }],
    ['refusal after text', message([text], 'refusal', { stop_details: refusal }), 'content_filter', { content: 'So', refusal: null }],
    ['pause of a turn', message([text, server], 'pause_turn'), 'length', { content: 'So', refusal: null }],
    ['full context window', message([text], 'model_context_window_exceeded'), 'length', { content: 'So', refusal: null }],
    ['output limit', message([text], 'max_tokens'), 'length', { content: 'So', refusal: null }],
    ['stop sequence', message([text], 'stop_sequence', { stop_sequence: 'END' }), 'stop', { content: 'So', refusal: null }],
    ['reason that is not known', message([text], 'sunset'), 'stop', { content: 'So', refusal: null }],
  ];
  for (const [name, body, finish, words] of endings) {
    it(`${name}: passes in its own dialect, and is ${finish} for a chat caller; neither costs a second call`, async (t) => {
      const world = await start(t, () => plain(body));
      assert.equal((await world.post(BODY)).text, JSON.stringify(body));
      const { choices } = JSON.parse((await world.post(chat, {}, '/v1/chat/completions')).text) as {
        choices: { message: object; finish_reason: string }[];
      };
      assert.equal(choices[0]!.finish_reason, finish);
      assert.deepEqual(choices[0]!.message, { role: 'assistant', ...words });
      assert.equal(world.upstream.calls.length, 2);
    });
  }

  it('without content is asked for once more, and then passed on as it is', async (t) => {
    const body = JSON.stringify(message([], 'end_turn'));
    const world = await start(t, () => plain(body));
    const { status, text: got } = await world.post(BODY);
    assert.equal(status, 200);
    assert.equal(got, body);
    assert.equal(world.upstream.calls.length, 2);
  });

  it('without content is what a request for no output asks for: it fills the prompt cache, and is not repeated', async (t) => {
    const body = message([], 'max_tokens', { usage: { input_tokens: 5, cache_creation_input_tokens: 2000, output_tokens: 0 } });
    const stream = [
      messageEvent('message_start', { message: { ...body, stop_reason: null } }),
      messageEvent('message_delta', { delta: { stop_reason: 'max_tokens', stop_sequence: null }, usage: { output_tokens: 0 } }),
      wire.terminator,
    ].join('');
    const world = await start(t, (call) => (call.body.includes('"stream":true') ? { steps: [headStep(true), send(stream)] } : plain(body)));
    assert.equal((await world.post({ ...BODY, max_tokens: 0 })).text, JSON.stringify(body));
    assert.equal(withoutComments((await world.post({ ...BODY, max_tokens: 0, stream: true })).text), stream);
    assert.equal(world.upstream.calls.length, 2);
  });

  for (const stream of [false, true]) {
    it(`of a server tool's work alone is an error for a chat caller, and never a call of the caller's, ${stream ? 'streamed' : 'plain'}`, async (t) => {
      const result = { type: 'web_search_tool_result', tool_use_id: 'srvtoolu_1', content: [] };
      const blocks = [server, result].map(
        (block, index) =>
          messageEvent('content_block_start', { index, content_block: block }) + messageEvent('content_block_stop', { index }),
      );
      const events = [messageEvent('message_start', { message: message([], null) }), ...blocks, wire.tail, wire.terminator].join('');
      const world = await start(t, () =>
        stream ? { steps: [headStep(true), send(events)] } : plain(message([server, result], 'end_turn')),
      );
      const { status, text: got } = await world.post({ ...chat, stream }, {}, '/v1/chat/completions');
      assert.equal(status, 502);
      assert.match(got, /nothing in the response has an equivalent/);
      assert.equal(world.upstream.calls.length, 2);
    });
  }

  it('transformations of the input and server-side fallbacks pass', async (t) => {
    const body = message([{ type: 'fallback', from: { model: 'a' }, to: { model: 'b' }, trigger: 'refusal' }, text], 'end_turn', {
      input_transformations: [{ type: 'thinking_dropped', path: 'messages.1.content.0', reason: 'model_binding_mismatch' }],
    });
    const world = await start(t, () => plain(body));
    assert.equal((await world.post(BODY)).text, JSON.stringify(body));
  });
});

describe('usage', () => {
  const usage = {
    input_tokens: 100,
    cache_read_input_tokens: 1000,
    cache_creation_input_tokens: 400,
    cache_creation: { ephemeral_5m_input_tokens: 400, ephemeral_1h_input_tokens: 0 },
    output_tokens: 50,
    output_tokens_details: { thinking_tokens: 20 },
  };
  const prices = { 'a/claude-x': { input: 10, cachedInput: 1, cacheWrite: 12.5, output: 50 } };

  for (const stream of [false, true]) {
    it(`with what the cache gave and took is counted and priced, ${stream ? 'streamed' : 'plain'}`, async (t) => {
      const events = [
        messageEvent('message_start', { message: message([], null, { usage: { ...usage, output_tokens: 1 } }) }),
        messageEvent('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
        messageEvent('content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'So' } }),
        messageEvent('content_block_stop', { index: 0 }),
        messageEvent('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 50, cache_read_input_tokens: null } }),
        wire.terminator,
      ].join('');
      const whole = plain(message([{ type: 'text', text: 'So' }], 'end_turn', { usage }));
      const world = await start(t, () => (stream ? { steps: [headStep(true), send(events)] } : whole), { config: { prices } });
      await world.post({ ...BODY, stream });
      const finished = world.eventsOf('finished')[0]!;
      assert.deepEqual(finished.usage, {
        inputTokens: 1500,
        cachedInputTokens: 1000,
        outputTokens: 50,
        cacheWriteTokens: 400,
        reasoningTokens: 20,
      });
      assert.equal(finished.costUsd, (100 * 10 + 1000 * 1 + 400 * 12.5 + 50 * 50) / 1e6);
    });
  }
});

describe('limits in headers', () => {
  const reset = '2099-01-01T00:00:00Z';
  const told = (name: string, limit: number, remaining: number): Record<string, string> => ({
    [`anthropic-ratelimit-${name}-limit`]: String(limit),
    [`anthropic-ratelimit-${name}-remaining`]: String(remaining),
    [`anthropic-ratelimit-${name}-reset`]: reset,
  });

  it('of requests, tokens, input and output are learned; those of the priority tier and of a subscription bound nothing', async (t) => {
    const headers = {
      ...told('requests', 50, 49),
      ...told('tokens', 90_000, 80_000),
      ...told('input-tokens', 60_000, 59_000),
      ...told('output-tokens', 30_000, 29_000),
      'anthropic-priority-input-tokens-limit': '10',
      'anthropic-priority-input-tokens-remaining': '0',
      'anthropic-ratelimit-unified-5h-status': 'allowed',
      'anthropic-ratelimit-unified-5h-utilization': '0.97',
      'anthropic-ratelimit-unified-5h-reset': '4070908800',
    };
    const world = await start(t, () => ({ steps: [headStep(false, 200, headers), send(wire.plain)] }));
    await world.post(BODY);
    const limits = targetsOf(world, 'a/claude-x')[0]!.learned.limits.map(({ kind, limit }) => [kind, limit] as const);
    assert.equal(limits.length, 4);
    assert.deepEqual(Object.fromEntries(limits), { inputTokens: 60_000, outputTokens: 30_000, requests: 50, tokens: 90_000 });
  });

  it('of a subscription say when a refusal without Retry-After ends', async (t) => {
    const seconds = 20;
    const world = await start(t, (call) =>
      call.number > 1
        ? ok(call)
        : {
            steps: [
              headStep(false, 429, {
                'anthropic-ratelimit-unified-status': 'rejected',
                'anthropic-ratelimit-unified-5h-status': 'rejected',
                'anthropic-ratelimit-unified-reset': String(Math.floor(world.clock.epochMs() / 1000) + seconds),
              }),
              send(wire.error('rate_limit_error', 'limit reached')),
            ],
          },
    );
    const at = world.clock.now();
    assert.equal((await world.post(BODY)).status, 200);
    const waitedMs = world.upstream.calls[1]!.at - at;
    assert.ok(waitedMs >= (seconds - 1) * 1000 && waitedMs <= (seconds + 2) * 1000, `${waitedMs} ms`);
  });

  it('of a subscription reach a caller whose own credential it is, and no other', async (t) => {
    const unified = { 'anthropic-ratelimit-unified-status': 'allowed_warning', 'anthropic-ratelimit-unified-7d-utilization': '0.9' };
    const answer = (): SimulatedResponse => ({ steps: [headStep(false, 200, unified), send(wire.plain)] });
    const own = await start(t, answer, { configured: { a: { protocol: 'anthropic', baseUrl: 'http://a', apiKey: 'caller' } } });
    const { headers } = await own.post(BODY, { authorization: 'Bearer sk-ant-oat-1' });
    for (const [name, value] of Object.entries(unified)) assert.equal(headers.get(name), value);
    const ours = await start(t, answer);
    const { headers: hidden } = await ours.post(BODY);
    for (const name of Object.keys(unified)) assert.equal(hidden.get(name), null);
  });
});

describe('keep-alives', () => {
  it('are ping events in a Messages stream, before and after content, also where the provider speaks chat', async (t) => {
    const chat = WIRES.openai;
    const world = await start(
      t,
      () => ({
        steps: [
          headStep(true),
          send(chat.head),
          { do: 'wait', ms: 30_000 },
          send(chat.words[0]!),
          { do: 'wait', ms: 30_000 },
          send(chat.words[1]! + chat.tail + chat.terminator),
        ],
      }),
      { configured: { b: { protocol: 'openai', baseUrl: 'http://b/v1', apiKey: 'sk-b' } }, models: { fast: ['b/gpt-x'] } },
    );
    const { text } = await world.post({ ...BODY, stream: true });
    const events = [...text.matchAll(/^event: (\w+)$/gm)].map(([, name]) => name);
    assert.equal(events[0], 'ping');
    assert.ok(events.lastIndexOf('ping') > events.indexOf('content_block_delta'), events.join(' '));
    assert.equal(events.at(-1), 'message_stop');
    assert.doesNotMatch(text, /keep-alive/);
  });

  it('end with an error event where nothing comes', async (t) => {
    const world = await start(t, () => ({ steps: [headStep(true), send(wire.head), FOREVER] }));
    const { text } = await world.post({ ...BODY, stream: true }, { 'x-breakwater-deadline-ms': '60000' });
    assert.match(text, /event: ping\n/);
    const last = JSON.parse(
      text
        .trim()
        .split('\n')
        .at(-1)!
        .replace(/^data: /, ''),
    ) as { type: string; error: { type: string } };
    assert.deepEqual([last.type, last.error.type], ['error', 'timeout_error']);
  });
});
