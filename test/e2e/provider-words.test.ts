/** What single providers say in their own ways, which Storm does not speak: one call each, in virtual time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chatResponse, chatStream, silence, streamEnd, streamStart } from '../../src/testing/index.ts';
import type { SimulatedResponse, SimulatedStep } from '../../src/testing/index.ts';
import { DAILY_QUOTA, google, json, openai } from './provider-bodies.ts';
import { startVirtualWorld } from './virtual.ts';
import { contentOf, errorOf } from './world.ts';

const SECOND = 1_000;

const choice = (message: object, finish = 'stop') => ({ id: 'x', choices: [{ index: 0, message, finish_reason: finish }], usage: null });
const event = (data: object | string): SimulatedStep => ({
  do: 'send',
  bytes: `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`,
});

/** The first answer is `first`; the next ones are good. */
function once(first: SimulatedResponse): () => SimulatedResponse {
  let calls = 0;
  return () => (++calls === 1 ? first : chatResponse());
}

describe('a wait in the words of', () => {
  const cases = [
    {
      name: 'google: retryDelay in the details',
      answer: json(429, {
        error: {
          code: 429,
          status: 'RESOURCE_EXHAUSTED',
          message: 'Quota',
          details: [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '13s' }],
        },
      }),
      expectedMs: 13 * SECOND,
    },
    {
      name: 'azure: x-ms-retry-after-ms',
      answer: json(429, { error: { message: 'wait' } }, { 'x-ms-retry-after-ms': '1700' }),
      expectedMs: 1700,
    },
    { name: 'HTTP: a date', answer: json(429, {}, { 'retry-after': 'Wed, 01 Jan 2025 00:00:09 GMT' }), expectedMs: 9 * SECOND },
    { name: 'HTTP: a date of -0000', answer: json(429, {}, { 'retry-after': 'Wed, 01 Jan 2025 00:00:09 -0000' }), expectedMs: 9 * SECOND },
    { name: 'HTTP: a date that has passed', answer: json(429, {}, { 'retry-after': 'Tue, 31 Dec 2024 00:00:00 GMT' }), expectedMs: 0 },
    { name: 'a 503 that loads its model', answer: json(503, { error: 'loading model' }, { 'retry-after': '4' }), expectedMs: 4 * SECOND },
  ];
  for (const { name, answer, expectedMs } of cases) {
    it(`${name}: kept to the millisecond`, async (t) => {
      const world = await startVirtualWorld(t, { providers: { a: once(answer) } });
      const seen = await world.answerTo();
      assert.equal(seen.status, 200);
      const gapMs = world.upstream.calls[1]!.at - world.upstream.calls[0]!.at;
      // Where no wait is asked, our own backoff takes its place.
      if (expectedMs === 0) assert.ok(gapMs <= 250, `${gapMs} ms`);
      else assert.ok(gapMs >= expectedMs && gapMs <= expectedMs + 60, `${gapMs} ms`);
      assert.equal(world.upstream.calls.length, 2);
    });
  }

  it('anybody, where the only target recovers within the deadline: waited for', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: once(json(429, {}, { 'retry-after': '5' })) } });
    assert.equal((await world.answerTo({}, { 'x-breakwater-deadline-ms': '30000' })).status, 200);
  });
});

describe('a whole answer', () => {
  const call = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{}' } };
  const whole = {
    'with tool calls and no content': json(200, choice({ role: 'assistant', content: null, tool_calls: [call] }, 'tool_calls')),
    'with empty lines before it': json(200, `\n\n\n${JSON.stringify(choice({ role: 'assistant', content: 'hi' }))}\n`),
    'with a byte order mark': json(200, `\uFEFF${JSON.stringify(choice({ role: 'assistant', content: 'hi' }))}`),
    'with reasoning only': json(200, choice({ role: 'assistant', content: '', reasoning_content: 'hm' }, 'length')),
    'that was filtered': json(200, choice({ role: 'assistant', content: null }, 'content_filter')),
  };
  for (const [name, answer] of Object.entries(whole)) {
    it(`${name} is passed on as it came`, async (t) => {
      const world = await startVirtualWorld(t, { providers: { a: () => answer, b: silence } });
      const seen = await world.answerTo();
      assert.equal(seen.status, 200);
      assert.equal(seen.headers.get('x-breakwater-quality'), null);
      const [, sent] = [...answer.steps] as [SimulatedStep, { bytes: string }];
      assert.equal(seen.text.replace('\uFEFF', ''), sent.bytes.replace('\uFEFF', ''));
      assert.equal(world.upstream.calls.length, 1);
    });
  }

  it('whose error stands in a choice goes to the next target', async (t) => {
    const broken = json(200, {
      choices: [{ index: 0, message: { content: '' }, finish_reason: 'error', error: { code: 502, message: 'no' } }],
    });
    const world = await startVirtualWorld(t, { providers: { a: () => broken, b: () => chatResponse() } });
    assert.equal((await world.answerTo()).headers.get('x-breakwater-fallback'), 'server_error');
  });
});

