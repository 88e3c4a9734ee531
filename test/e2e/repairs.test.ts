/** Targets that refuse what Breakwater adds to a request, or single fields of it: how often they are called, and what callers see. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { chatResponse, chatStream } from '../../src/testing/index.ts';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/index.ts';
import { json, openai } from './provider-bodies.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualOptions, VirtualSeen, VirtualWorld } from './virtual.ts';
import { contentOf, errorOf } from './world.ts';

type Body = Record<string, unknown>;
type Script = (body: Body, call: SimulatedCall) => SimulatedResponse;

const MINUTE = 60_000;

const bodyOf = ({ body }: SimulatedCall): Body => JSON.parse(body) as Body;
const answer = (body: Body): SimulatedResponse => (body['stream'] === true ? chatStream({ headersAfterMs: 40 }) : chatResponse());
const refuses =
  (field: string, refusal: SimulatedResponse): Script =>
  (body) =>
    field in body ? refusal : answer(body);

function startWith(t: TestContext, a: Script, more: Partial<VirtualOptions> & { b?: Script } = {}): Promise<VirtualWorld> {
  const { b, ...options } = more;
  const providers = { a: (call: SimulatedCall) => a(bodyOf(call), call) };
  return startVirtualWorld(t, {
    providers: b === undefined ? providers : { ...providers, b: (call: SimulatedCall) => b(bodyOf(call), call) },
    ...options,
  });
}

/** `count` requests, `everyMs` apart; their responses. */
async function load(world: VirtualWorld, count: number, everyMs: number, body: (i: number) => Body): Promise<VirtualSeen[]> {
  const asked: Promise<VirtualSeen>[] = [];
  for (let i = 0; i < count; i++) {
    asked.push(world.ask(body(i)).done);
    await world.clock.advanceAsync(everyMs);
  }
  return world.until(Promise.all(asked));
}

const bodies = (world: VirtualWorld): Body[] => world.upstream.calls.map(bodyOf);
const carrying = (world: VirtualWorld, field: string): number => bodies(world).filter((body) => field in body).length;

/** Refusals of `stream_options` in the words of several servers. */
const REFUSALS: Record<string, SimulatedResponse> = {
  'its code': openai(400, 'unknown_parameter', 'invalid_request_error', 'm', 'stream_options'),
  'its param alone': json(400, { error: { message: 'Bad request', param: 'stream_options.include_usage' } }),
  'the words of Go': json(400, { error: 'json: unknown field "stream_options"' }),
  'a keyword argument and 500': json(500, { detail: "AsyncCompletions.create() got an unexpected keyword argument 'stream_options'" }),
  'a list of errors': json(422, {
    detail: [
      { type: 'missing', loc: ['body', 'extra'], msg: 'Field required' },
      { type: 'extra_forbidden', loc: ['body', 'stream_options'], msg: 'Extra inputs are not permitted' },
    ],
  }),
  'a text that is no JSON': {
    steps: [
      { do: 'head', status: 400, headers: { 'content-type': 'text/plain' } },
      { do: 'send', bytes: 'stream_options?' },
    ],
  },
  'an error in a stream': {
    steps: [
      { do: 'head', status: 200, headers: { 'content-type': 'text/event-stream' } },
      {
        do: 'send',
        bytes: 'data: {"error":{"message":"Unrecognized request argument supplied: stream_options","type":"invalid_request_error"}}\n\n',
      },
    ],
  },
};

