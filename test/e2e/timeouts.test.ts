/** Long calls live, hung calls don't: every limit of silence with its default and as configured, in virtual time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { chatResponse, chatStream, silence, streamEnd, streamStart } from '../../src/testing/simulated-chat.ts';
import type { SimulatedResponse, SimulatedStep } from '../../src/testing/simulated-upstream.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualSeen, VirtualWorld } from './virtual.ts';
import { contentOf, errorOf } from './world.ts';

const SECOND = 1_000;
const MINUTE = 60_000;

const quickAnswer = () => chatResponse();
const quickStream = () => chatStream();
const deadline = (ms: number) => ({ 'x-breakwater-deadline-ms': String(ms) });

/** Asserts that something took this long, give or take a timer's rounding. */
function took(actualMs: number, expectedMs: number, slackMs = 10): void {
  assert.ok(actualMs >= expectedMs - 1 && actualMs <= expectedMs + slackMs, `took ${actualMs} ms, not ${expectedMs}`);
}

function assertSettled(world: VirtualWorld): void {
  assert.equal(world.upstream.running, 0);
  assert.equal(world.eventsOf('received').length, world.eventsOf('finished').length);
  assert.equal(world.eventsOf('attempt').length, world.eventsOf('attempt_end').length);
  assert.ok(world.gateway.targets().every((target) => target.inFlight === 0));
  assert.deepEqual([world.gateway.queue().waiting, world.gateway.queue().inFlight, world.gateway.queue().heldBytes], [0, 0, 0]);
}

function answeredBy(seen: VirtualSeen, target: string, attempts: number, fallback: string | null = null): void {
  assert.equal(seen.status, 200);
  assert.equal(seen.headers.get('x-breakwater-target'), target);
  assert.equal(seen.headers.get('x-breakwater-attempts'), String(attempts));
  assert.equal(seen.headers.get('x-breakwater-fallback'), fallback);
}

/** The same answer, so much later. */
function slowStart({ steps }: SimulatedResponse, ms: number): SimulatedResponse {
  return { steps: [{ do: 'wait', ms }, ...steps] };
}

describe('a call that takes ninety seconds', () => {
  const plain = () => chatResponse({ headersAfterMs: 90 * SECOND });
  const thinking = () => chatStream({ firstContentAfterMs: 90 * SECOND });
  const cases = [
    { name: 'plain', body: {}, slow: plain, quick: quickAnswer, besideAt: 30.5 * SECOND },
    {
      name: 'streamed, by a model that thinks',
      body: { model: 'deep', stream: true },
      slow: thinking,
      quick: quickStream,
      besideAt: MINUTE,
    },
    {
      name: 'streamed, asked to think',
      body: { stream: true, reasoning_effort: 'high' },
      slow: thinking,
      quick: quickStream,
      besideAt: MINUTE,
    },
  ];
  for (const { name, body, slow, quick, besideAt } of cases) {
    it(`succeeds alone: ${name}`, async (t) => {
      const world = await startVirtualWorld(t, { providers: { a: slow } });
      const seen = await world.answerTo(body);
      assert.equal(seen.status, 200);
      assert.equal(contentOf(seen.text), 'one two three');
      took(seen.endAtMs, 90 * SECOND);
      assert.equal(world.upstream.calls.length, 1);
      assertSettled(world);
    });

    it(`is not cut with a fallback at hand, which is asked beside it: ${name}`, async (t) => {
      const world = await startVirtualWorld(t, { providers: { a: slow, b: () => slowStart(quick(), 70 * SECOND) } });
      const seen = await world.answerTo(body);
      assert.equal(contentOf(seen.text), 'one two three');
      took(seen.endAtMs, 90 * SECOND);
      assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 1]);
      assert.equal(world.eventsOf('attempt')[1]!.at - world.eventsOf('attempt')[0]!.at, besideAt);
      assert.equal(world.eventsOf('finished')[0]!.target, body.model === 'deep' ? 'a/gpt-5' : 'a/m');
      assert.equal(world.upstream.aborted, 1);
      assertSettled(world);
    });
  }
});