describe('an error', () => {
  it("of azure's filter keeps its inner details, and is asked once", async (t) => {
    const body = {
      error: { code: 'content_filter', message: 'filtered', innererror: { content_filter_result: { hate: { filtered: true } } } },
    };
    const world = await startVirtualWorld(t, { providers: { a: () => json(400, body) } });
    const seen = await world.answerTo();
    assert.equal(seen.status, 400);
    assert.deepEqual(JSON.parse(seen.text), body);
    assert.equal(world.upstream.calls.length, 1);
  });

  it('of a flat shape is told in the shape that the caller reads', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: () => json(422, { object: 'error', message: 'bad temperature', type: 'x' }) },
    });
    const seen = await world.answerTo();
    assert.deepEqual([seen.status, errorOf(seen.text).message], [422, 'bad temperature']);
  });

  it('401 of a key that the caller brought is passed to the caller', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: () => json(401, { error: { message: 'your key', code: 'invalid_api_key' } }) },
      keys: 'caller',
    });
    const seen = await world.answerTo({}, { authorization: 'Bearer sk-mine' });
    assert.deepEqual([seen.status, errorOf(seen.text).code], [401, 'invalid_api_key']);
    assert.equal(world.gateway.targets()[0]!.quarantinedMs, 0);
    assert.ok(world.upstream.calls[0]!.request.headers.includes('Bearer sk-mine'));
  });
});

describe('a field that a target does not take', () => {
  const forms: Record<string, SimulatedResponse> = {
    'named by param': openai(400, 'unsupported_parameter', 'invalid_request_error', 'm', 'seed'),
    'with 422': openai(422, 'unsupported_value', 'invalid_request_error', 'm', 'seed'),
    'named by the message': openai(400, null, 'invalid_request_error', "Unsupported parameter: 'seed' is not supported with this model."),
    'named by the message, as Groq has it': openai(400, null, 'invalid_request_error', "property 'seed' is unsupported"),
    'named by the message, as Google has it': google(
      400,
      'INVALID_ARGUMENT',
      'Invalid JSON payload received. Unknown name "seed": Cannot find field.',
    ),
    'named by a place': json(422, { detail: [{ type: 'extra_forbidden', loc: ['body', 'seed'], msg: 'Extra inputs are not permitted' }] }),
    'named with what is in it': openai(400, 'unknown_parameter', 'invalid_request_error', 'm', 'seed.deep[0]'),
  };
  for (const [name, answer] of Object.entries(forms)) {
    it(`${name}: is left out for it, once`, async (t) => {
      const world = await startVirtualWorld(t, {
        providers: { a: ({ body }) => ('seed' in (JSON.parse(body) as object) ? answer : chatResponse()), b: () => chatResponse() },
      });
      const seen = await world.answerTo({ seed: 1, top_p: 0.5 });
      assert.deepEqual([seen.status, world.callsTo('a'), world.callsTo('b')], [200, 2, 0]);
      assert.deepEqual(Object.keys(JSON.parse(world.upstream.calls[1]!.body) as object), ['model', 'messages', 'max_tokens', 'top_p']);
      assert.equal(world.gateway.targets()[0]!.breaker.failureRatio, 0);
    });
  }

  it('and that we asked for ourselves is left out too', async (t) => {
    const refused = openai(400, 'unknown_parameter', 'invalid_request_error', 'm', 'stream_options.include_usage');
    const world = await startVirtualWorld(t, {
      providers: { a: ({ body }) => (body.includes('stream_options') ? refused : chatStream()) },
    });
    assert.equal(contentOf((await world.answerTo({ stream: true })).text), 'one two three');
    assert.equal(world.callsTo('a'), 2);
  });

  it('but that makes the answer what was asked for is not: another target is asked', async (t) => {
    for (const field of ['tools', 'response_format', 'n', 'messages']) {
      const refused = openai(400, 'unsupported_parameter', 'invalid_request_error', 'm', field);
      const world = await startVirtualWorld(t, { providers: { a: () => refused, b: () => chatResponse() } });
      const seen = await world.answerTo({ tools: [], response_format: { type: 'text' }, n: 1 });
      assert.equal(seen.headers.get('x-breakwater-fallback'), 'unsupported', field);
      assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 1]);
    }
  });

  it('and is refused for good: no more than one call for each field', async (t) => {
    const refused = openai(400, 'unsupported_parameter', 'invalid_request_error', 'm', 'seed');
    const world = await startVirtualWorld(t, { providers: { a: () => refused } });
    const seen = await world.answerTo({ seed: 1 });
    assert.deepEqual([seen.status, world.callsTo('a')], [400, 2]);
    assert.equal(errorOf(seen.text).code, 'unsupported_parameter');
  });
});