describe('a target that refuses stream_options', { concurrency: 4 }, () => {
  for (const [name, refusal] of Object.entries(REFUSALS)) {
    it(`by ${name}: sixty streams, ten a second, one refusal`, async (t) => {
      const world = await startWith(t, refuses('stream_options', refusal));
      const seen = await load(world, 60, 100, () => ({ stream: true }));
      for (const { status, text } of seen) assert.deepEqual([status, contentOf(text)], [200, 'one two three']);
      assert.deepEqual([carrying(world, 'stream_options'), world.callsTo('a')], [1, 61]);
      assert.equal(seen[0]!.headers.get('x-breakwater-attempts'), '2');
      assert.equal(seen[1]!.headers.get('x-breakwater-attempts'), '1');
      const [target] = world.gateway.targets();
      assert.equal(target!.breaker.failureRatio, 0);
    });
  }

  it('without a reason: the error names nothing, and every caller is answered', async (t) => {
    const world = await startWith(t, refuses('stream_options', json(400, { error: { message: 'Bad request' } })));
    const seen = await load(world, 60, 100, () => ({ stream: true }));
    for (const { status } of seen) assert.equal(status, 200);
    assert.ok(carrying(world, 'stream_options') <= 3, `${carrying(world, 'stream_options')} refusals`);
  });

  it('with an empty 500: refused twice at most, and another target answers meanwhile', async (t) => {
    const world = await startWith(t, refuses('stream_options', json(500, '')), { b: answer });
    const seen = await load(world, 60, 100, () => ({ stream: true }));
    for (const { status } of seen) assert.equal(status, 200);
    assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [62, 1]);
    assert.equal(world.gateway.targets()[0]!.breaker.state, 'closed');
  });

  it('to requests at once: as many refusals as were in flight', async (t) => {
    const world = await startWith(t, refuses('stream_options', { ...REFUSALS['its code']!, connectMs: 20 }));
    const seen = await load(world, 30, 0, () => ({ stream: true }));
    for (const { status } of seen) assert.equal(status, 200);
    assert.deepEqual([carrying(world, 'stream_options'), world.callsTo('a')], [30, 60]);
    await load(world, 10, 10, () => ({ stream: true }));
    assert.equal(carrying(world, 'stream_options'), 30);
  });

  it('is answered with no retry budget and a single attempt allowed', async (t) => {
    const policy = { maxAttempts: 1, retry: { budget: { ratio: 0, minPerSecond: 0 } } };
    const world = await startWith(t, refuses('stream_options', REFUSALS['its code']!), { config: { policy } });
    const seen = await world.answerTo({ stream: true });
    assert.deepEqual([seen.status, seen.headers.get('x-breakwater-attempts')], [200, '2']);
  });

  for (const [name, refusal] of [
    ['by its code', REFUSALS['its code']!],
    ['without a reason', json(400, { error: { message: 'Bad request' } })],
  ] as const) {
    it(`${name}, of a call and its hedge: the field is left out of later requests`, async (t) => {
      const slowly: SimulatedResponse = { steps: [{ do: 'wait', ms: 600 }, ...refusal.steps] };
      const policy = { hedge: { enabled: true, delay: '500ms', budget: 1 } } as const;
      const world = await startWith(t, refuses('stream_options', slowly), { config: { policy } });
      const first = await world.answerTo({ stream: true });
      assert.deepEqual([first.status, first.headers.get('x-breakwater-attempts'), carrying(world, 'stream_options')], [200, '3', 2]);
      const notes = world.eventsOf('note').map(({ note }) => note);
      assert.ok(!notes.some((note) => note.startsWith('the same error')), 'the hedge was sent before the change');
      const seen = await load(world, 3, 3000, () => ({ stream: true }));
      for (const { status } of seen) assert.equal(status, 200);
      assert.ok(carrying(world, 'stream_options') <= 4, 'but for one probe and its hedge');
    });
  }

  it('is not learned from a hedge that was sent with the field and answered', async (t) => {
    const refusal: SimulatedResponse = { steps: [{ do: 'wait', ms: 600 }, ...json(400, { error: { message: 'Bad request' } }).steps] };
    const policy = { hedge: { enabled: true, delay: '500ms', budget: 1 } } as const;
    let calls = 0;
    const world = await startWith(t, () => (++calls === 1 ? refusal : chatStream({ headersAfterMs: 400 })), { config: { policy } });
    const first = await world.answerTo({ stream: true });
    assert.deepEqual([first.status, first.headers.get('x-breakwater-attempts'), calls], [200, '2', 2]);
    await load(world, 3, 0, () => ({ stream: true }));
    assert.equal(carrying(world, 'stream_options'), 5);
  });

  for (const [when, ms] of [
    ['before', 50],
    ['after', 200],
  ] as const) {
    it(`is not repeated where a hedge at the same target is refused for good ${when} it`, async (t) => {
      const after = (wait: number, { steps }: SimulatedResponse): SimulatedResponse => ({ steps: [{ do: 'wait', ms: wait }, ...steps] });
      const refusal = after(600, json(400, { error: { message: 'Unknown parameter: stream_options' } }));
      const hedged = after(ms, json(401, { error: { message: 'Incorrect API key provided', code: 'invalid_api_key' } }));
      const policy = { hedge: { enabled: true, delay: '500ms', budget: 1 } } as const;
      let calls = 0;
      const world = await startWith(t, () => (++calls === 1 ? refusal : hedged), { config: { policy } });
      await world.answerTo({ stream: true });
      assert.equal(calls, 2);
    });
  }

  it('is probed with one request in ten minutes, and gets the field again once it takes it', async (t) => {
    let takes = false;
    const refusal = REFUSALS['its code']!;
    const world = await startWith(t, (body) => (!takes && 'stream_options' in body ? refusal : answer(body)));
    await load(world, 60, MINUTE / 2, () => ({ stream: true }));
    assert.ok(carrying(world, 'stream_options') >= 3 && carrying(world, 'stream_options') <= 4);
    takes = true;
    const before = world.upstream.calls.length;
    await load(world, 60, MINUTE / 2, () => ({ stream: true }));
    const later = bodies(world).slice(before);
    assert.ok(later.filter((body) => 'stream_options' in body).length >= 39);
    assert.equal(later.length, 60);
  });

  it('beside the own stream_options of the caller: these are sent as they came', async (t) => {
    const refusal = openai(400, 'unknown_parameter', 'x', 'm', 'stream_options.include_usage');
    const world = await startWith(t, (body) =>
      'include_usage' in ((body['stream_options'] as Body | undefined) ?? {}) ? refusal : answer(body),
    );
    for (let i = 0; i < 3; i++) {
      const seen = await world.answerTo({ stream: true, stream_options: { include_obfuscation: false } });
      assert.equal(seen.status, 200);
    }
    assert.equal(world.callsTo('a'), 4);
    assert.deepEqual(bodies(world).at(-1)!['stream_options'], { include_obfuscation: false });
  });
});

