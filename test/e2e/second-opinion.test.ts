/** Refusals that no rule knows: which targets are asked, how often, and whose error the caller gets. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { chatResponse, chatStream, silence } from '../../src/testing/index.ts';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/index.ts';
import { json, openai } from './provider-bodies.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualOptions, VirtualWorld } from './virtual.ts';
import { contentOf, errorOf } from './world.ts';

const MINUTE = 60_000;

type Script = (call: SimulatedCall) => SimulatedResponse;

const isStream = ({ body }: SimulatedCall): boolean => (JSON.parse(body) as { stream?: boolean }).stream === true;
const healthy: Script = (call) => (isStream(call) ? chatStream() : chatResponse());
const inStream = (error: object): SimulatedResponse => ({
  steps: [
    { do: 'head', status: 200, headers: { 'content-type': 'text/event-stream' } },
    { do: 'send', bytes: `data: ${JSON.stringify({ error })}\n\n` },
  ],
});

function start(
  t: TestContext,
  scripts: Record<string, SimulatedResponse | Script>,
  more: Partial<VirtualOptions> = {},
): Promise<VirtualWorld> {
  const providers = Object.fromEntries(
    Object.entries(scripts).map(([name, script]) => [name, typeof script === 'function' ? script : () => script]),
  );
  return startVirtualWorld(t, { providers, ...more });
}

function statusOf({ steps }: SimulatedResponse): number {
  for (const step of steps) if (step.do === 'head') return step.status;
  throw new Error('an answer without a head');
}

function bytesOf({ steps }: SimulatedResponse): string {
  return [...steps].map((step) => (step.do === 'send' ? String(step.bytes) : '')).join('');
}

const counts = (world: VirtualWorld, ...names: string[]): number[] => names.map((name) => world.callsTo(name));

/** Refusals that may be the target's own. */
const UNKNOWN: Record<string, SimulatedResponse> = {
  'an output limit above the context': openai(
    400,
    null,
    'BadRequestError',
    "'max_tokens' or 'max_completion_tokens' is too large: 32000. This model's maximum context length is 16384 tokens and your request has 12 input tokens.",
  ),
  'a prompt limit as a string': json(400, {
    code: 'Client specified an invalid argument',
    error: "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
  }),
  'a token limit': openai(400, null, 'invalid_request_error', 'Invalid request: Your request exceeded model token limit: 8192'),
  'a retired model': openai(400, 'model_decommissioned', 'invalid_request_error', 'The model `x` has been decommissioned.'),
  'a model that it does not know': json(400, { error: { message: 'foo/bar is not a valid model ID', code: 400 } }),
  'a slip of the model': openai(400, 'tool_use_failed', 'invalid_request_error', "Failed to call a function. See 'failed_generation'."),
  'a role, as serde names it': openai(
    400,
    'invalid_request_error',
    'invalid_request_error',
    'Failed to deserialize the JSON body into the target type: messages[0].role: unknown variant `developer`, expected one of `system`, `user`, `assistant`, `tool` at line 1 column 66',
  ),
  'a role, as OpenAI names it': openai(
    400,
    'invalid_value',
    'invalid_request_error',
    "Invalid value: 'developer'. Supported values are: 'system', 'assistant', 'user', 'function', and 'tool'.",
    'messages[0].role',
  ),
  'a role, as Pydantic names it': json(422, {
    detail: [
      { type: 'literal_error', loc: ['body', 'messages', 0, 'role'], msg: "Input should be 'system', 'user', 'assistant' or 'tool'" },
    ],
  }),
  'a role, as Groq names it': openai(
    400,
    null,
    'invalid_request_error',
    "'messages.0' : for 'role:developer' the following must be satisfied[('messages.0' : discriminator property 'role' has invalid value)]",
  ),
  'a range that is its own': openai(400, null, 'invalid_request_error', 'temperature: range: 0..1'),
  'nothing but its status': json(400, ''),
  'a web page': {
    steps: [
      { do: 'head', status: 400, headers: { 'content-type': 'text/html' } },
      { do: 'send', bytes: '<html><title>Bad Request</title></html>' },
    ],
  },
  'an array': json(422, [{ error: { message: 'no' } }]),
  'a nested text': json(400, { error: { message: JSON.stringify({ error: { message: 'upstream says no' } }) } }),
  'a teapot': json(418, { error: {} }),
  'a body that is too large for it': json(413, '<html><title>413 Request Entity Too Large</title></html>'),
  'a model that is gone': json(410, { error: { message: 'gone' } }),
};