describe('a call that hangs', () => {
  it('ends after 60 s where a stream has no headers and no other target is there', async (t) => {
    const world = await startVirtualWorld(t, { domain: '.test', providers: { a: silence }, config: { policy: { maxAttempts: 1 } } });
    const seen = await world.answerTo({ stream: true });
    took(seen.endAtMs, MINUTE);
    const end = world.eventsOf('attempt_end')[0]!;
    assert.deepEqual([end.reason, end.phase, end.verdict], ['timeout', 'headers', 'retry']);
    assertSettled(world);
  });

  it('ends after 60 s where a stream that does not think has headers and no content', async (t) => {
    const hangs = () => chatStream({ firstContentAfterMs: Infinity });
    const world = await startVirtualWorld(t, { domain: '.test', providers: { a: hangs }, config: { policy: { maxAttempts: 1 } } });
    took((await world.answerTo({ stream: true })).endAtMs, MINUTE);
    assert.equal(world.eventsOf('attempt_end')[0]!.phase, 'first_content');
  });

  it('ends after five minutes where a stream thinks, with headers and without', async (t) => {
    for (const hangs of [silence, () => chatStream({ firstContentAfterMs: Infinity })]) {
      const world = await startVirtualWorld(t, { domain: '.test', providers: { a: hangs }, config: { policy: { maxAttempts: 1 } } });
      took((await world.answerTo({ model: 'deep', stream: true })).endAtMs, 5 * MINUTE);
    }
  });

  it('ends after five minutes where it is plain', async (t) => {
    const world = await startVirtualWorld(t, { domain: '.test', providers: { a: silence }, config: { policy: { maxAttempts: 1 } } });
    took((await world.answerTo()).endAtMs, 5 * MINUTE);
    assertSettled(world);
  });

  it('has another target beside it after 60 % of the deadline, and fails for it where that has no place', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: silence, b: () => chatResponse({ headersAfterMs: 3 * SECOND }) },
      limits: { concurrency: 1 },
    });
    const seen = await world.answerTo({}, deadline(10 * SECOND));
    answeredBy(seen, 'b/m', 2, 'timeout');
    took(seen.endAtMs, 9 * SECOND);
    assert.deepEqual(
      world.eventsOf('attempt').map(({ at, race }) => [Math.round(at), race]),
      [
        [0, null],
        [6 * SECOND, 'rescue'],
      ],
    );
    assertSettled(world);
  });

  it('is left after 60 % of the deadline where the other target has no place yet, which is then waited for', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: silence, b: () => chatResponse({ headersAfterMs: 3 * SECOND }) },
      limits: { concurrency: 1 },
    });
    const busy = [world.ask({ model: 'b/m' }), world.ask({ model: 'b/m' }), world.ask({ model: 'b/m' })];
    await world.clock.advanceAsync(1);
    const seen = await world.answerTo({}, deadline(14 * SECOND));
    answeredBy(seen, 'b/m', 2, 'timeout');
    assert.equal(world.eventsOf('attempt_end').find(({ target }) => target === 'a/m')!.durationMs, 8.4 * SECOND);
    assert.equal(world.eventsOf('attempt').at(-1)!.race, null);
    await world.until(Promise.all(busy.map(({ done }) => done)));
    assertSettled(world);
  });

  for (const stream of [true, false]) {
    it(`is left two seconds after an error status whose body does not come${stream ? ', of a stream' : ''}`, async (t) => {
      const hangs = (): SimulatedResponse => ({
        steps: [
          { do: 'head', status: 500 },
          { do: 'send', bytes: '{"error":' },
          { do: 'wait', ms: Infinity },
        ],
      });
      const world = await startVirtualWorld(t, { providers: { a: hangs, b: stream ? quickStream : quickAnswer } });
      const seen = await world.answerTo({ stream });
      answeredBy(seen, 'b/m', 2, 'server_error');
      took(seen.endAtMs, 2 * SECOND);
      const end = world.eventsOf('attempt_end')[0]!;
      assert.deepEqual([end.reason, end.status], ['server_error', 500]);
      assert.equal(world.upstream.aborted, 1);
      assertSettled(world);
    });
  }

  it('is left two seconds after an error status whose body drips', async (t) => {
    function* drip(): Generator<SimulatedStep> {
      yield { do: 'head', status: 429, headers: { 'retry-after': '5' } };
      for (let i = 0; i < 600; i++) yield* [{ do: 'send', bytes: '.' } as const, { do: 'wait', ms: 100 } as const];
    }
    const world = await startVirtualWorld(t, { providers: { a: () => ({ steps: drip() }), b: quickAnswer } });
    const seen = await world.answerTo();
    answeredBy(seen, 'b/m', 2, 'rate_limited');
    took(seen.endAtMs, 2 * SECOND);
  });

  it('gets the rest of the deadline where it is the last', async (t) => {
    const slow = () => chatResponse({ headersAfterMs: 68 * SECOND });
    const world = await startVirtualWorld(t, { providers: { a: silence, b: slow } });
    const seen = await world.answerTo({}, deadline(100 * SECOND));
    answeredBy(seen, 'b/m', 2, 'slow');
    took(seen.endAtMs, 98.5 * SECOND);
  });

  it('ends with its deadline where nobody else is there', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: silence } });
    const seen = await world.answerTo({}, deadline(30 * SECOND));
    assert.deepEqual([seen.status, errorOf(seen.text).code], [504, 'deadline_exceeded']);
    assert.match(errorOf(seen.text).message, /deadline of 30000 ms.*a\/m: no response headers/);
    took(seen.endAtMs, 30 * SECOND);
    assert.deepEqual([world.callsTo('a'), world.upstream.aborted], [1, 1]);
    assertSettled(world);
  });

  it('that would make three targets wait their full time ends by the deadline', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: silence, b: silence, c: silence } });
    const seen = await world.answerTo({}, deadline(20 * SECOND));
    assert.equal(errorOf(seen.text).code, 'deadline_exceeded');
    took(seen.endAtMs, 20 * SECOND);
    assert.deepEqual([world.callsTo('a'), world.callsTo('b'), world.callsTo('c')], [1, 1, 1]);
  });
});