describe('a caller that sends stream_options itself to a target that refuses it', () => {
  it('has it left out, and others are not asked for usage', async (t) => {
    const world = await startWith(t, refuses('stream_options', REFUSALS['its code']!));
    const own = await world.answerTo({ stream: true, stream_options: { include_obfuscation: false } });
    assert.deepEqual([own.status, own.headers.get('x-breakwater-dropped')], [200, 'stream_options']);
    for (let i = 0; i < 5; i++) assert.equal((await world.answerTo({ stream: true })).status, 200);
    assert.equal((await world.answerTo({ stream: true, stream_options: { include_usage: true } })).status, 200);
    assert.ok(carrying(world, 'stream_options') <= 3, `${carrying(world, 'stream_options')} refusals`);
  });
});

describe('an error that is not about what we added', { concurrency: 4 }, () => {
  const bad = json(400, { error: { message: 'Something is wrong' } });

  it('is asked once more without it while nothing is known of the target, and no more after that', async (t) => {
    const world = await startWith(t, () => bad);
    const seen = await load(world, 20, 100, () => ({ stream: true }));
    for (const { status, text } of seen) assert.deepEqual([status, errorOf(text).message], [400, 'Something is wrong']);
    assert.equal(world.callsTo('a'), 21);
    assert.equal(seen[0]!.headers.get('x-breakwater-attempts'), '2');
  });

  it('costs one call where the target has accepted our edits lately', async (t) => {
    const world = await startWith(t, (body) => (body['user'] === 'bad' ? bad : answer(body)));
    await world.answerTo({ stream: true });
    for (let i = 0; i < 5; i++) assert.equal((await world.answerTo({ stream: true, user: 'bad' })).status, 400);
    assert.equal(world.callsTo('a'), 6);
    assert.equal(carrying(world, 'stream_options'), 6);
  });

  it('but names it: asked once more, and not again for the same error', async (t) => {
    const named = json(400, { error: { message: 'The conversation says stream_options, which I do not like' } });
    const world = await startWith(t, (body) => (body['user'] === 'bad' ? named : answer(body)));
    for (let i = 0; i < 5; i++) assert.equal((await world.answerTo({ stream: true, user: 'bad' })).status, 400);
    assert.equal(world.callsTo('a'), 6);
    await world.answerTo({ stream: true });
    assert.ok('stream_options' in bodies(world).at(-1)!, 'nothing was learned');
  });

  it('and sends the request back: what stands in that names nothing', async (t) => {
    const world = await startWith(t, (body) =>
      json(422, { detail: [{ type: 'missing', loc: ['body', 'messages'], msg: 'Field required', input: body }] }),
    );
    assert.equal((await world.answerTo({ stream: true })).status, 422);
    assert.equal(world.callsTo('a'), 1);
  });

  it('is no proof against the next error: a target whose first request was bad gets the same care', async (t) => {
    const refusal = json(400, { error: { message: 'Bad request' } });
    const world = await startWith(t, (body) => (body['user'] === 'bad' ? bad : 'stream_options' in body ? refusal : answer(body)));
    assert.equal((await world.answerTo({ stream: true, user: 'bad' })).status, 400);
    for (let i = 0; i < 5; i++) assert.equal((await world.answerTo({ stream: true })).status, 200);
  });

  it('and that no edit of ours came with costs one call', async (t) => {
    const world = await startWith(t, () => bad);
    assert.equal((await world.answerTo()).status, 400);
    assert.equal((await world.answerTo({ stream: true, stream_options: { include_usage: true } })).status, 400);
    assert.equal(world.callsTo('a'), 2);
  });

  for (const [name, error] of Object.entries({
    'a limit': json(429, { error: { message: 'stream_options' } }),
    'a bad key': json(401, { error: { message: 'stream_options' } }),
    'a context too long': openai(400, 'context_length_exceeded', 'x'),
    'a field of the caller that is missing': openai(
      400,
      'missing_required_parameter',
      'x',
      "Missing required parameter: 'messages'.",
      'messages',
    ),
  })) {
    it(`as ${name} is not taken for one`, async (t) => {
      const world = await startWith(t, () => error, { b: answer });
      await world.answerTo({ stream: true });
      assert.equal(world.callsTo('a'), 1);
    });
  }
});