describe('a refusal that no rule knows', { concurrency: 4 }, () => {
  for (const [name, refusal] of Object.entries(UNKNOWN)) {
    it(`${name}: a healthy target is asked, and answers`, async (t) => {
      const world = await start(t, { a: refusal, b: healthy });
      const seen = await world.answerTo();
      assert.deepEqual([seen.status, seen.headers.get('x-breakwater-target')], [200, 'b/m']);
      assert.deepEqual([seen.headers.get('x-breakwater-fallback'), seen.headers.get('x-breakwater-attempts')], ['refused', '2']);
      assert.deepEqual(counts(world, 'a', 'b'), [1, 1]);
      const [target] = world.gateway.targets();
      assert.deepEqual([target!.breaker.failureRatio, target!.quarantinedMs, target!.cooldownMs], [0, 0, 0]);
    });

    it(`${name}: alone, one call, and its own error`, async (t) => {
      const world = await start(t, { a: refusal });
      const seen = await world.answerTo();
      assert.deepEqual([seen.status, world.callsTo('a')], [statusOf(refusal), 1]);
      assert.notEqual(errorOf(seen.text).message, '');
      if (bytesOf(refusal).startsWith('{"error":{')) assert.equal(seen.text, bytesOf(refusal));
      assert.equal(seen.headers.get('x-should-retry'), 'false');
    });

    it(`${name}: refused by a second target too, and the first error is the caller's for ten minutes`, async (t) => {
      const second = openai(400, null, 'x', 'no, says the second');
      const world = await start(t, { a: refusal, b: second, c: healthy });
      const first = await world.answerTo();
      assert.equal(first.status, statusOf(refusal));
      assert.doesNotMatch(first.text, /says the second/);
      assert.deepEqual(counts(world, 'a', 'b', 'c'), [1, 1, 0]);
      for (let i = 0; i < 10; i++) assert.equal((await world.answerTo()).text, first.text);
      assert.deepEqual(counts(world, 'a', 'b', 'c'), [11, 1, 0]);
      await world.clock.advanceAsync(10 * MINUTE);
      await world.answerTo();
      assert.deepEqual(counts(world, 'a', 'b', 'c'), [12, 2, 0]);
    });
  }

  it('a 407 alone: one call, and 502 with its words, for a 407 would be about a proxy of the caller', async (t) => {
    const world = await start(t, { a: json(407, { error: { message: 'proxy authentication required' } }) });
    const seen = await world.answerTo();
    assert.deepEqual([seen.status, world.callsTo('a')], [502, 1]);
    assert.equal(errorOf(seen.text).message, 'proxy authentication required');
    assert.equal(seen.headers.get('x-should-retry'), 'false');
  });

  it('in a stream, as its first event: a healthy target is asked', async (t) => {
    const error = { message: 'Your request exceeded model token limit: 8192', type: 'invalid_request_error', code: null };
    for (const refusal of [
      inStream(error),
      inStream({ message: 'm', code: 'tool_use_failed' }),
      inStream({ message: 'm', code: 'model_decommissioned' }),
      inStream({ code: 400, message: 'no' }),
      inStream({ message: "This model's maximum prompt length is 131072 but the request contains 537812 tokens." }),
    ]) {
      const world = await start(t, { a: refusal, b: healthy });
      const seen = await world.answerTo({ stream: true, stream_options: { include_usage: true } });
      assert.equal(contentOf(seen.text), 'one two three');
      assert.deepEqual(counts(world, 'a', 'b'), [1, 1]);
      assert.equal(world.gateway.targets()[0]!.breaker.failureRatio, 0);
    }
  });

  it('in a stream that is kept alive already: the first error is told in it', async (t) => {
    const late = (message: string): SimulatedResponse => ({
      steps: [{ do: 'wait', ms: 30_000 }, ...json(400, { error: { message } }).steps],
    });
    const world = await start(t, { a: late('first'), b: late('second') });
    const seen = await world.answerTo({ stream: true, stream_options: { include_usage: true } });
    assert.deepEqual([seen.status, errorOf(seen.text).message], [200, 'first']);
    assert.deepEqual(counts(world, 'a', 'b'), [1, 1]);
  });
});