describe('a target whose usual time is known', () => {
  /** Answers fifty times after `ms`, then hangs. */
  const turnsSilent = (ms: number, answer: (ms: number) => SimulatedResponse) => {
    let calls = 0;
    return () => (++calls <= 50 ? answer(ms) : silence());
  };
  const plain = (ms: number) => chatResponse({ headersAfterMs: ms });
  const stream = (ms: number) => chatStream({ headersAfterMs: ms });
  const cases = [
    { name: 'ten seconds at least, plain', body: {}, usualMs: 500, answer: plain, expectedMs: 10 * SECOND },
    { name: 'five times its p99, plain', body: {}, usualMs: 6 * SECOND, answer: plain, expectedMs: 30 * SECOND },
    { name: 'five times its p99, streamed', body: { stream: true }, usualMs: 4 * SECOND, answer: stream, expectedMs: 20 * SECOND },
  ];
  for (const { name, body, usualMs, answer, expectedMs } of cases) {
    it(`is slow beyond ${name}, and another one is asked`, async (t) => {
      const world = await startVirtualWorld(t, { providers: { a: turnsSilent(usualMs, answer), b: () => answer(0) } });
      for (let i = 0; i < 50; i++) answeredBy(await world.answerTo(body), 'a/m', 1);
      const seen = await world.answerTo(body);
      answeredBy(seen, 'b/m', 2, 'slow');
      // The learned quantile is that of a histogram, so it may be off by a bucket.
      assert.ok(seen.endAtMs >= expectedMs - 1 && seen.endAtMs <= expectedMs * 1.25, `${seen.endAtMs} ms`);
      assert.equal(world.eventsOf('attempt_end').at(-2)!.failure, 'slow');
      assertSettled(world);
    });
  }

  it('is waited for all the same where nobody else could answer', async (t) => {
    let calls = 0;
    const world = await startVirtualWorld(t, {
      providers: { a: () => chatResponse({ headersAfterMs: ++calls <= 50 ? 100 : 90 * SECOND }) },
    });
    for (let i = 0; i < 50; i++) await world.answerTo();
    const seen = await world.answerTo();
    answeredBy(seen, 'a/m', 1);
    took(seen.endAtMs, 90 * SECOND);
  });

  it('of one kind of call says nothing about another', async (t) => {
    let calls = 0;
    const a = () => (++calls <= 50 ? chatResponse({ headersAfterMs: 100 }) : chatStream({ headersAfterMs: 40 * SECOND }));
    const world = await startVirtualWorld(t, { providers: { a, b: quickStream } });
    for (let i = 0; i < 50; i++) await world.answerTo();
    const seen = await world.answerTo({ stream: true });
    answeredBy(seen, 'b/m', 2, 'slow');
    took(seen.endAtMs, 20 * SECOND);
  });
});