describe('an answer that holds none', () => {
  const none: Record<string, SimulatedResponse> = {
    'no bytes': json(200, ''),
    'white space': json(200, '\n\n'),
    'no choices': json(200, { id: 'x', choices: [], usage: { prompt_tokens: 1, completion_tokens: 0 } }),
    'a choice without an end': json(200, { choices: [{ index: 0, message: { content: '' }, finish_reason: null }] }),
    'no content (204)': { steps: [{ do: 'head', status: 204, headers: {} }] },
  };
  for (const [name, answer] of Object.entries(none)) {
    for (const stream of [false, true]) {
      it(`${name}, ${stream ? 'streamed' : 'plain'}: asked twice, then told as a failure`, async (t) => {
        const world = await startVirtualWorld(t, { providers: { a: () => answer } });
        const seen = await world.answerTo({ stream });
        assert.deepEqual([seen.status, errorOf(seen.text).code, world.callsTo('a')], [502, 'all_targets_failed', 2]);
        assert.equal(world.eventsOf('attempt_end')[0]!.reason, 'empty');
        assert.equal(world.gateway.targets()[0]!.breaker.failureRatio, 0);
      });

      it(`${name}, ${stream ? 'streamed' : 'plain'}: the next target answers`, async (t) => {
        const good = () => (stream ? chatStream() : chatResponse());
        const world = await startVirtualWorld(t, { providers: { a: () => answer, b: good } });
        assert.equal(contentOf((await world.answerTo({ stream })).text), 'one two three');
        assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 1]);
      });
    }
  }

  it('is passed over for an empty one that is an answer', async (t) => {
    const blank = json(200, choice({ role: 'assistant', content: '' }));
    const world = await startVirtualWorld(t, { providers: { a: () => none['no choices']!, b: () => blank } });
    const seen = await world.answerTo();
    assert.deepEqual([seen.status, seen.headers.get('x-breakwater-quality')], [200, 'empty']);
    assert.equal(seen.headers.get('x-breakwater-target'), 'b/m');
  });
});

