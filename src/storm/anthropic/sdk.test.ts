/** The official Anthropic SDK against Storm: content, signatures, and how each fault appears. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import type { MessageParam, RawMessageStreamEvent } from '@anthropic-ai/sdk/resources/messages';
import type { Storm } from '../index.ts';
import { collect, errorOf, openStorm } from '../sdk.fixture.ts';

const ASKED = { model: 'storm-large', max_tokens: 1000, messages: [{ role: 'user' as const, content: 'hello' }] };
const THINKING = { ...ASKED, max_tokens: 2000, thinking: { type: 'enabled' as const, budget_tokens: 1024 } };

let storm: Storm;
before(async () => {
  storm = await openStorm({ timing: { tokens: 8 } });
});
after(() => storm.close());

const clientOf = (of: Storm, fault?: string, apiKey = 'k'): Anthropic =>
  new Anthropic({
    baseURL: `http://127.0.0.1:${of.port}`,
    apiKey,
    maxRetries: 0,
    timeout: 2000,
    logLevel: 'off',
    ...(fault !== undefined && { defaultHeaders: { 'x-storm-fault': fault } }),
  });

async function eventsOf(client: Anthropic, body: object = {}): Promise<RawMessageStreamEvent[]> {
  return collect(await client.messages.create({ ...ASKED, ...body, stream: true }));
}

describe('messages', () => {
  test('a stream has the content and usage of the non-streaming response', async () => {
    const client = clientOf(storm);
    const complete = await client.messages.create(ASKED);
    const streamed = await client.messages.stream(ASKED).finalMessage();
    assert.deepEqual(streamed.content, complete.content);
    assert.deepEqual([complete.stop_reason, streamed.stop_reason], ['end_turn', 'end_turn']);
    assert.deepEqual([complete.usage.output_tokens, streamed.usage.output_tokens], [8, 8]);
    assert.equal(storm.stats().log.at(-1)!.outputTokens, 8);
    assert.equal(storm.stats().log.at(-1)!.inputTokens, complete.usage.input_tokens);
    const types = (await eventsOf(client)).map(({ type }) => type);
    assert.deepEqual([types[0], types.at(-2), types.at(-1)], ['message_start', 'message_delta', 'message_stop']);
  });

  test('a system prompt counts as input', async () => {
    const client = clientOf(storm);
    const count = async (system: string) =>
      (await client.messages.countTokens({ ...ASKED, max_tokens: undefined, system } as never)).input_tokens;
    assert.ok((await count('x'.repeat(4000))) > (await count('x')) + 900);
  });

  test('a tool is called, and its result continues the conversation', async () => {
    const client = clientOf(storm);
    const tools = [{ name: 'weather', input_schema: { type: 'object' as const, properties: { city: { type: 'string' } } } }];
    const body = { ...ASKED, tools, tool_choice: { type: 'any' as const } };
    for (const message of [await client.messages.create(body), await client.messages.stream(body).finalMessage()]) {
      const [call] = message.content;
      assert.ok(call?.type === 'tool_use' && call.name === 'weather' && message.stop_reason === 'tool_use');
      const turns: MessageParam[] = [...ASKED.messages, { role: 'assistant', content: message.content }];
      const result: MessageParam = { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.id, content: 'calm' }] };
      assert.equal((await client.messages.create({ ...ASKED, messages: [...turns, result] })).stop_reason, 'end_turn');
      const open = await errorOf(client.messages.create({ ...ASKED, messages: [...turns, { role: 'user', content: 'x' }] }));
      assert.ok(open instanceof Anthropic.BadRequestError && /tool_result/.test(open.message));
    }
  });

  test("models are listed in Anthropic's format for clients that send a version", async () => {
    const models = await collect(clientOf(storm).models.list());
    assert.deepEqual(models.map(({ id, type }) => `${type} ${id}`).slice(0, 2), ['model storm-small', 'model storm-large']);
  });
});

describe('thinking', () => {
  test('thinking is signed, counted, and accepted only with its own key and model', async () => {
    await using other = await openStorm();
    const client = clientOf(storm);
    for (const message of [await client.messages.create(THINKING), await client.messages.stream(THINKING).finalMessage()]) {
      assert.deepEqual(
        message.content.map(({ type }) => type),
        ['thinking', 'text'],
      );
      assert.equal(message.usage.output_tokens, 15);
      const messages: MessageParam[] = [...ASKED.messages, { role: 'assistant', content: message.content }, { role: 'user', content: 'y' }];
      assert.equal((await client.messages.create({ ...THINKING, messages })).stop_reason, 'end_turn');
      const refusals = [
        clientOf(storm, undefined, 'another').messages.create({ ...THINKING, messages }),
        client.messages.create({ ...THINKING, model: 'storm-small', messages }),
        clientOf(other).messages.create({ ...THINKING, messages }),
      ];
      const errors = await Promise.all(refusals.map(errorOf));
      assert.ok(errors.every((error) => error instanceof Anthropic.BadRequestError));
      assert.match(errors[0]!.message, /bound to a different conversation/);
      assert.match(errors[1]!.message, /bound to a different conversation/);
      assert.match(errors[2]!.message, /Invalid `signature` in `thinking` block/);
      const [thinking, text] = message.content;
      const altered = [{ ...thinking, thinking: 'other words' }, text] as never;
      const changed = await errorOf(
        client.messages.create({ ...THINKING, messages: [messages[0]!, { role: 'assistant', content: altered }, messages[2]!] }),
      );
      assert.match(changed.message, /messages\.1\.content\.0: Invalid `signature`/);
    }
  });

  test('thinking from elsewhere is dropped and listed if the request asks for that', async () => {
    const first = await clientOf(storm).messages.create(THINKING);
    const messages = [...ASKED.messages, { role: 'assistant', content: first.content }, { role: 'user', content: 'y' }];
    const thinking = { type: 'enabled', budget_tokens: 1024, block_binding: { prefix_mismatch_behavior: 'drop_block' } };
    const response = await clientOf(storm, undefined, 'another').messages.create({ ...THINKING, messages, thinking } as never);
    assert.deepEqual((response as unknown as Record<string, unknown>)['input_transformations'], [
      { type: 'thinking_dropped', path: 'messages.1.content.0', reason: 'organization_binding_mismatch' },
    ]);
  });

  test('omitted thinking is signed without its text', async () => {
    const thinking = { type: 'adaptive', display: 'omitted' };
    const client = clientOf(storm);
    const message = await client.messages.stream({ ...ASKED, thinking } as never).finalMessage();
    assert.ok(message.content[0]?.type === 'thinking' && message.content[0].thinking === '' && message.content[0].signature !== '');
    const messages = [...ASKED.messages, { role: 'assistant', content: message.content }, { role: 'user', content: 'y' }];
    assert.equal((await client.messages.create({ ...ASKED, thinking, messages } as never)).stop_reason, 'end_turn');
  });
});

describe('faults', () => {
  test("errors have Anthropic's status and type", async () => {
    for (const [fault, status, type] of [
      ['429', 429, 'rate_limit_error'],
      ['400', 400, 'invalid_request_error'],
      ['401', 401, 'authentication_error'],
      ['403', 403, 'permission_error'],
      ['404', 404, 'not_found_error'],
      ['500', 500, 'api_error'],
      ['529', 529, 'overloaded_error'],
    ] as const) {
      for (const stream of [false, true]) {
        const error = await errorOf(clientOf(storm, fault).messages.create({ ...ASKED, stream }));
        assert.deepEqual([error['status'], error['type']], [status, type]);
      }
    }
  });

  test('an HTML page of a proxy is returned as HTML, not JSON', async () => {
    const error = await errorOf(clientOf(storm, '502-html').messages.create(ASKED));
    assert.ok(error instanceof Anthropic.InternalServerError && error.message.includes('<html>'));
  });

  test('error events, broken connections and garbage are SDK errors', async () => {
    for (const fault of [
      'error-first',
      'error-content-3',
      'error-failed-3',
      'cut-3',
      'cut-reset-3',
      'cut-event-3',
      'malformed-3',
      'reset',
    ]) {
      await assert.rejects(eventsOf(clientOf(storm, fault)), Error, fault);
    }
    const error = await errorOf(eventsOf(clientOf(storm, 'error-content-3; reason=overloaded')));
    assert.ok(error instanceof Anthropic.APIError && error.type === 'overloaded_error');
  });

  test('missing stream endings are visible to the SDK', async () => {
    const last = async (fault: string) => (await eventsOf(clientOf(storm, fault))).at(-1)!.type;
    assert.deepEqual([await last('no-done'), await last('no-end')], ['message_delta', 'content_block_delta']);
    const reason = await clientOf(storm, 'finish-reason-pause_turn').messages.create(ASKED);
    assert.equal(reason.stop_reason, 'pause_turn');
  });

  test('a rate limit responds with retry-after in seconds and its headers', async () => {
    await using limited = await openStorm({ limits: { requestsPerMinute: 1 } });
    await clientOf(limited).messages.create(ASKED);
    const error = await errorOf(clientOf(limited).messages.create(ASKED));
    assert.ok(error instanceof Anthropic.RateLimitError);
    const { headers } = error;
    assert.ok(Number(headers.get('retry-after')) > 0 && headers.get('retry-after-ms') === null);
    assert.equal(headers.get('anthropic-ratelimit-requests-remaining'), '0');
    assert.match(headers.get('request-id')!, /^req_storm/);
  });

  test('input and output have separate limits', async () => {
    await using limited = await openStorm({ timing: { tokens: 8 }, limits: { inputTokensPerMinute: 10_000, outputTokensPerMinute: 5 } });
    const { response } = await clientOf(limited).messages.create(ASKED).withResponse();
    assert.equal(response.headers.get('anthropic-ratelimit-input-tokens-limit'), '10000');
    assert.equal(response.headers.get('anthropic-ratelimit-tokens-limit'), '10005');
    const error = await errorOf(clientOf(limited).messages.create(ASKED));
    assert.ok(error instanceof Anthropic.RateLimitError && error.message.includes('5 output tokens per minute'));
    assert.equal(error.headers.get('anthropic-ratelimit-output-tokens-remaining'), '0');
  });
});