describe('a configured duration', () => {
  const policyOf = (timeouts: Record<string, string>, more: object = {}) => ({ config: { policy: { timeouts, ...more } } });
  const half: SimulatedStep[] = [
    { do: 'head', status: 200, headers: { 'content-type': 'application/json' } },
    { do: 'send', bytes: '{"choices":[' },
    { do: 'wait', ms: Infinity },
  ];
  const cases = [
    { name: 'connect, by default', timeouts: {}, a: { connectMs: Infinity, steps: [] }, phase: 'connect', at: 3 * SECOND },
    { name: 'connect', timeouts: { connect: '500ms' }, a: { connectMs: Infinity, steps: [] }, phase: 'connect', at: 500 },
    { name: 'headers', timeouts: { headers: '20s' }, a: silence(), phase: 'headers', at: 20 * SECOND },
    { name: 'headers, up to 60 % of the deadline', timeouts: { headers: '9m' }, a: silence(), phase: 'headers', at: 6 * MINUTE },
    {
      name: 'first content',
      timeouts: { firstContent: '7s' },
      a: chatResponse({ firstContentAfterMs: Infinity }),
      phase: 'first_content',
      at: 7 * SECOND,
    },
    { name: 'idle, by default', timeouts: {}, a: { steps: half }, phase: 'answer', at: 2 * MINUTE },
    { name: 'idle', timeouts: { idle: '9s' }, a: { steps: half }, phase: 'answer', at: 9 * SECOND },
    { name: 'attempt', timeouts: { attempt: '15s' }, a: silence(), phase: 'headers', at: 15 * SECOND },
    {
      name: 'attempt, over parts that are each in time',
      timeouts: { attempt: '15s' },
      a: chatResponse({ headersAfterMs: 14 * SECOND, firstContentAfterMs: 14 * SECOND }),
      phase: 'first_content',
      at: 15 * SECOND,
    },
  ] as const;
  for (const { name, timeouts, a, phase, at } of cases) {
    it(`is taken as it is: ${name}`, async (t) => {
      const world = await startVirtualWorld(t, { providers: { a: () => a, b: quickAnswer }, ...policyOf(timeouts) });
      const seen = await world.answerTo();
      answeredBy(seen, 'b/m', 2, 'timeout');
      took(seen.endAtMs, at);
      assert.equal(world.eventsOf('attempt_end')[0]!.phase, phase);
      assert.equal(world.gateway.targets().find((target) => target.provider === 'a')!.breaker.failureRatio, 1);
      assertSettled(world);
    });
  }

  it('cut short by a caller in a hurry says nothing about the target', async (t) => {
    const slow = () => chatResponse({ headersAfterMs: 5 * SECOND });
    for (const [timeouts, headers, failureRatio] of [
      [{}, deadline(3 * SECOND), 0],
      [{ headers: '1s' }, deadline(3 * SECOND), 1],
      [{ attempt: '1s' }, deadline(3 * SECOND), 1],
      [{ headers: '4s' }, deadline(3 * SECOND), 0],
    ] as const) {
      const world = await startVirtualWorld(t, { providers: { a: slow, b: quickAnswer }, ...policyOf(timeouts) });
      const asked = await world.answerTo({}, headers);
      const { breaker } = world.gateway.targets().find((target) => target.provider === 'a')!;
      assert.equal(breaker.failureRatio, failureRatio, JSON.stringify({ timeouts, headers, status: asked.status }));
    }
  });

  it('longer than the learned one is taken as it is', async (t) => {
    let calls = 0;
    const a = () => chatResponse({ headersAfterMs: ++calls <= 50 ? 100 : 50 * SECOND });
    const world = await startVirtualWorld(t, { providers: { a, b: quickAnswer }, ...policyOf({ headers: '55s' }) });
    for (let i = 0; i < 50; i++) await world.answerTo();
    took((await world.answerTo()).endAtMs, 50 * SECOND);
    assert.equal(world.callsTo('b'), 0);
  });
});