describe('the output limit', { concurrency: 4 }, () => {
  const useOther = (refused: string, other: string): SimulatedResponse =>
    openai(
      400,
      'unsupported_parameter',
      'invalid_request_error',
      `Unsupported parameter: '${refused}' is not supported with this model. Use '${other}' instead.`,
      refused,
    );
  const forms: Record<string, (refused: string, other: string) => SimulatedResponse> = {
    'by its code': useOther,
    'by its code alone': (refused) => openai(400, 'unsupported_parameter', 'x', 'm', refused),
    'in words': (refused, other) => json(400, { error: { message: `${refused} is deprecated here: please use ${other} instead` } }),
    'as an unknown field': (refused) =>
      json(422, { detail: [{ type: 'extra_forbidden', loc: ['body', refused], msg: 'Extra inputs are not permitted' }] }),
  };
  for (const [how, form] of Object.entries(forms)) {
    for (const [refused, other] of [
      ['max_tokens', 'max_completion_tokens'],
      ['max_completion_tokens', 'max_tokens'],
    ] as const) {
      it(`${refused}, refused ${how}, is sent as ${other} with its value, from the second call on`, async (t) => {
        const world = await startWith(t, refuses(refused, form(refused, other)));
        const seen = await load(world, 20, 100, () => ({ max_tokens: undefined, [refused]: 77 }));
        for (const { status } of seen) assert.equal(status, 200);
        assert.equal(world.callsTo('a'), 21);
        for (const body of bodies(world).slice(1)) assert.deepEqual([body[other], refused in body], [77, false]);
        assert.equal(seen[5]!.headers.get('x-breakwater-dropped'), null);
      });
    }
  }

  it('refused under both names: another target is asked with what the caller sent', async (t) => {
    const a: Script = (body) => useOther('max_tokens' in body ? 'max_tokens' : 'max_completion_tokens', 'x');
    const world = await startWith(t, a, { b: answer });
    const seen = await world.answerTo();
    assert.equal(seen.headers.get('x-breakwater-target'), 'b/m');
    assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [2, 1]);
    for (const body of bodies(world)) assert.ok('max_tokens' in body || 'max_completion_tokens' in body);
    assert.equal(bodies(world).at(-1)!['max_tokens'], 20);
  });

  it('sent under both names keeps the one that is taken', async (t) => {
    const world = await startWith(t, refuses('max_tokens', useOther('max_tokens', 'max_completion_tokens')));
    assert.equal((await world.answerTo({ max_tokens: 20, max_completion_tokens: 30 })).status, 200);
    const last = bodies(world).at(-1)!;
    assert.deepEqual([last['max_completion_tokens'], 'max_tokens' in last], [30, false]);
  });

  it('that the route sets is renamed too', async (t) => {
    const models = { fast: [{ target: 'a/m', set: { max_tokens: 5 } }] };
    const world = await startWith(t, refuses('max_tokens', useOther('max_tokens', 'max_completion_tokens')), { models });
    for (let i = 0; i < 3; i++) assert.equal((await world.answerTo()).status, 200);
    assert.equal(world.callsTo('a'), 4);
    assert.equal(bodies(world).at(-1)!['max_completion_tokens'], 5);
  });

  it('goes under its own name again once the target has changed its mind', async (t) => {
    let refused = 'max_tokens';
    const other = () => (refused === 'max_tokens' ? 'max_completion_tokens' : 'max_tokens');
    const world = await startWith(t, (body) => (refused in body ? useOther(refused, other()) : answer(body)));
    await world.answerTo();
    refused = 'max_completion_tokens';
    for (let i = 0; i < 3; i++) assert.equal((await world.answerTo()).status, 200);
    assert.equal(world.callsTo('a'), 2 + 4);
    assert.equal(bodies(world).at(-1)!['max_tokens'], 20);
  });

  it('that is too large is no name to be exchanged', async (t) => {
    const message =
      "'max_tokens' or 'max_completion_tokens' is too large: 32000. This model's maximum context length is 16384 tokens and your request has 9 input tokens.";
    const world = await startWith(t, () => openai(400, null, 'BadRequestError', message, 'max_tokens'), { b: answer });
    const seen = await world.answerTo();
    assert.equal(seen.headers.get('x-breakwater-target'), 'b/m');
    assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 1]);
  });
});

