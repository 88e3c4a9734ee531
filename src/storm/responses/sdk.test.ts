/** The official OpenAI SDK against Storm's Responses API: content, stored responses, and how each fault appears. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import OpenAI from 'openai';
import type { Response, ResponseInputItem, ResponseStreamEvent, Tool } from 'openai/resources/responses/responses';
import type { Storm } from '../index.ts';
import { collect, errorOf, openStorm } from '../sdk.fixture.ts';

const MODEL = 'storm-large';
const WEATHER: Tool = {
  type: 'function',
  name: 'weather',
  parameters: { type: 'object', properties: { city: { type: 'string' } } },
  strict: false,
};

let storm: Storm;
before(async () => {
  storm = await openStorm({ timing: { tokens: 8 } });
});
after(() => storm.close());

const clientOf = (of: Storm, fault?: string, apiKey = 'k'): OpenAI =>
  new OpenAI({
    baseURL: of.url,
    apiKey,
    maxRetries: 0,
    timeout: 2000,
    logLevel: 'off',
    ...(fault !== undefined && { defaultHeaders: { 'x-storm-fault': fault } }),
  });

async function eventsOf(client: OpenAI, body: object = {}): Promise<ResponseStreamEvent[]> {
  const stream = await client.responses.create({ model: MODEL, input: 'hello', stream: true, ...body });
  return collect(stream);
}

describe('responses', () => {
  test('a stream carries every event in order, numbered, and ends with the non-streaming response', async () => {
    const client = clientOf(storm);
    const complete = await client.responses.create({ model: MODEL, input: 'hello' });
    const events = await eventsOf(client);
    assert.deepEqual(
      events.map(({ sequence_number: number }) => number),
      events.map((_, index) => index),
    );
    const deltas = Array.from({ length: 8 }, () => 'response.output_text.delta');
    assert.deepEqual(
      events.map(({ type }) => type),
      [
        'response.created',
        'response.in_progress',
        'response.output_item.added',
        'response.content_part.added',
        ...deltas,
        'response.output_text.done',
        'response.content_part.done',
        'response.output_item.done',
        'response.completed',
      ],
    );
    const last = events.at(-1)!;
    assert.ok(last.type === 'response.completed');
    assert.ok(complete.output_text.length > 20);
    const message = last.response.output[0]!;
    assert.ok(message.type === 'message' && message.content[0]?.type === 'output_text');
    assert.equal(message.content[0].text, complete.output_text);
    assert.deepEqual(last.response.usage, complete.usage);
    assert.equal(complete.usage!.output_tokens, 8);
  });

  test('the body has no [DONE], and each event is named by its type', async () => {
    const response = await fetch(`${storm.url}/responses`, {
      method: 'POST',
      body: JSON.stringify({ model: MODEL, input: 'hello', stream: true }),
    });
    const blocks = (await response.text()).split('\n\n').filter((block) => block !== '');
    for (const block of blocks) {
      const [name, data] = block.split('\n');
      assert.equal(name, `event: ${(JSON.parse(data!.slice(6)) as { type: string }).type}`);
    }
    assert.match(blocks.at(-1)!, /^event: response\.completed\n/);
  });

  test('a function is called with arguments of its schema, and its output continues the conversation', async () => {
    const client = clientOf(storm);
    for (const stream of [false, true]) {
      const asked = { model: MODEL, input: 'weather?', tools: [WEATHER], tool_choice: 'required' as const };
      const response: Response = stream ? await client.responses.stream(asked).finalResponse() : await client.responses.create(asked);
      const call = response.output[0]!;
      assert.ok(call.type === 'function_call' && call.name === 'weather' && response.status === 'completed');
      assert.equal(typeof JSON.parse(call.arguments).city, 'string');
      const output: ResponseInputItem = { type: 'function_call_output', call_id: call.call_id, output: 'calm' };
      const next = await client.responses.create({ model: MODEL, previous_response_id: response.id, input: [output] });
      assert.equal(next.status, 'completed');
      const manual = await client.responses.create({ model: MODEL, input: [{ role: 'user', content: 'weather?' }, call, output] });
      assert.equal(manual.status, 'completed');
      const open = await errorOf(client.responses.create({ model: MODEL, input: [call] }));
      assert.match(open.message, /No tool output found for function call call_/);
    }
  });

  test('custom tools, namespaced tools and added tools are called by their type', async () => {
    const client = clientOf(storm);
    const custom = await client.responses.create({
      model: MODEL,
      input: 'x',
      tools: [{ type: 'custom', name: 'shell' }],
      tool_choice: { type: 'custom', name: 'shell' },
    });
    assert.ok(custom.output[0]!.type === 'custom_tool_call' && custom.output[0].input !== '');
    const text = 'line "one"\nline two';
    const asked = await client.responses.create({
      model: MODEL,
      input: `x\ncall shell ${JSON.stringify(text)}`,
      tools: [{ type: 'custom', name: 'shell' }],
    });
    const call = asked.output.find((item) => item.type === 'custom_tool_call');
    assert.equal(call?.input, text);
    const inner = { type: 'function', name: 'inner', parameters: { type: 'object' } };
    const nested = { tools: [{ type: 'namespace', name: 'space', description: '', tools: [inner] }] };
    const added = {
      input: [
        { type: 'additional_tools', id: 'at_1', role: 'developer', tools: [inner] },
        { role: 'user', content: 'x' },
      ],
    };
    for (const [body, namespace] of [
      [nested, 'space'],
      [added, undefined],
    ] as const) {
      const events = await eventsOf(client, { ...body, tool_choice: { type: 'function', name: 'inner' } });
      const done = events.find((event) => event.type === 'response.output_item.done');
      assert.ok(done?.item.type === 'function_call' && done.item.name === 'inner');
      assert.equal((done.item as { namespace?: string }).namespace, namespace);
    }
  });

  test('structured output follows its schema, and the output limit ends a response as incomplete', async () => {
    const client = clientOf(storm);
    const schema = { type: 'object', properties: { tag: { enum: ['a', 'b'] } } };
    const shaped = await client.responses.create({
      model: MODEL,
      input: 'x',
      text: { format: { type: 'json_schema', name: 's', schema } },
    });
    assert.ok(['a', 'b'].includes(JSON.parse(shaped.output_text).tag));
    for (const response of [
      await client.responses.create({ model: MODEL, input: 'x', max_output_tokens: 3 }),
      await client.responses.stream({ model: MODEL, input: 'x', max_output_tokens: 3 }).finalResponse(),
    ]) {
      assert.deepEqual([response.status, response.incomplete_details], ['incomplete', { reason: 'max_output_tokens' }]);
      assert.equal(response.usage!.output_tokens, 3);
    }
  });

  test('chat fields, chat parts and ids of other providers are rejected by name', async () => {
    const client = clientOf(storm);
    const refused = async (body: object) => {
      const { status, code, param } = await errorOf(client.responses.create({ model: MODEL, ...body } as never));
      return [status, code, param];
    };
    assert.deepEqual(await refused({ messages: [] }), [400, 'unsupported_parameter', 'messages']);
    assert.deepEqual(await refused({}), [400, 'missing_required_parameter', 'input']);
    assert.deepEqual(await refused({ input: [{ role: 'user', content: [{ type: 'text', text: 'x' }] }] }), [
      400,
      'invalid_value',
      'input[0].content[0]',
    ]);
    assert.deepEqual(await refused({ input: [{ role: 'tool', content: 'x' }] }), [400, 'invalid_value', 'input[0].role']);
    const call = { type: 'function_call', id: 'toolu_1', call_id: 'c', name: 'f', arguments: '{}' };
    assert.deepEqual(await refused({ input: [call] }), [400, 'invalid_value', 'input[0].id']);
    assert.deepEqual(await refused({ input: 'x', tools: [{ type: 'function', function: { name: 'f' } }] }), [
      400,
      'missing_required_parameter',
      'tools[0].name',
    ]);
  });
});

describe('reasoning', () => {
  const asked = { model: MODEL, reasoning: { effort: 'low' as const, summary: 'auto' as const } };

  test('reasoning comes first, with a summary if requested, and counts as output', async () => {
    const client = clientOf(storm);
    for (const response of [
      await client.responses.create({ ...asked, input: 'x' }),
      await client.responses.stream({ ...asked, input: 'x' }).finalResponse(),
    ]) {
      assert.deepEqual(
        response.output.map(({ type }) => type),
        ['reasoning', 'message'],
      );
      const { output_tokens: output, output_tokens_details: details } = response.usage!;
      assert.deepEqual([output, details.reasoning_tokens], [15, 7]);
    }
    const quiet = await client.responses.create({ model: MODEL, input: 'x', reasoning: { effort: 'low' } });
    assert.ok(quiet.output[0]!.type === 'reasoning' && quiet.output[0].summary.length === 0);
    assert.equal(storm.stats().log.at(-1)!.outputTokens, 15);
  });

  test('encrypted reasoning is accepted only with its own key and model', async () => {
    await using other = await openStorm();
    const client = clientOf(storm);
    const first = await client.responses.create({ ...asked, input: 'x', store: false, include: ['reasoning.encrypted_content'] });
    const input: ResponseInputItem[] = [
      { role: 'user', content: 'x' },
      ...(first.output as ResponseInputItem[]),
      { role: 'user', content: 'y' },
    ];
    assert.equal((await client.responses.create({ ...asked, input, store: false })).status, 'completed');
    const refused = [
      clientOf(storm, undefined, 'another').responses.create({ ...asked, input }),
      client.responses.create({ ...asked, model: 'storm-small', input }),
      clientOf(other).responses.create({ ...asked, input }),
    ];
    for (const error of await Promise.all(refused.map(errorOf))) {
      assert.deepEqual([error.status, error.code], [400, 'invalid_encrypted_content']);
      assert.match(error.message, /could not be verified/);
    }
  });

  test('reasoning without its content is resolved where the response is stored, and nowhere else', async () => {
    const client = clientOf(storm);
    for (const [store, status] of [
      [true, 200],
      [false, 404],
    ] as const) {
      const { output } = await client.responses.create({ ...asked, input: 'x', store });
      const input = [...(output as ResponseInputItem[]), { role: 'user' as const, content: 'y' }];
      if (status === 200) await client.responses.create({ ...asked, input });
      else assert.match((await errorOf(client.responses.create({ ...asked, input }))).message, /Items are not persisted/);
      const alone = await errorOf(client.responses.create({ ...asked, input: [input[0]!] }));
      assert.match(alone.message, status === 200 ? /without its required following item/ : /not found/);
    }
  });

  test('a compacted conversation is accepted only with its own key', async () => {
    const client = clientOf(storm);
    const compacted = await client.responses.compact({ model: MODEL, input: [{ role: 'user', content: 'x' }] });
    const input = [...(compacted.output as ResponseInputItem[]), { role: 'user' as const, content: 'y' }];
    assert.equal((await client.responses.create({ model: MODEL, input })).status, 'completed');
    const error = await errorOf(clientOf(storm, undefined, 'another').responses.create({ model: MODEL, input }));
    assert.equal(error.code, 'invalid_encrypted_content');
  });
});

describe('stored responses', () => {
  test('a response is stored unless store is false: retrieved, listed, continued, deleted, by its own key', async () => {
    const client = clientOf(storm);
    const made = await client.responses.create({ model: MODEL, input: 'echo first' });
    const { output_text: _text, ...bare } = made;
    const { output_text: _again, ...found } = await client.responses.retrieve(made.id);
    assert.deepEqual(JSON.parse(JSON.stringify(found)), JSON.parse(JSON.stringify(bare)));
    const items = await collect(client.responses.inputItems.list(made.id));
    assert.deepEqual(
      items.map((item) => item.type),
      ['message'],
    );
    const second = await client.responses.create({ model: MODEL, input: 'next', previous_response_id: made.id });
    assert.ok(second.usage!.input_tokens > made.usage!.input_tokens, 'earlier turns are billed again');
    const foreign = clientOf(storm, undefined, 'another');
    assert.equal((await errorOf(foreign.responses.retrieve(made.id))).status, 404);
    const continued = await errorOf(foreign.responses.create({ model: MODEL, input: 'x', previous_response_id: made.id }));
    assert.deepEqual([continued.status, continued.code], [400, 'previous_response_not_found']);
    await client.responses.delete(made.id);
    assert.equal((await errorOf(client.responses.retrieve(made.id))).status, 404);
    const unkept = await client.responses.create({ model: MODEL, input: 'x', store: false });
    assert.equal((await errorOf(client.responses.retrieve(unkept.id))).status, 404);
  });

  test('a reset clears them', async () => {
    await using other = await openStorm();
    const client = clientOf(other);
    const { id } = await client.responses.create({ model: MODEL, input: 'x' });
    other.reset();
    assert.equal((await errorOf(client.responses.retrieve(id)))['status'], 404);
  });

  test('a truncated or failed response is not stored', async () => {
    for (const fault of ['cut-2', 'error-failed-2']) {
      const [created] = await collect(firstOf(clientOf(storm, fault)));
      assert.ok(created?.type === 'response.created');
      assert.equal((await errorOf(clientOf(storm).responses.retrieve(created.response.id))).status, 404);
    }
  });

  async function* firstOf(client: OpenAI): AsyncGenerator<ResponseStreamEvent> {
    const stream = await client.responses.create({ model: MODEL, input: 'x', stream: true });
    try {
      for await (const event of stream) yield event;
    } catch {
      return;
    }
  }
});

describe('faults', () => {
  test("errors have OpenAI's status and code", async () => {
    for (const [fault, status, code] of [
      ['429', 429, 'rate_limit_exceeded'],
      ['429-quota', 429, 'insufficient_quota'],
      ['401', 401, 'invalid_api_key'],
      ['400-context', 400, 'context_length_exceeded'],
      ['500', 500, null],
      ['503', 503, 'server_is_overloaded'],
    ] as const) {
      for (const stream of [false, true]) {
        const error = await errorOf(clientOf(storm, fault).responses.create({ model: MODEL, input: 'x', stream }));
        assert.deepEqual([error.status, error.code], [status, code]);
      }
    }
  });

  test('an error event ends a stream with its sequence number, its code and an APIError', async () => {
    for (const [fault, deltas] of [
      ['error-first', 0],
      ['error-preamble', 0],
      ['error-content-3', 3],
    ] as const) {
      const response = await fetch(`${storm.url}/responses`, {
        method: 'POST',
        headers: { 'x-storm-fault': fault },
        body: JSON.stringify({ model: MODEL, input: 'x', stream: true }),
      });
      const blocks = (await response.text()).trimEnd().split('\n\n');
      const last = JSON.parse(blocks.at(-1)!.split('data: ')[1]!) as Record<string, unknown>;
      assert.deepEqual([last['type'], last['sequence_number']], ['error', blocks.length - 1]);
      assert.equal(blocks.filter((block) => block.includes('output_text.delta')).length, deltas);
      const error = await errorOf(eventsOf(clientOf(storm, fault)));
      assert.ok(error instanceof OpenAI.APIError, fault);
    }
  });

  test('response.failed ends a stream with the response in it; a non-streaming response has status failed', async () => {
    const events = await eventsOf(clientOf(storm, 'error-failed-2; reason=rate-limit'));
    const last = events.at(-1)!;
    assert.ok(last.type === 'response.failed' && last.response.status === 'failed');
    assert.equal(last.response.error!.code, 'rate_limit_exceeded');
    assert.equal(last.sequence_number, events.length - 1);
    const complete = await clientOf(storm, 'error-failed').responses.create({ model: MODEL, input: 'x' });
    assert.deepEqual([complete.status, complete.error!.code, complete.output.length], ['failed', 'server_error', 0]);
  });

  test('broken connections and garbage are SDK errors; a missing terminal event is silent', async () => {
    for (const fault of ['cut-3', 'cut-reset-3', 'cut-event-3', 'malformed-3', 'cut-last', 'reset', 'empty-body', 'gzip-cut']) {
      const seen = eventsOf(clientOf(storm, fault)).then(
        (events) => events.at(-1)?.type ?? 'nothing',
        (error: unknown) => (error instanceof Error ? 'error' : 'thrown'),
      );
      assert.notEqual(await seen, 'response.completed', fault);
    }
    const events = await eventsOf(clientOf(storm, 'no-done'));
    assert.equal(events.at(-1)!.type, 'response.output_item.done');
    assert.equal((await eventsOf(clientOf(storm, 'no-end'))).at(-1)!.type, 'response.output_text.delta');
  });

  test('silence ends by the timeout of the SDK', async () => {
    const client = clientOf(storm, 'silence').withOptions({ timeout: 100 });
    assert.ok((await errorOf(client.responses.create({ model: MODEL, input: 'x' }))) instanceof OpenAI.APIConnectionTimeoutError);
  });

  test('refusals, filters and other finish reasons have their own fields', async () => {
    const say = (fault: string) => clientOf(storm, fault).responses.create({ model: MODEL, input: 'x' });
    const refusal = (await say('refusal')).output[0]!;
    assert.ok(refusal.type === 'message' && refusal.content[0]!.type === 'refusal');
    assert.deepEqual((await say('content-filter')).incomplete_details, { reason: 'content_filter' });
    assert.equal((await say('finish-reason-steered')).incomplete_details?.reason, 'steered');
    assert.equal((await say('finish-reason-cancelled')).status, 'cancelled');
  });

  test('rate limits respond with their headers, and every call is counted once', async () => {
    await using limited = await openStorm({ limits: { requestsPerMinute: 1 } });
    const { response } = await clientOf(limited).responses.create({ model: MODEL, input: 'x' }).withResponse();
    assert.equal(response.headers.get('x-ratelimit-remaining-requests'), '0');
    const error = await errorOf(clientOf(limited).responses.create({ model: MODEL, input: 'x' }));
    assert.ok(error instanceof OpenAI.RateLimitError);
    assert.ok(Number(error.headers.get('retry-after')) > 0);
    const { calls, byPath, violations } = limited.stats();
    assert.deepEqual([calls, byPath['/v1/responses'], violations.requests], [2, 2, 1]);
  });
});