describe('the deadline', () => {
  it('does not touch what is committed', async (t) => {
    const words = Array.from({ length: 6 }, (_, i) => `word${i} `);
    const world = await startVirtualWorld(t, { providers: { a: () => chatStream({ headersAfterMs: 5 * SECOND, gapMs: MINUTE, words }) } });
    const seen = await world.answerTo({ stream: true }, deadline(10 * SECOND));
    assert.equal(contentOf(seen.text), words.join(''));
    took(seen.endAtMs, 5 * SECOND + 5 * MINUTE);
    assert.match(seen.text, /data: \[DONE\]\n\n$/);
  });

  it('cuts a stream that has not begun, with an answer of its own', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: () => chatStream({ firstContentAfterMs: Infinity }) } });
    const seen = await world.answerTo({ stream: true }, deadline(10 * SECOND));
    assert.deepEqual([seen.status, errorOf(seen.text).code], [504, 'deadline_exceeded']);
    took(seen.endAtMs, 10 * SECOND);
    assertSettled(world);
  });

  it('includes the wait for capacity', async (t) => {
    const a = () => chatResponse({ headersAfterMs: 40 * SECOND });
    const world = await startVirtualWorld(t, { providers: { a }, limits: { concurrency: 1 } });
    const first = world.ask();
    const seen = await world.answerTo({}, deadline(30 * SECOND));
    assert.deepEqual([seen.status, errorOf(seen.text).code], [504, 'deadline_exceeded']);
    took(seen.endAtMs, 30 * SECOND);
    assert.equal(world.callsTo('a'), 1);
    assert.equal((await world.until(first.done)).status, 200);
    assertSettled(world);
  });
});

