/** Errors for recognised agents: the status and headers that make them retry or stop. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { SimulatedResponse } from '../../src/testing/index.ts';
import { anthropic, json, openai } from './provider-bodies.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualSeen } from './virtual.ts';
import { errorOf } from './world.ts';

const CODEX = { 'user-agent': 'codex_exec/0.171.0 (Debian 12.0.0; x86_64) unknown' };
const OPENCODE = { 'user-agent': 'opencode/1.18.33 ai-sdk/provider-utils/4.0.23 runtime/bun/1.3.14' };
const CLAUDE_CODE = { 'user-agent': 'claude-cli/2.1.332 (external, sdk-cli)' };

const OVERLOADED = '{"error": {"message":"Overloaded, sorry.","type":"server_error","param":null,"code":"overloaded"},"trace":7}';

function refusal(status: number, headers: Record<string, string> = {}): SimulatedResponse {
  return json(status, OVERLOADED, headers);
}

function signals({ status, headers }: VirtualSeen): unknown[] {
  return [status, headers.get('x-should-retry'), headers.get('retry-after')];
}

const ONE_ATTEMPT = { policy: { maxAttempts: 1 } };

describe('a recognised agent', () => {
  it('gets a final failure with a status that it does not retry, and the unchanged body of the provider', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: () => refusal(503) }, config: ONE_ATTEMPT });
    for (const [program, status] of [
      [{}, 503],
      [CLAUDE_CODE, 503],
      [CODEX, 429],
      [OPENCODE, 424],
    ] as const) {
      const seen = await world.answerTo({}, program);
      assert.deepEqual(signals(seen), [status, 'false', null]);
      assert.equal(seen.text, OVERLOADED);
    }
    assert.equal(world.callsTo('a'), 4);
  });

  it('finds its status in the body too, if it reads that first', async (t) => {
    const body = (code: number): string => `{"error": {"code":${code},"message":"Overloaded.","status":"UNAVAILABLE"},"trace":7}`;
    const provider: SimulatedResponse = json(503, body(503));
    const world = await startVirtualWorld(t, {
      providers: { a: () => provider },
      configured: { a: { protocol: 'gemini', baseUrl: 'http://a', apiKey: 'sk-test' } },
      config: ONE_ATTEMPT,
    });
    for (const [program, status] of [
      ['GeminiCLI-tui/0.61.0/gemini-2.5-pro (linux; x64; terminal)', 424],
      ['google-genai-sdk/1.30.0', 503],
    ] as const) {
      const init = { method: 'POST', headers: { 'user-agent': program }, body: '{"contents":[{"parts":[{"text":"hello"}]}]}' };
      const path = '/v1beta/models/fast:streamGenerateContent?alt=sse';
      const response = await world.until(world.fetch(`http://breakwater${path}`, init));
      assert.equal(response.status, status);
      assert.equal(await world.until(response.text()), body(status));
    }
  });

  it('is refused with the status that makes it retry, if the wait is known', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: () => refusal(429, { 'retry-after': '20' }) },
      config: { policy: { maxAttempts: 1, deadline: '10s' } },
    });
    assert.deepEqual(signals(await world.answerTo()), [429, 'true', '20'], 'the error of the provider');
    for (const program of [{}, CODEX, OPENCODE]) assert.deepEqual(signals(await world.answerTo({}, program)), [429, 'true', '20']);
    assert.equal(world.callsTo('a'), 1);
  });

  it('gets 429 for an open breaker if it would retry a 503 without waiting', async (t) => {
    const breaker = { consecutiveFailures: 1, openFor: '30s', maxOpenFor: '30s' };
    const world = await startVirtualWorld(t, {
      providers: { a: () => refusal(503) },
      config: { policy: { maxAttempts: 1, deadline: '1s', breaker } },
    });
    await world.answerTo();
    const [plain, codex] = [await world.answerTo(), await world.answerTo({}, CODEX)];
    assert.deepEqual([plain.status, codex.status], [503, 429]);
    for (const { headers } of [plain, codex]) {
      assert.equal(headers.get('x-should-retry'), 'true');
      assert.ok(Number(headers.get('retry-after')) > 0);
    }
    assert.equal(world.callsTo('a'), 1);
  });

  it('gets its own status if the failure is shared with other agents, and if it is replayed', async (t) => {
    const error = { message: "Missing required parameter: 'messages'.", type: 'invalid_request_error', param: 'messages', code: null };
    const providers = { a: (): SimulatedResponse => ({ steps: [{ do: 'wait', ms: 100 }, ...json(422, { error }).steps] }) };
    const world = await startVirtualWorld(t, { providers, config: ONE_ATTEMPT });
    const key = { 'idempotency-key': 'k' };
    const asked = [world.ask({}, { ...key, ...CODEX }), world.ask({}, key), world.ask({}, { ...key, ...OPENCODE })];
    const seen = await world.until(Promise.all(asked.map(({ done }) => done)));
    assert.deepEqual(
      seen.map(({ status }) => status),
      [400, 422, 422],
    );
    const [again, codexAgain] = [await world.answerTo({}, key), await world.answerTo({}, { ...key, ...CODEX })];
    assert.deepEqual([...signals(again), ...signals(codexAgain)], [422, 'false', null, 400, 'false', null]);
    assert.equal(world.callsTo('a'), 1);
  });

  it('has the original status in its timeline', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: () => refusal(500) }, config: ONE_ATTEMPT });
    const notes: string[] = [];
    world.gateway.events.on('note', ({ note }) => notes.push(note));
    await world.answerTo({}, CODEX);
    assert.deepEqual(notes, ['status 429 sent instead of 500, which codex would retry']);
  });

  it('gets an Anthropic error as the provider wrote it, to repair its request', async (t) => {
    const said =
      '{"type":"error", "error":{"type":"invalid_request_error","message":"messages.1.content.0: Invalid `signature` in `thinking` block"},"request_id":"req_011"}';
    const world = await startVirtualWorld(t, {
      providers: { a: () => json(400, said) },
      configured: { a: { protocol: 'anthropic', baseUrl: 'http://a', apiKey: 'sk-test' } },
      models: { 'claude-*': ['a/m'] },
    });
    const asked = world.fetch('http://breakwater/v1/messages?beta=true', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'anthropic-version': '2023-06-01', ...CLAUDE_CODE },
      body: JSON.stringify({ model: 'claude-x', max_tokens: 9, messages: [{ role: 'user', content: 'hi' }] }),
    });
    const response = await world.until(asked);
    assert.deepEqual([response.status, response.headers.get('x-should-retry'), await response.text()], [400, 'false', said]);
  });

  it('recognises a prompt that is too long, whichever dialect the provider uses', async (t) => {
    const long = "This model's maximum context length is 8192 tokens.";
    const world = await startVirtualWorld(t, {
      providers: {
        o: () => openai(400, 'context_length_exceeded', 'invalid_request_error', long),
        a: () => anthropic(400, 'invalid_request_error', 'prompt is too long: 210000 tokens > 200000 maximum'),
      },
      configured: {
        o: { protocol: 'openai', baseUrl: 'http://o/v1', apiKey: 'sk-test' },
        a: { protocol: 'anthropic', baseUrl: 'http://a', apiKey: 'sk-test' },
      },
      models: { o: ['o/m'], a: ['a/m'] },
    });
    const body = { model: 'o', max_tokens: 9, messages: [{ role: 'user', content: 'hi' }] };
    const asked = world.fetch('http://breakwater/v1/messages', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'anthropic-version': '2023-06-01', ...CLAUDE_CODE },
      body: JSON.stringify(body),
    });
    const messages = await world.until(asked);
    const { error } = (await messages.json()) as { error: unknown };
    assert.deepEqual([messages.status, error], [400, { type: 'invalid_request_error', message: `prompt is too long: ${long}` }]);
    const chat = await world.answerTo({ model: 'a' }, CODEX);
    const { code, message } = errorOf(chat.text);
    assert.deepEqual([chat.status, code, message], [400, 'context_length_exceeded', 'prompt is too long: 210000 tokens > 200000 maximum']);
  });
});