describe('a field that a route sets', { concurrency: 4 }, () => {
  const models = { fast: [{ target: 'a/m', set: { temperature: 1, top_k: 5 } }] };

  it('and the target refuses is not set any more; the others are', async (t) => {
    const refusal = json(400, { error: { message: 'top_k must not be given' } });
    const world = await startWith(t, refuses('top_k', refusal), { models });
    const seen = await load(world, 20, 100, () => ({}));
    for (const { status } of seen) assert.equal(status, 200);
    assert.deepEqual([world.callsTo('a'), carrying(world, 'top_k'), carrying(world, 'temperature')], [21, 1, 21]);
  });

  it('and the target refuses gives way to what the caller sent, and that is left out if it is refused too', async (t) => {
    const refusal = openai(400, 'unsupported_parameter', 'x', 'm', 'temperature');
    const world = await startWith(t, refuses('temperature', refusal), { models });
    const seen = await world.answerTo({ temperature: 0.2 });
    assert.deepEqual([seen.status, seen.headers.get('x-breakwater-dropped')], [200, 'temperature']);
    assert.deepEqual(
      bodies(world).map((body) => body['temperature']),
      [1, 0.2, undefined],
    );
    await world.answerTo({ temperature: 0.2 });
    assert.equal(world.callsTo('a'), 4);
  });

  it('refused without a word of which: all are answered, and what the target takes is set again', async (t) => {
    const world = await startWith(t, refuses('top_k', json(400, { error: 'bad' })), { models });
    const seen = await load(world, 20, 100, () => ({}));
    for (const { status } of seen) assert.equal(status, 200);
    assert.ok(carrying(world, 'top_k') <= 3, `${carrying(world, 'top_k')} refusals`);
    const last = bodies(world).at(-1)!;
    assert.deepEqual([last['temperature'], 'top_k' in last], [1, false]);
  });
});