describe('a stream that is silent for long', () => {
  const comments = (seen: VirtualSeen) => seen.pieces.filter((piece) => piece.text.startsWith(': keep-alive'));

  it('is kept alive by a comment after 25 s, and again', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: () => chatStream({ firstContentAfterMs: 90 * SECOND }) } });
    const seen = await world.answerTo({ model: 'deep', stream: true });
    took(seen.headAtMs, 25 * SECOND);
    assert.equal(seen.status, 200);
    assert.deepEqual(
      comments(seen).map((piece) => Math.round(piece.atMs / SECOND)),
      [25, 50, 75],
    );
    assert.equal(seen.headers.get('x-breakwater-target'), null, 'not known yet when the head went out');
    assert.match(seen.text, /: breakwater target=a\/gpt-5 attempts=1\n\n/);
    assert.equal(contentOf(seen.text), 'one two three');
  });

  it('is kept alive before a caller with a read timeout gives up, as often as it takes', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: () => chatStream({ firstContentAfterMs: 35 * SECOND, gapMs: 15 * SECOND }) },
    });
    const seen = await world.answerTo({ stream: true }, { 'x-stainless-read-timeout': '10' });
    assert.equal(contentOf(seen.text), 'one two three');
    const at = [0, ...seen.pieces.map(({ atMs }) => atMs)];
    for (let i = 1; i < at.length; i++) assert.ok(at[i]! - at[i - 1]! < 10 * SECOND, at.join());
    took(seen.headAtMs, 8 * SECOND);
  });

  it('answers a caller with a read timeout that asked for no stream before it gives up', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: silence } });
    const seen = await world.answerTo({}, { 'x-stainless-read-timeout': '30' });
    assert.deepEqual([seen.status, errorOf(seen.text).code], [504, 'deadline_exceeded']);
    took(seen.endAtMs, 29 * SECOND);
  });

  it('is kept alive over a change of target, which its last words tell', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: silence, b: () => chatStream({ headersAfterMs: 10 * SECOND }) } });
    const seen = await world.answerTo({ stream: true });
    assert.equal(comments(seen).length, 1);
    assert.match(seen.text, /: breakwater target=b\/m attempts=2 fallback=slow\n\n/);
  });

  it('is kept alive while it is queued', async (t) => {
    const a = () => chatStream({ headersAfterMs: 55 * SECOND });
    const world = await startVirtualWorld(t, { providers: { a }, limits: { concurrency: 1 } });
    const first = world.ask({ stream: true });
    const seen = await world.answerTo({ stream: true });
    took(seen.endAtMs, 110 * SECOND);
    assert.equal(comments(seen).length, 4);
    await world.until(first.done);
    assertSettled(world);
  });

  it('tells a failure in band once it was kept alive', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: silence } });
    const seen = await world.answerTo({ stream: true }, deadline(40 * SECOND));
    assert.equal(seen.status, 200);
    took(seen.endAtMs, 40 * SECOND);
    assert.equal(errorOf(seen.text).code, 'deadline_exceeded');
    assert.doesNotMatch(seen.text, /\[DONE\]/);
    assertSettled(world);
  });

  it('after its first content ends with stream_stalled, whatever comments come', async (t) => {
    const chatter = Array.from({ length: 30 }, (): SimulatedStep[] => [
      { do: 'wait', ms: 10 * SECOND },
      { do: 'send', bytes: ': ping\n\n' },
    ]).flat();
    const world = await startVirtualWorld(t, {
      providers: { a: () => ({ steps: [...streamStart(), ...chatter, ...streamEnd()] }), b: quickStream },
    });
    const seen = await world.answerTo({ stream: true });
    took(seen.endAtMs, 2 * MINUTE);
    assert.equal(errorOf(seen.text).code, 'stream_stalled');
    assert.doesNotMatch(seen.text, /\[DONE\]/);
    assert.deepEqual([world.callsTo('a'), world.callsTo('b'), world.upstream.aborted], [1, 0, 1]);
    assert.deepEqual([world.eventsOf('finished')[0]!.outcome, world.eventsOf('attempt_end')[0]!.reason], ['interrupted', 'stalled']);
    assertSettled(world);
  });

  const LIVENESS = {
    comments: ': ping\n\n',
    'empty data': 'data:\n\n',
    'roles alone': 'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n',
    'usage alone': 'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n',
    'events with nothing in them': 'data: {"choices":[{"index":0,"delta":{"content":null,"tool_calls":[]}}]}\n\n',
    'an event that never ends': 'data: {"choices":[{"index":0,"delta":{"content":"',
  };
  for (const [name, bytes] of Object.entries(LIVENESS)) {
    it(`is not kept from its idle time by ${name}`, async (t) => {
      const chatter = Array.from({ length: 30 }, (): SimulatedStep[] => [
        { do: 'wait', ms: 10 * SECOND },
        { do: 'send', bytes },
      ]).flat();
      const world = await startVirtualWorld(t, { providers: { a: () => ({ steps: [...streamStart(), ...chatter, ...streamEnd()] }) } });
      const seen = await world.answerTo({ stream: true });
      took(seen.endAtMs, 2 * MINUTE);
      assert.equal(errorOf(seen.text).code, 'stream_stalled');
      assertSettled(world);
    });
  }

  const CONTENT = {
    reasoning: '{"reasoning_content":"hm"}',
    refusal: '{"refusal":"no"}',
    'tool calls': '{"tool_calls":[{"index":0,"function":{"arguments":"1"}}]}',
  };
  for (const [name, delta] of Object.entries(CONTENT)) {
    it(`goes on for as long as ${name} come`, async (t) => {
      const parts = Array.from({ length: 5 }, (): SimulatedStep[] => [
        { do: 'wait', ms: 100 * SECOND },
        { do: 'send', bytes: `data: {"choices":[{"index":0,"delta":${delta},"finish_reason":null}]}\n\n` },
      ]).flat();
      const world = await startVirtualWorld(t, { providers: { a: () => ({ steps: [...streamStart(), ...parts, ...streamEnd()] }) } });
      const seen = await world.answerTo({ stream: true });
      took(seen.endAtMs, 500 * SECOND);
      assert.match(seen.text, /data: \[DONE\]\n\n$/);
    });
  }

  const CUTS = { 'amid an event': 30, 'between CR and LF': -1 };
  for (const [name, at] of Object.entries(CUTS)) {
    for (const lineEnd of ['\n', '\r\n']) {
      it(`is kept alive between events only, its bytes ending ${name} (${JSON.stringify(lineEnd)})`, async (t) => {
        const event = `data: {"choices":[{"index":0,"delta":{"content":"four"},"finish_reason":null}]}${lineEnd}${lineEnd}`;
        const steps: SimulatedStep[] = [
          { do: 'send', bytes: event.slice(0, at) },
          { do: 'wait', ms: 60 * SECOND },
          { do: 'send', bytes: event.slice(at) },
        ];
        const world = await startVirtualWorld(t, { providers: { a: () => ({ steps: [...streamStart(), ...steps, ...streamEnd()] }) } });
        const seen = await world.answerTo({ stream: true });
        assert.equal(comments(seen).length, 2);
        assert.equal(contentOf(seen.text), 'one two threefour');
        assert.match(seen.text, /data: \[DONE\]\n\n$/);
      });
    }
  }

  it('is never cut while each gap is shorter than idle', async (t) => {
    const words = Array.from({ length: 13 }, (_, i) => `${i} `);
    const world = await startVirtualWorld(t, { providers: { a: () => chatStream({ gapMs: 0.9 * 2 * MINUTE, words }) } });
    const seen = await world.answerTo({ stream: true });
    took(seen.endAtMs, 12 * 0.9 * 2 * MINUTE);
    assert.equal(contentOf(seen.text), words.join(''));
    assertSettled(world);
  });
});