describe('the second opinion', { concurrency: 4 }, () => {
  const no = openai(400, null, 'x', 'no, says the first');

  const others: Record<string, SimulatedResponse> = {
    'a server error': json(500, { error: { message: 'm' } }),
    'a broken connection': { steps: [{ do: 'break', code: 'ECONNRESET' }] },
    'a bad key': json(401, { error: { message: 'm' } }),
    'no money': json(402, { error: { message: 'm' } }),
    'a limit of a minute': json(429, { error: { message: 'm' } }, { 'retry-after': '3600' }),
    'an unknown model': openai(404, 'model_not_found', 'x'),
    garbage: json(200, '{'),
  };
  for (const [name, other] of Object.entries(others)) {
    it(`that fails by ${name} is none: a third target is asked`, async (t) => {
      const world = await start(t, { a: no, b: other, c: healthy });
      const seen = await world.answerTo();
      assert.deepEqual([seen.status, seen.headers.get('x-breakwater-target')], [200, 'c/m']);
      assert.deepEqual(counts(world, 'a', 'b', 'c'), [1, 1, 1]);
    });

    it(`that fails by ${name}, with nobody else: the first error ends the request`, async (t) => {
      const world = await start(t, { a: no, b: other });
      const seen = await world.answerTo();
      assert.deepEqual([seen.status, errorOf(seen.text).message], [400, 'no, says the first']);
      assert.equal(seen.headers.get('retry-after'), null);
      assert.equal(world.callsTo('a'), 1);
    });
  }

  it('that is silent until the deadline: the first error ends the request', async (t) => {
    const world = await start(t, { a: no, b: silence });
    const seen = await world.answerTo({}, { 'x-breakwater-deadline-ms': '5000' });
    assert.deepEqual([seen.status, errorOf(seen.text).message], [400, 'no, says the first']);
    assert.ok(seen.endAtMs <= 5_000);
  });

  it('that is limited until after the deadline: the first error ends the request', async (t) => {
    const world = await start(t, { a: no, b: json(429, { error: {} }, { 'retry-after': '30' }) });
    await world.answerTo({}, { 'x-breakwater-deadline-ms': '5000' });
    const seen = await world.answerTo({}, { 'x-breakwater-deadline-ms': '5000' });
    assert.deepEqual([seen.status, errorOf(seen.text).message], [400, 'no, says the first']);
  });

  it('of a later target counts after one that failed otherwise', async (t) => {
    const world = await start(t, { a: no, b: json(500, {}), c: openai(422, null, 'x', 'third'), d: healthy });
    const seen = await world.answerTo();
    assert.deepEqual([seen.status, errorOf(seen.text).message], [400, 'no, says the first']);
    assert.deepEqual(counts(world, 'a', 'b', 'c', 'd'), [1, 1, 1, 0]);
  });

  it('leaves the first error that lies in the request, if that was a known one', async (t) => {
    const context = openai(400, 'context_length_exceeded', 'invalid_request_error', 'too long');
    const world = await start(t, { a: context, b: no, c: openai(400, null, 'x', 'third') });
    const seen = await world.answerTo();
    assert.deepEqual([seen.status, errorOf(seen.text).code], [400, 'context_length_exceeded']);
    assert.deepEqual(counts(world, 'a', 'b', 'c'), [1, 1, 1]);
  });

  it('is not asked of another key of the same target', async (t) => {
    const world = await start(t, { a: no }, { keys: ['k1', 'k2'] });
    assert.equal((await world.answerTo()).status, 400);
    assert.equal(world.callsTo('a'), 1);
  });

  it('is asked of another model of the same provider', async (t) => {
    const a: Script = (call) => (call.body.includes('"small"') ? no : chatResponse());
    const world = await start(t, { a }, { models: { fast: ['a/small', 'a/large'] } });
    assert.equal((await world.answerTo()).headers.get('x-breakwater-target'), 'a/large');
  });

  it('stays within the first tier where the caller wants no fallback', async (t) => {
    const world = await start(t, { a: no, b: healthy });
    assert.equal((await world.answerTo({}, { 'x-breakwater-fallback': 'off' })).status, 400);
    assert.deepEqual(counts(world, 'a', 'b'), [1, 0]);
  });

  it('is not asked beyond maxAttempts', async (t) => {
    const world = await start(t, { a: no, b: healthy }, { config: { policy: { maxAttempts: 1 } } });
    assert.equal((await world.answerTo()).status, 400);
    assert.deepEqual(counts(world, 'a', 'b'), [1, 0]);
  });

  it('is not asked about a fault that is surely the caller’s', async (t) => {
    const faults = [
      openai(400, null, 'invalid_request_error', 'We could not parse the JSON body of your request.'),
      openai(
        400,
        'missing_required_parameter',
        'invalid_request_error',
        "Missing required parameter: 'messages[0].content'.",
        'messages[0].content',
      ),
      openai(
        400,
        'invalid_type',
        'invalid_request_error',
        "Invalid type for 'temperature': expected a decimal, but got a string instead.",
        'temperature',
      ),
      json(422, { detail: [{ type: 'missing', loc: ['body', 'messages'], msg: 'Field required', input: {} }] }),
      openai(400, null, 'invalid_request_error', "'x' is not of type 'number' - 'temperature'"),
      openai(400, null, 'invalid_request_error', "'messages' is a required property"),
    ];
    for (const fault of faults) {
      const world = await start(t, { a: fault, b: healthy });
      const seen = await world.answerTo({ stream: true });
      assert.equal(seen.status, statusOf(fault));
      assert.deepEqual(counts(world, 'a', 'b'), [1, 0], seen.text);
    }
  });

  it('that answers leaves nothing behind: the next one is asked too', async (t) => {
    const world = await start(t, { a: no, b: healthy });
    for (let i = 0; i < 5; i++) assert.equal((await world.answerTo()).headers.get('x-breakwater-target'), 'b/m');
    assert.deepEqual(counts(world, 'a', 'b'), [5, 5]);
  });

  it('holds for the kind of error: other errors of the same target get their own', async (t) => {
    let code = 'one';
    const world = await start(t, { a: () => openai(400, code, 'x', `at ${Math.sqrt(code.length)} of "${code}"`), b: no });
    await world.answerTo();
    await world.answerTo();
    assert.deepEqual(counts(world, 'a', 'b'), [2, 1]);
    code = 'two';
    await world.answerTo();
    assert.deepEqual(counts(world, 'a', 'b'), [3, 2]);
  });

  it('is asked again for one refusal in fifty: a target that has begun to refuse everything holds nobody back for long', async (t) => {
    let healed = false;
    const world = await start(t, { a: no, b: (call) => (healed ? healthy(call) : no) });
    await world.answerTo();
    healed = true;
    const seen = [];
    for (let i = 0; i < 100; i++) seen.push((await world.answerTo()).status);
    assert.equal(seen.filter((status) => status === 200).length, 2);
  });

  it('is told to operators: a metric, and a warning once in ten minutes', async (t) => {
    const world = await start(t, { a: no, b: healthy });
    const warnings = () => world.eventsOf('note').filter(({ notable, note }) => notable === 'warn' && /^unknown error/.test(note));
    for (let i = 0; i < 5; i++) await world.answerTo();
    assert.deepEqual(
      warnings().map(({ target, note }) => [target, note]),
      [['a/m', 'unknown error: 400 no, says the first']],
    );
    await world.clock.advanceAsync(10 * MINUTE);
    await world.answerTo();
    assert.equal(warnings().length, 2);
  });

  it('with a hedge beside the refused attempt is that hedge', async (t) => {
    const policy = { hedge: { enabled: true, delay: '50ms', budget: 1 } };
    const slowly = (ms: number, answer: SimulatedResponse): SimulatedResponse => ({ steps: [{ do: 'wait', ms }, ...answer.steps] });
    const refusedBoth = await start(
      t,
      { a: slowly(100, no), b: slowly(100, openai(400, null, 'x', 'second')), c: healthy },
      { config: { policy } },
    );
    const seen = await refusedBoth.answerTo();
    assert.deepEqual([seen.status, errorOf(seen.text).message], [400, 'no, says the first']);
    assert.deepEqual(counts(refusedBoth, 'a', 'b', 'c'), [1, 1, 0]);
    const answered = await start(t, { a: slowly(100, no), b: slowly(100, chatResponse()) }, { config: { policy } });
    assert.equal((await answered.answerTo()).headers.get('x-breakwater-target'), 'b/m');
    assert.deepEqual(counts(answered, 'a', 'b'), [1, 1]);
  });

  it('is shared by those who ask for the same, and kept under an idempotency key', async (t) => {
    const world = await start(t, { a: no, b: openai(400, null, 'x', 'second') }, { config: { policy: { cache: { enabled: true } } } });
    const headers = { 'idempotency-key': 'k' };
    const both = await world.until(Promise.all([world.ask({}, headers).done, world.ask({}, headers).done, world.ask().done]));
    for (const { status, text } of both) assert.deepEqual([status, errorOf(text).message], [400, 'no, says the first']);
    assert.deepEqual(counts(world, 'a', 'b'), [1, 1]);
    assert.equal(errorOf((await world.answerTo({}, headers)).text).message, 'no, says the first');
    assert.deepEqual(counts(world, 'a', 'b'), [1, 1]);
  });

  it('of a model on this machine counts as an answer, not as a refusal', async (t) => {
    const world = await start(
      t,
      { a: no },
      {
        models: { fast: ['a/m', 'local/extract'] },
      },
    );
    // The local model takes real time: little virtual time passes meanwhile.
    const slowly = async <T>(done: Promise<T>): Promise<T> => {
      let isOver = false;
      void done.then(() => (isOver = true));
      while (!isOver) {
        await new Promise((resolve) => setTimeout(resolve, 2));
        await world.clock.advanceAsync(5);
      }
      return done;
    };
    const seen = await slowly(world.ask().done);
    assert.equal(seen.headers.get('x-breakwater-target'), 'local/extract');
    const refusedHere = await slowly(world.ask({ tools: [{ type: 'function', function: { name: 'f' } }] }).done);
    assert.deepEqual([refusedHere.status, errorOf(refusedHere.text).message], [400, 'no, says the first']);
    await slowly(world.ask().done);
    assert.equal(world.callsTo('a'), 3, 'nothing was remembered as the fault of the caller');
  });
});

describe('a context that is too long, behind a server error', { concurrency: 4 }, () => {
  const words = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.";
  for (const [name, error] of Object.entries({
    'its code': json(500, { error: { message: 'failed', type: 'server_error', param: null, code: 'context_length_exceeded' } }),
    'its words': json(500, { error: { message: words, type: 'internal_error' } }),
    'a 200': json(200, { error: { message: 'failed', code: 'context_length_exceeded' } }),
  })) {
    it(`told by ${name}: one call, and no mark against its target`, async (t) => {
      const world = await start(t, { a: error });
      const seen = await world.answerTo();
      assert.ok(seen.status >= 400);
      assert.equal(world.callsTo('a'), 1);
      assert.equal(world.gateway.targets()[0]!.breaker.failureRatio, 0);
    });
  }
});