describe("a field of the caller's that a target does not take", { concurrency: 4 }, () => {
  const unsupported = openai(400, 'unsupported_parameter', 'invalid_request_error', 'm', 'temperature');

  it('is refused once for all requests; each is told what was left out', async (t) => {
    const world = await startWith(t, refuses('temperature', unsupported));
    const seen = await load(world, 60, 100, (i) => ({ temperature: i / 60 }));
    for (const { status, headers } of seen) assert.deepEqual([status, headers.get('x-breakwater-dropped')], [200, 'temperature']);
    assert.deepEqual([world.callsTo('a'), carrying(world, 'temperature')], [61, 1]);
    assert.equal(world.eventsOf('note').filter(({ note }) => /^temperature left out/.test(note)).length, 60);
  });

  for (const message of [
    "Unrecognized key(s) in object: 'top_k'",
    'Failed to deserialize the JSON body into the target type: unknown field `top_k`, expected one of `model`, `messages`',
    "Additional properties are not allowed ('top_k' was unexpected)",
    'This model does not support the top_k parameter.',
    'The parameter `top_k` is no longer supported',
    '`top_k` is not permitted for this model',
  ]) {
    it(`named in a sentence alone: ${message}`, async (t) => {
      const world = await startWith(t, refuses('top_k', json(400, { error: { message } })));
      const seen = await load(world, 10, 100, () => ({ top_k: 40 }));
      for (const { status, headers } of seen) assert.deepEqual([status, headers.get('x-breakwater-dropped')], [200, 'top_k']);
      assert.deepEqual([world.callsTo('a'), carrying(world, 'top_k')], [11, 1]);
    });
  }

  it('and that a request does not have is not told of', async (t) => {
    const world = await startWith(t, refuses('temperature', unsupported));
    await world.answerTo({ temperature: 1 });
    const seen = await world.answerTo();
    assert.equal(seen.headers.get('x-breakwater-dropped'), null);
  });

  it('with one value is left out where it has that value', async (t) => {
    const refusal = openai(400, 'unsupported_value', 'x', 'm', 'reasoning_effort');
    const world = await startWith(t, (body) => (body['reasoning_effort'] === 'minimal' ? refusal : answer(body)));
    for (const effort of ['minimal', 'low', 'minimal', 'low'])
      assert.equal((await world.answerTo({ reasoning_effort: effort })).status, 200);
    assert.deepEqual(
      bodies(world).map((body) => body['reasoning_effort']),
      ['minimal', undefined, 'low', undefined, 'low'],
    );
  });

  it('with every value but the default is left out whatever its value', async (t) => {
    const message = "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.";
    const refusal = openai(400, 'unsupported_value', 'invalid_request_error', message, 'temperature');
    const world = await startWith(t, refuses('temperature', refusal));
    const seen = await load(world, 60, 100, (i) => ({ temperature: i / 60 }));
    for (const { status } of seen) assert.equal(status, 200);
    assert.equal(world.callsTo('a'), 61);
  });

  it('with many values is refused a few times', async (t) => {
    const world = await startWith(t, refuses('temperature', openai(400, 'unsupported_value', 'x', 'm', 'temperature')));
    const seen = await load(world, 60, 100, (i) => ({ temperature: i / 60 }));
    for (const { status } of seen) assert.equal(status, 200);
    assert.ok(carrying(world, 'temperature') <= 3);
  });

  it('that changes the shape of vectors is never left out', async (t) => {
    for (const field of ['dimensions', 'encoding_format']) {
      const world = await startWith(t, () => openai(400, 'unsupported_parameter', 'x', 'm', field));
      assert.equal((await world.answerTo({ [field]: 1 })).status, 400);
      assert.equal(world.callsTo('a'), 1);
    }
  });

  it('is sent to another target as it came', async (t) => {
    const a: Script = (body) => ('temperature' in body ? unsupported : json(500, ''));
    const world = await startWith(t, a, { b: answer });
    const seen = await world.answerTo({ temperature: 0.2 });
    assert.equal(seen.headers.get('x-breakwater-target'), 'b/m');
    assert.equal(seen.headers.get('x-breakwater-fallback'), 'server_error');
    assert.equal(seen.headers.get('x-breakwater-dropped'), null);
    assert.equal(bodies(world).at(-1)!['temperature'], 0.2);
  });

  it('is sent again when the target asks for it', async (t) => {
    let needs = false;
    const missing = openai(400, 'missing_required_parameter', 'x', "Missing required parameter: 'seed'.", 'seed');
    const refusal = openai(400, 'unsupported_parameter', 'x', 'm', 'seed');
    const world = await startWith(t, (body) => (needs === 'seed' in body ? answer(body) : needs ? missing : refusal));
    await world.answerTo({ seed: 1 });
    needs = true;
    for (let i = 0; i < 3; i++) assert.equal((await world.answerTo({ seed: 1 })).status, 200);
    assert.equal(world.callsTo('a'), 2 + 4);
  });

  it('one of many: a request is repaired eight times at most', async (t) => {
    const fields = Array.from({ length: 12 }, (_, i) => `x_${i}`);
    const a: Script = (body) => {
      const field = fields.find((name) => name in body);
      return field === undefined ? answer(body) : openai(400, 'unknown_parameter', 'x', 'm', field);
    };
    const world = await startWith(t, a);
    const seen = await world.answerTo(Object.fromEntries(fields.map((name) => [name, 1])));
    assert.deepEqual([seen.status, world.callsTo('a')], [400, 9]);
    const next = await world.answerTo(Object.fromEntries(fields.map((name) => [name, 1])));
    assert.equal(next.status, 200);
  });

  it('is told in a comment where the headers have gone out already', async (t) => {
    const a: Script = (body) => ('temperature' in body ? { steps: [{ do: 'wait', ms: 30_000 }, ...unsupported.steps] } : answer(body));
    const world = await startWith(t, a);
    const seen = await world.answerTo({ temperature: 1, stream: true });
    assert.match(seen.text, /: breakwater target=a\/m attempts=2 dropped=temperature\n/);
  });

  it('at the first choice, while a hedge answers: the reason is told', async (t) => {
    const policy = { hedge: { enabled: true, delay: '50ms', budget: 1 } };
    const late = { ...unsupported, connectMs: 100 };
    const slow: Script = (body) => ('temperature' in body ? late : chatResponse({ headersAfterMs: 2000 }));
    const world = await startWith(t, slow, { b: () => chatResponse({ headersAfterMs: 500 }), config: { policy } });
    await world.answerTo();
    const seen = await world.answerTo({ temperature: 1 });
    assert.deepEqual([seen.headers.get('x-breakwater-target'), seen.headers.get('x-breakwater-fallback')], ['b/m', 'unsupported']);
  });

  it('at the first choice, beside a hedge that is silent: it is asked again at once', async (t) => {
    const policy = { hedge: { enabled: true, delay: '50ms', budget: 1 } };
    const late = { ...unsupported, connectMs: 100 };
    const silent: SimulatedResponse = { steps: [{ do: 'wait', ms: 60_000 }, ...chatResponse().steps] };
    const world = await startWith(t, refuses('temperature', late), { b: () => silent, config: { policy } });
    await world.answerTo();
    const seen = await world.answerTo({ temperature: 1 });
    assert.deepEqual([seen.headers.get('x-breakwater-target'), seen.headers.get('x-breakwater-fallback')], ['a/m', null]);
    assert.ok(seen.endAtMs < 500, `${seen.endAtMs} ms`);
    assert.equal(seen.headers.get('x-breakwater-attempts'), '3');
    await world.clock.advanceAsync(1000);
    assert.equal(world.gateway.queue().inFlight, 0, 'the hedge is closed');
  });

  it('beside a rescue that is silent: it is asked again at once, and the rescue may answer all the same', async (t) => {
    for (const isFirstQuick of [true, false]) {
      const late: SimulatedResponse = { steps: [{ do: 'wait', ms: 40_000 }, ...unsupported.steps] };
      const again = chatResponse({ headersAfterMs: isFirstQuick ? 100 : 60_000 });
      const world = await startWith(t, (body) => ('temperature' in body ? late : again), {
        b: () => chatResponse({ headersAfterMs: 15_000 }),
      });
      const seen = await world.answerTo({ temperature: 1 });
      assert.equal(seen.headers.get('x-breakwater-target'), isFirstQuick ? 'a/m' : 'b/m');
      assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [2, 1]);
      await world.clock.advanceAsync(1000);
      assert.equal(world.gateway.queue().inFlight, 0);
    }
  });

  it('is learned by a hedge that loses, and no more', async (t) => {
    const policy = { hedge: { enabled: true, delay: '50ms', budget: 1 } };
    const slow: Script = (body) => chatResponse({ headersAfterMs: 200, words: [String(body['temperature'])] });
    const world = await startWith(t, slow, { b: refuses('temperature', unsupported), config: { policy } });
    for (let i = 0; i < 20; i++) assert.equal((await world.answerTo({ temperature: 1 })).status, 200);
    assert.ok(bodies(world).length <= 41);
    assert.equal(world.gateway.queue().inFlight, 0);
  });
});