describe('a stream whose last word has come', () => {
  const LAST = streamEnd()[0]!;
  const cases: { name: string; rest: SimulatedStep[]; endsAfterMs: number; aborted: number }[] = [
    { name: 'ends well though nothing closes it', rest: [LAST, { do: 'wait', ms: Infinity }], endsAfterMs: 2 * SECOND, aborted: 1 },
    { name: 'ends well though its connection breaks', rest: [LAST, { do: 'break', code: 'ECONNRESET' }], endsAfterMs: 0, aborted: 0 },
    { name: 'ends well though half an event follows', rest: [LAST, { do: 'send', bytes: 'data: {"cho' }], endsAfterMs: 0, aborted: 0 },
    {
      name: 'and its terminator ends at once, and its upstream is closed if it does not close by itself',
      rest: [...streamEnd(), { do: 'wait', ms: Infinity }],
      endsAfterMs: 0,
      aborted: 1,
    },
  ];
  for (const { name, rest, endsAfterMs, aborted } of cases) {
    it(name, async (t) => {
      const world = await startVirtualWorld(t, { providers: { a: () => ({ steps: [...streamStart(), ...rest] }), b: quickStream } });
      const seen = await world.answerTo({ stream: true });
      took(seen.endAtMs, endsAfterMs);
      assert.equal(contentOf(seen.text), 'one two three');
      assert.match(seen.text, /data: \[DONE\]\n\n$/);
      world.clock.advance(10 * SECOND);
      assert.deepEqual([world.upstream.running, world.upstream.aborted, world.callsTo('b')], [0, aborted, 0]);
      assert.deepEqual([world.eventsOf('finished')[0]!.outcome, world.gateway.targets()[0]!.breaker.failureRatio], ['success', 0]);
      assertSettled(world);
    });
  }
});

describe('a stream that is kept open after its last word', () => {
  const LAST = streamEnd()[0]!;
  const usage = 'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}\n\n';
  const HEARTBEATS = {
    comments: ': ping\n\n',
    'empty data': 'data:\n\n',
    'ping chunks': 'data: {"type":"ping"}\n\n',
    'chunks without choices': 'data: {"id":"x","object":"chat.completion.chunk","choices":[]}\n\n',
    'empty deltas': 'data: {"choices":[{"index":0,"delta":{},"finish_reason":null}]}\n\n',
    'its last chunk again': 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    blanks: ' ',
  };
  function* beating(bytes: string, tail: readonly SimulatedStep[]): Generator<SimulatedStep> {
    yield* [...streamStart(), LAST, ...tail];
    for (let i = 0; i < 1000; i++) yield* [{ do: 'wait', ms: 300 } as const, { do: 'send', bytes } as const];
  }
  const late: SimulatedStep[] = [
    { do: 'wait', ms: 1500 },
    { do: 'send', bytes: usage },
  ];

  for (const [name, bytes] of Object.entries(HEARTBEATS)) {
    it(`is closed within two seconds, whatever comes: ${name}`, async (t) => {
      for (const quality of [{}, { buffer: true }]) {
        const world = await startVirtualWorld(t, {
          providers: { a: () => ({ steps: beating(bytes, []) }), b: quickStream },
          config: { policy: { quality } },
        });
        const seen = await world.answerTo({ stream: true });
        took(seen.endAtMs, 2 * SECOND);
        assert.equal(contentOf(seen.text), 'one two three');
        assert.match(seen.text, /data: \[DONE\]\n\n$/);
        assert.doesNotMatch(seen.text, /"ping"|"choices":\[\]/);
        assert.deepEqual([world.upstream.running, world.upstream.aborted, world.callsTo('b')], [0, 1, 0]);
        assert.equal(world.eventsOf('finished')[0]!.outcome, 'success');
        assertSettled(world);
      }
    });
  }

  it('still delivers the usage that comes in that time, streamed and folded', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: () => ({ steps: beating('data: {"type":"ping"}\n\n', late) }) } });
    const streamed = await world.answerTo({ stream: true, stream_options: { include_usage: true } });
    took(streamed.endAtMs, 2 * SECOND);
    assert.match(streamed.text, /"total_tokens":8/);
    assert.match(streamed.text, /data: \[DONE\]\n\n$/);
    const folded = await world.answerTo({ stream: false });
    took(folded.endAtMs, 2 * SECOND);
    const { usage: told, type } = JSON.parse(folded.text) as { usage: { total_tokens: number }; type?: string };
    assert.deepEqual([told.total_tokens, type], [8, undefined]);
    assert.equal(contentOf(folded.text), 'one two three');
    assertSettled(world);
  });

  it('is not hurried while one of its choices goes on', async (t) => {
    const steps: SimulatedStep[] = [
      ...streamStart(),
      LAST,
      { do: 'wait', ms: 10 * SECOND },
      { do: 'send', bytes: 'data: {"choices":[{"index":1,"delta":{"content":"other"},"finish_reason":"stop"}]}\n\n' },
      { do: 'send', bytes: 'data: [DONE]\n\n' },
    ];
    const world = await startVirtualWorld(t, { providers: { a: () => ({ steps }) } });
    const seen = await world.answerTo({ stream: true, n: 2 });
    took(seen.endAtMs, 10 * SECOND);
    assert.match(seen.text, /other/);
  });
});