describe('a wait', () => {
  it('asked for by several targets: the caller is told the shortest', async (t) => {
    const limited = (seconds: number) => json(429, { error: { message: 'm' } }, { 'retry-after': String(seconds) });
    const world = await startVirtualWorld(t, { providers: { a: () => limited(40), b: () => limited(90) } });
    const seen = await world.answerTo({}, { 'x-breakwater-deadline-ms': '5000' });
    assert.deepEqual([seen.status, errorOf(seen.text).code], [429, 'all_targets_failed']);
    assert.equal(seen.headers.get('retry-after'), '40');
    assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 1]);
  });

  it('is not told where the request itself is refused in the end', async (t) => {
    const limited = json(429, { error: { message: 'm' } }, { 'retry-after': '40' });
    const world = await startVirtualWorld(t, { providers: { a: () => limited, b: () => openai(400, 'invalid_value', 'x') } });
    const seen = await world.answerTo();
    assert.deepEqual([seen.status, errorOf(seen.text).code], [400, 'invalid_value']);
    assert.equal(seen.headers.get('retry-after'), null);
  });

  it('that is given twice, as two values, is not believed', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: once(json(429, {}, { 'retry-after': '30, 60' })) } });
    const seen = await world.answerTo();
    assert.equal(seen.status, 200);
    assert.ok(world.upstream.calls[1]!.at - world.upstream.calls[0]!.at <= 310);
  });

  it('of slow_down without a time is longer than others', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: once(openai(429, 'slow_down', 'rate_limit_error')) } });
    assert.equal((await world.answerTo()).status, 200);
    const gapMs = world.upstream.calls[1]!.at - world.upstream.calls[0]!.at;
    assert.ok(gapMs >= 0.5 * SECOND && gapMs <= 1.1 * SECOND, `${gapMs} ms`);
  });

  it('of a missing flex capacity holds only the request that met it', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: once(openai(429, 'resource_unavailable', 'x')) } });
    assert.equal((await world.answerTo()).status, 200);
    assert.equal(world.eventsOf('cooldown').length, 0);
  });

  it('with a quota of a day is an hour, for that key alone', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: once(DAILY_QUOTA), b: () => chatResponse() } });
    for (let i = 0; i < 5; i++) assert.equal((await world.answerTo()).status, 200);
    assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 5]);
    assert.equal(world.eventsOf('cooldown')[0]!.forMs, 3_600 * SECOND);
  });
});

describe('a stream', () => {
  it('of azure with its filter results first is not committed by them', async (t) => {
    const filters = event({ choices: [], prompt_filter_results: [{}] });
    const [wait, head] = streamStart() as [SimulatedStep, SimulatedStep];
    const world = await startVirtualWorld(t, {
      providers: { a: () => ({ steps: [wait, head, filters, { do: 'break', code: 'ECONNRESET' }] }), b: () => chatStream() },
    });
    const seen = await world.answerTo({ stream: true });
    assert.equal(seen.headers.get('x-breakwater-target'), 'b/m');
    assert.doesNotMatch(seen.text, /prompt_filter_results/, 'nothing of the dead attempt is told');
  });

  it('with comments and blank data is read past them, and they are passed on', async (t) => {
    const chatter: SimulatedStep = { do: 'send', bytes: ': OPENROUTER PROCESSING\n\ndata:\n\n' };
    const start = streamStart();
    const world = await startVirtualWorld(t, {
      providers: { a: () => ({ steps: [...start.slice(0, 3), chatter, ...start.slice(3), ...streamEnd()] }) },
    });
    const seen = await world.answerTo({ stream: true });
    assert.equal(contentOf(seen.text), 'one two three');
    assert.match(seen.text, /: OPENROUTER PROCESSING/);
  });

  it('cut inside a tool call ends with an error, and never as complete', async (t) => {
    const part = (fragment: string) =>
      event({
        choices: [
          { index: 0, delta: { tool_calls: [{ index: 0, id: 'c', function: { name: 'f', arguments: fragment } }] }, finish_reason: null },
        ],
      });
    const world = await startVirtualWorld(t, {
      providers: {
        a: () => ({ steps: [...streamStart({ words: [] }), part('{"a'), part('":'), { do: 'wait', ms: 1 }, event('[DONE]')] }),
        b: silence,
      },
    });
    const seen = await world.answerTo({ stream: true });
    assert.equal(errorOf(seen.text).code, 'stream_interrupted');
    assert.doesNotMatch(seen.text, /\[DONE\]/);
    assert.equal(world.upstream.calls.length, 1);
  });

  it('without its last blank line is delivered whole and completed', async (t) => {
    const last: SimulatedStep = { do: 'send', bytes: 'data: {"choices":[{"index":0,"delta":{"content":"!"},"finish_reason":"stop"}]}' };
    const world = await startVirtualWorld(t, { providers: { a: () => ({ steps: [...streamStart(), last] }) } });
    const seen = await world.answerTo({ stream: true });
    assert.equal(contentOf(seen.text), 'one two three!');
    assert.match(seen.text, /data: \[DONE\]\n\n$/);
  });
});