describe('a caller who leaves', () => {
  const phases: { name: string; a: SimulatedResponse; afterMs: number; beside?: number }[] = [
    { name: 'before the connection is open', a: { connectMs: Infinity, steps: [] }, afterMs: 100 },
    { name: 'before the headers', a: silence(), afterMs: 100 },
    { name: 'in a preamble that was kept alive', a: chatStream({ firstContentAfterMs: Infinity }), afterMs: 30 * SECOND, beside: 1 },
    { name: 'between two words', a: chatStream({ gapMs: MINUTE }), afterMs: 90 * SECOND },
  ];
  for (const { name, a, afterMs, beside = 0 } of phases) {
    it(`${name} closes the upstream at that instant`, async (t) => {
      const world = await startVirtualWorld(t, { providers: { a: () => a, b: silence } });
      const asked = world.ask({ stream: true });
      asked.done.catch(() => {});
      await world.until(new Promise((resolve) => world.clock.schedule(afterMs, () => resolve(null))));
      assert.deepEqual([world.upstream.running, world.callsTo('b')], [1 + beside, beside]);
      asked.leave();
      await assert.rejects(asked.done);
      await setImmediate(); // its room is given back on the way out
      assert.deepEqual([world.upstream.running, world.upstream.aborted], [0, 1 + beside]);
      assert.equal(world.eventsOf('finished')[0]!.outcome, 'cancelled');
      assertSettled(world);
    });
  }
});

describe('a caller who is behind', () => {
  const big = Array.from({ length: 200 }, (_, i) => `${i}`.padEnd(1000, '.'));
  const init = { method: 'POST', headers: { 'content-type': 'application/json' } };
  const askFor = (world: VirtualWorld) =>
    world.until(
      world.fetch('http://breakwater/v1/chat/completions', {
        ...init,
        body: JSON.stringify({ model: 'fast', messages: [], stream: true }),
      }),
    );

  it('is let go after two minutes without a byte taken, not before, and the provider is not blamed', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: () => chatStream({ words: big }) },
      config: { policy: { timeouts: { idle: '20s' } } },
    });
    const response = await askFor(world);
    await world.until(new Promise((resolve) => world.clock.schedule(119 * SECOND, () => resolve(null))));
    assert.deepEqual([world.upstream.running, world.eventsOf('finished').length], [1, 0]);
    await world.until(new Promise((resolve) => world.clock.schedule(2 * SECOND, () => resolve(null))));
    assert.deepEqual([world.upstream.running, world.upstream.aborted], [0, 1]);
    assert.deepEqual([world.eventsOf('finished')[0]!.outcome, world.gateway.targets()[0]!.breaker.failureRatio], ['cancelled', 0]);
    await assert.rejects(response.text(), TypeError);
    assertSettled(world);
  });

  it('may let a provider wait beyond its idle time, which begins anew when it reads on', async (t) => {
    const silent: SimulatedStep[] = [{ do: 'wait', ms: 15 * SECOND }];
    const world = await startVirtualWorld(t, {
      providers: { a: () => ({ steps: [...streamStart({ words: big }), ...silent, ...streamEnd()] }) },
      config: { policy: { timeouts: { idle: '20s' } } },
    });
    const response = await askFor(world);
    await world.until(new Promise((resolve) => world.clock.schedule(100 * SECOND, () => resolve(null))));
    const text = await world.until(response.text());
    assert.equal(contentOf(text), big.join(''));
    assert.match(text, /data: \[DONE\]\n\n$/);
    assert.doesNotMatch(text, /keep-alive/, 'no comment is added to what waits');
    assertSettled(world);
  });
});
