/** `stream.recover: continue`: a stream that breaks off goes on at a target that continues, or ends in an error; never in between. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { chatStream, streamStart } from '../../src/testing/simulated-chat.ts';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import { proseFor } from '../../src/storm/continuation.ts';
import { PROSE_LANGUAGES } from '../../src/storm/continuation-prose.ts';
import type { StormOptions } from '../../src/storm/index.ts';
import { askBySdk } from './sdk-caller.ts';
import type { SdkSeen } from './sdk-caller.ts';
import { openai } from './provider-bodies.ts';
import { startVirtualWorld } from './virtual.ts';
import { contentOf, errorOf, eventually, startWorld } from './world.ts';
import type { World, WorldOptions } from './world.ts';

const PROMPT = 'prose en 7';
const WHOLE = proseFor(PROMPT)!;
const CUT: StormOptions = { faults: [{ kind: 'cut', afterTokens: 60 }] };
/** Behind as much as a continuation is known by. */
const CUT_LATER: StormOptions = { faults: [{ kind: 'cut', afterTokens: 150 }], timing: { tokensPerSecond: 20_000 } };
const TOLD = WHOLE.slice(
  0,
  WHOLE.match(/\s*\S{1,4}|\s+$/gu)!
    .slice(0, 60)
    .join('').length,
);

type Models = NonNullable<WorldOptions['models']>;
type Policy = NonNullable<NonNullable<WorldOptions['config']>['policy']>;

function start(t: TestContext, storms: WorldOptions['storms'], targets: Models[string], policy: Policy = {}): Promise<World> {
  const config = { policy: { stream: { recover: 'continue' as const }, retry: { baseDelay: '1ms' }, ...policy } };
  return startWorld(t, { storms, models: { fast: targets }, config });
}

const goesOn = (target: string) => ({ target, prefill: true });
const request = (more: object = {}) => ({ model: 'fast', stream: true, messages: [{ role: 'user', content: PROMPT }], ...more });
const ask = (world: World, more: object = {}): Promise<SdkSeen> => askBySdk(world.openai, request(more));
const textOf = (seen: SdkSeen) => seen.said[0]?.content ?? '';
const callsOf = (world: World) => Object.values(world.storms).map((storm) => storm.stats().calls);

/** Nothing runs or is held any more, here and there. */
async function assertAllBack(world: World): Promise<void> {
  await eventually(() => world.gateway.queue().inFlight === 0, 'nothing is in flight');
  await eventually(() => Object.values(world.storms).every((storm) => storm.stats().running === 0), 'no call runs');
  assert.deepEqual(
    world.gateway.targets().filter((target) => target.inFlight > 0),
    [],
  );
  assert.equal(world.eventsOf('finished').length, world.eventsOf('received').length);
  assert.equal(world.eventsOf('attempt_end').length, world.eventsOf('attempt').length);
}

function assertBroken(seen: SdkSeen, code: string, text = TOLD): void {
  assert.equal(seen.end, 'in band');
  assert.equal(seen.end === 'in band' && seen.error.code, code);
  assert.equal(textOf(seen), text);
  assert.equal(seen.said[0]?.finish ?? null, null);
}

describe('a stream that breaks off', () => {
  it('goes on at a target that continues, as one stream', async (t) => {
    const world = await start(t, { a: CUT, b: { keepBodies: 5 } }, ['a/m', goesOn('b/m')]);
    const response = await world.chat(request({ max_tokens: 1000 }));
    const text = await response.text();
    assert.equal(contentOf(text), WHOLE);
    assert.ok(text.endsWith('data: [DONE]\n\n'));
    assert.equal(text.match(/^: .*$/gm)?.join(), ': breakwater continued target=b/m attempts=2 fallback=interrupted');
    assert.equal(contentOf(text.slice(0, text.indexOf(': breakwater'))), TOLD);
    const chunks = [...text.matchAll(/^data: (\{.*)$/gm)].map((found) => JSON.parse(found[1]!) as Record<string, unknown>);
    assert.deepEqual(new Set(chunks.map((chunk) => JSON.stringify([chunk['id'], chunk['created'], chunk['model']]))).size, 1);
    assert.deepEqual(callsOf(world), [1, 1]);
    await assertAllBack(world);
  });

  it('is sent on as the last message, without its last white space, under what is left of the bound', async (t) => {
    const world = await start(t, { a: CUT, b: { keepBodies: 5 } }, ['a/m', goesOn('b/m')]);
    assert.equal((await ask(world, { max_tokens: 1000, temperature: 0.5 })).end, 'answer');
    const body = JSON.parse(String(world.storms['b']!.stats().log.at(-1)!.body)) as Record<string, unknown>;
    assert.deepEqual(body, {
      model: 'm',
      stream: true,
      messages: [
        { role: 'user', content: PROMPT },
        { role: 'assistant', content: TOLD.trimEnd() },
      ],
      max_tokens: 940,
      temperature: 0.5,
      stream_options: { include_usage: true },
    });
  });

  it('tells its way in the timeline, and blames who broke', async (t) => {
    const world = await start(t, { a: CUT, b: {} }, ['a/m', goesOn('b/m')]);
    const seen = await ask(world);
    assert.equal(seen.headers.get('x-breakwater-target'), 'a/m');
    const [id] = world.eventsOf('received').map((event) => event.requestId);
    const told = world.events.filter((event) => 'requestId' in event && event.requestId === id);
    assert.deepEqual(
      told.map((event) => event.type),
      ['received', 'attempt', 'committed', 'attempt_end', 'note', 'attempt', 'note', 'attempt_end', 'finished'],
    );
    assert.deepEqual(
      world.eventsOf('note').map(({ note, target }) => `${target}: ${note}`),
      [`a/m: broke off after ${TOLD.length} characters; to be continued`, `b/m: continues the response from character ${TOLD.length}`],
    );
    assert.deepEqual(
      world.eventsOf('attempt_end').map(({ verdict, reason }) => [verdict, reason]),
      [
        ['retry', 'interrupted'],
        ['success', null],
      ],
    );
    const [end] = world.eventsOf('finished');
    assert.deepEqual([end!.outcome, end!.target, end!.attempts, end!.fallback], ['success', 'b/m', 2, 'interrupted']);
    const ratios = world.gateway.targets().map((target) => target.breaker.failureRatio);
    assert.deepEqual(ratios, [1, 0]);
  });

  it('goes on at the same target, within its retry budget', async (t) => {
    const storm: StormOptions = { faults: [{ kind: 'cut', afterTokens: 60, calls: { first: 1 } }] };
    const world = await start(t, { a: storm }, [goesOn('a/m')]);
    const seen = await ask(world);
    assert.deepEqual([seen.end, textOf(seen)], ['answer', WHOLE]);
    assert.deepEqual(callsOf(world), [2]);
    assert.equal(world.eventsOf('finished')[0]!.fallback, null);
  });

  it('is not asked again where the retry budget is spent', async (t) => {
    const budget = { ratio: 0, minPerSecond: 0 };
    const world = await start(t, { a: CUT }, [goesOn('a/m')], { retry: { baseDelay: '1ms', budget } });
    assertBroken(await ask(world), 'stream_interrupted');
    assert.deepEqual(callsOf(world), [1]);
    await assertAllBack(world);
  });

  it('may break off again, and go on again', async (t) => {
    const world = await start(t, { a: CUT, b: CUT_LATER, c: {} }, ['a/m', goesOn('b/m'), goesOn('c/m')]);
    const response = await world.post('/v1/chat/completions', request());
    const text = await response.text();
    assert.equal(contentOf(text), WHOLE);
    assert.deepEqual(text.match(/^: breakwater continued target=\S+ attempts=\d/gm), [
      ': breakwater continued target=b/m attempts=2',
      ': breakwater continued target=c/m attempts=3',
    ]);
    assert.deepEqual(callsOf(world), [1, 1, 1]);
    await assertAllBack(world);
  });

  it('takes no more attempts than the request may', async (t) => {
    const world = await start(t, { a: CUT, b: CUT_LATER, c: {} }, ['a/m', goesOn('b/m'), goesOn('c/m')], { maxAttempts: 2 });
    const seen = await ask(world);
    assert.equal(seen.end, 'in band');
    assert.ok(WHOLE.startsWith(textOf(seen)) && textOf(seen).length > TOLD.length);
    assert.deepEqual(callsOf(world), [1, 1, 0]);
    assert.equal(world.eventsOf('finished')[0]!.attempts, 2);
    assert.equal(world.eventsOf('note').filter(({ note }) => note.endsWith('to be continued')).length, 1, 'nobody is promised a third');
    await assertAllBack(world);
  });

  for (const kind of ['cut-reset', 'error-content', 'stall', 'malformed'] as const) {
    it(`goes on after ${kind}`, async (t) => {
      const world = await start(t, { a: { faults: [{ kind, afterTokens: 60 }] }, b: {} }, ['a/m', goesOn('b/m')], {
        timeouts: { idle: '150ms' },
      });
      const seen = await ask(world);
      assert.deepEqual([seen.end, textOf(seen)], ['answer', WHOLE]);
      assert.deepEqual(callsOf(world), [1, 1]);
      await assertAllBack(world);
    });
  }

  it('goes on with an answer that is no stream, and with one in odd bytes', async (t) => {
    for (const kind of ['json-for-stream', 'bytes', 'crlf', 'comments', 'gzip', 'no-done'] as const) {
      const world = await start(t, { a: CUT, b: { faults: [{ kind }] } }, ['a/m', goesOn('b/m')]);
      const seen = await ask(world);
      assert.deepEqual([kind, seen.end, textOf(seen)], [kind, 'answer', WHOLE]);
    }
  });

  it('tells the usage of the last attempt to who asked for it, and to nobody else', async (t) => {
    const world = await start(t, { a: CUT, b: {} }, ['a/m', goesOn('b/m')]);
    assert.equal((await ask(world)).usage, null);
    const seen = await ask(world, { stream_options: { include_usage: true } });
    const rest = WHOLE.slice(TOLD.length).match(/\s*\S{1,4}|\s+$/gu)!;
    assert.equal(seen.usage?.[1], rest.length);
  });

  it('goes on at no target that refused a field before, unless that continues', async (t) => {
    const refusal = openai(400, 'unknown_parameter', 'invalid_request_error', 'm', 'stream_options');
    const words = TOLD.match(/\s*\S+/g)!;
    const world = await startVirtualWorld(t, {
      providers: {
        a: () => ({ steps: [{ do: 'wait', ms: 600 }, ...refusal.steps] }),
        b: () => ({ steps: [...streamStart({ headersAfterMs: 400, words }), { do: 'break', code: 'ECONNRESET' }] }),
        c: () => chatStream({ words: [WHOLE.slice(TOLD.length)] }),
      },
      models: { fast: ['a/m', 'b/m', goesOn('c/m')] },
      config: { policy: { stream: { recover: 'continue' }, hedge: { enabled: true, delay: '500ms', budget: 1 } } },
    });
    const seen = await world.answerTo(request({ max_tokens: 1000 }));
    // The repeat without the field begins beside b, and ends when b has begun to answer.
    assert.deepEqual([world.callsTo('a'), world.callsTo('b'), world.callsTo('c')], [2, 1, 1]);
    assert.equal(contentOf(seen.text), WHOLE);
  });

  it('goes on at the next one where one fails before it goes on, or does not go on at all', async (t) => {
    const failing: StormOptions = { faults: [{ kind: '503' }] };
    const world = await start(t, { a: CUT, b: failing, c: {}, d: {} }, ['a/m', goesOn('b/m'), goesOn('c/partial-over'), goesOn('d/m')]);
    const seen = await ask(world);
    assert.deepEqual([seen.end, textOf(seen)], ['answer', WHOLE]);
    assert.deepEqual(callsOf(world), [1, 1, 1, 1]);
    assert.equal(world.eventsOf('finished')[0]!.attempts, 4);
    await assertAllBack(world);
  });
});

describe('a stream that breaks off ends in an error, after what was said,', () => {
  it('where the next one says that nobody can answer', async (t) => {
    // At once, and when some of its text has come but none has gone down yet.
    for (const timing of [{}, { tokensPerSecond: 100, eventsPerPacket: 1 }]) {
      const b: StormOptions = { faults: [{ kind: 'error-content', afterTokens: 5, reason: 'bad-json' }], timing };
      const world = await start(t, { a: CUT, b, c: {} }, ['a/m', goesOn('b/m'), goesOn('c/m')]);
      assertBroken(await ask(world), 'stream_interrupted');
      assert.deepEqual(callsOf(world), [1, 1, 0]);
      assert.equal(world.eventsOf('attempt_end').at(-1)!.verdict, 'reject');
      await assertAllBack(world);
    }
  });

  const ODD = ['over', 'reworded', 'repeat-3', 'chat', 'language-de', 'language-ja', 'nothing'];
  for (const way of ODD) {
    it(`where the next one answers by ${way}`, async (t) => {
      const world = await start(t, { a: CUT, b: {} }, ['a/m', goesOn(`b/partial-${way}`)]);
      const seen = await ask(world);
      assertBroken(seen, 'stream_interrupted');
      assert.match(seen.end === 'in band' ? seen.error.message : '', /^a\/m broke off its response: .*; b\/partial-/);
      // Who says nothing is asked once more, as ever.
      assert.deepEqual(callsOf(world), [1, way === 'nothing' ? 2 : 1]);
      assert.equal(world.eventsOf('finished')[0]!.outcome, 'interrupted');
      await assertAllBack(world);
    });
  }

  it('where recovery is off', async (t) => {
    const world = await start(t, { a: CUT, b: {} }, ['a/m', goesOn('b/m')], { stream: { recover: 'off' } });
    assertBroken(await ask(world), 'stream_interrupted');
    assert.deepEqual(callsOf(world), [1, 0]);
  });

  it('where no target continues partial answers', async (t) => {
    const world = await start(t, { a: CUT, b: {} }, ['a/m', 'b/m']);
    assertBroken(await ask(world), 'stream_interrupted');
    assert.deepEqual(callsOf(world), [1, 0]);
  });

  it('where only another tier continues, and the caller wants none', async (t) => {
    const world = await start(t, { a: CUT, b: {} }, ['a/m', goesOn('b/m')]);
    const seen = await askBySdk(world.openai, request(), { 'x-breakwater-fallback': 'off' });
    assertBroken(seen, 'stream_interrupted');
    assert.deepEqual(callsOf(world), [1, 0]);
  });

  it('where it breaks inside a tool call', async (t) => {
    const world = await start(t, { a: { faults: [{ kind: 'cut', afterTokens: 2 }] }, b: {} }, ['a/m', goesOn('b/m')]);
    const parameters = { type: 'object', properties: { place: { type: 'string' }, days: { type: 'integer' } } };
    const tools = [{ type: 'function', function: { name: 'forecast', parameters } }];
    const seen = await ask(world, { tools, tool_choice: 'required' });
    assert.equal(seen.end, 'in band');
    assert.deepEqual(callsOf(world), [1, 0]);
  });

  it('where too little was said to tell a continuation by', async (t) => {
    const world = await start(t, { a: { faults: [{ kind: 'cut', afterTokens: 4 }] }, b: {} }, ['a/m', goesOn('b/m')]);
    assert.equal((await ask(world)).end, 'in band');
    assert.deepEqual(callsOf(world), [1, 0]);
  });

  it('where there are several choices, or the caller gave a partial answer of its own', async (t) => {
    const world = await start(t, { a: CUT, b: {} }, ['a/m', goesOn('b/m')]);
    assert.equal((await ask(world, { n: 2 })).end, 'in band');
    const messages = [
      { role: 'user', content: PROMPT },
      { role: 'assistant', content: WHOLE.slice(0, 30) },
    ];
    assert.equal((await ask(world, { messages })).end, 'in band');
    assert.deepEqual(callsOf(world), [2, 0]);
  });

  it('where the next one is silent for as long as a stream may be', async (t) => {
    const world = await start(t, { a: CUT, b: { faults: [{ kind: 'silence-content' }] } }, ['a/m', goesOn('b/m')], {
      timeouts: { idle: '200ms' },
    });
    const seen = await ask(world);
    assertBroken(seen, 'stream_interrupted');
    assert.ok(seen.ms < 2000, `took ${seen.ms} ms`);
    await assertAllBack(world);
  });

  it('where the gateway stops', async (t) => {
    const world = await start(t, { a: CUT, b: { faults: [{ kind: 'silence' }] } }, ['a/m', goesOn('b/m')]);
    const asked = ask(world);
    await eventually(() => world.storms['b']!.stats().running === 1, 'the next one is asked');
    await world.gateway.close();
    assertBroken(await asked, 'shutting_down');
    assert.equal(world.eventsOf('finished')[0]!.outcome, 'interrupted');
  });
});

describe('while nobody goes on yet', () => {
  const chunk = (delta: object, finish: string | null = null) =>
    `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
  const head = { do: 'head', status: 200, headers: { 'content-type': 'text/event-stream' } } as const;
  const says = (text: string) => ({ do: 'send', bytes: chunk({ content: text }) }) as const;
  const breaks = { steps: [head, says(TOLD), { do: 'wait', ms: 1 }, { do: 'break', code: 'ECONNRESET' }] } as const;
  const models: Models = { fast: ['a/m', goesOn('b/m')] };
  const policy: Policy = {
    deadline: '5s',
    stream: { recover: 'continue', keepAlive: '10s' },
    timeouts: { idle: '60s', firstContent: '50s' },
  };

  it('comments keep the stream alive, and the deadline of its beginning is over', async (t) => {
    const rest = [says(WHOLE.slice(TOLD.length)), { do: 'send', bytes: `${chunk({}, 'stop')}data: [DONE]\n\n` }] as const;
    const late = { steps: [head, { do: 'wait', ms: 35_000 }, ...rest] } as const;
    const world = await startVirtualWorld(t, { providers: { a: () => breaks, b: () => late }, models, config: { policy } });
    const seen = await world.answerTo({ stream: true, max_tokens: undefined });
    assert.equal(contentOf(seen.text), WHOLE);
    assert.equal(seen.text.match(/^: keep-alive$/gm)?.length, 3);
    assert.ok(seen.endAtMs > 35_000 && seen.endAtMs < 36_000);
  });

  it('no more than one idle timeout passes, however many are asked', async (t) => {
    const silent = { steps: [head, { do: 'wait', ms: Infinity }] } as const;
    const world = await startVirtualWorld(t, {
      providers: { a: () => breaks, b: () => silent, c: () => silent, d: () => silent },
      models: { fast: ['a/m', goesOn('b/m'), goesOn('c/m'), goesOn('d/m')] },
      config: { policy },
    });
    const seen = await world.answerTo({ stream: true, max_tokens: undefined });
    assert.equal(errorOf(seen.text).code, 'stream_interrupted');
    assert.ok(seen.endAtMs <= 60_100, `ended after ${seen.endAtMs} ms`);
    assert.equal(world.upstream.running, 0);
  });
});

describe('the caller of a broken stream leaves', () => {
  it('while somebody is asked to go on: everything is closed', async (t) => {
    const world = await start(t, { a: CUT, b: { faults: [{ kind: 'silence-content' }] } }, ['a/m', goesOn('b/m')]);
    const caller = new AbortController();
    const response = await world.post('/v1/chat/completions', request(), { signal: caller.signal });
    const reading = response.text().catch(() => 'gone');
    await eventually(() => world.storms['b']!.stats().running === 1, 'the next one is asked');
    caller.abort();
    assert.equal(await reading, 'gone');
    await assertAllBack(world);
    assert.equal(world.storms['b']!.stats().aborted, 1);
    assert.equal(world.eventsOf('finished')[0]!.outcome, 'cancelled');
    assert.equal(world.gateway.targets()[1]!.breaker.failureRatio, 0);
  });

  it('while it goes on: everything is closed', async (t) => {
    const paced = { timing: { tokensPerSecond: 400, eventsPerPacket: 1 } };
    const world = await start(t, { a: CUT, b: paced }, ['a/m', goesOn('b/m')]);
    const caller = new AbortController();
    const response = await world.post('/v1/chat/completions', request(), { signal: caller.signal });
    const reading = response.text().catch(() => 'gone');
    await eventually(() => world.eventsOf('note').length === 2, 'somebody goes on');
    caller.abort();
    assert.equal(await reading, 'gone');
    await assertAllBack(world);
    assert.equal(world.eventsOf('finished')[0]!.outcome, 'cancelled');
  });
});

const RUNS = 1000;
const BREAKS = ['cut', 'cut-reset', 'error-content'];
const WAYS = ['m', 'm', 'partial-over', 'partial-reworded', 'partial-repeat', 'partial-chat', 'partial-language', 'partial-nothing'];

interface Run {
  readonly prompt: string;
  readonly way: string;
  readonly targets: Models[string];
}

function makeRuns(seed: number): Run[] {
  const random = createSeededRandom(seed);
  const below = (count: number) => Math.floor(random.next() * count);
  return Array.from({ length: RUNS }, (_, index) => {
    const prompt = `prose ${PROSE_LANGUAGES[below(PROSE_LANGUAGES.length)]} ${below(1e6)}`;
    const pieces = proseFor(prompt)!.match(/\s*\S{1,4}|\s+$/gu)!;
    const way = WAYS[index % WAYS.length]!;
    const arg = way === 'partial-repeat' ? `-${1 + below(200)}` : '';
    // From where there is enough to go on with.
    const at = 9 + below(pieces.length - 9);
    return { prompt, way, targets: [`a/fault-${BREAKS[below(BREAKS.length)]}-${at}`, goesOn(`b/${way}${arg}`)] };
  });
}

describe('1,000 broken streams, in ten languages, at any place', () => {
  it('are never wrongly continued, and nine of ten true continuations are kept', async (t) => {
    const runs = makeRuns(20);
    const world = await startWorld(t, {
      // Paced, so that the streams are committed before they break.
      storms: { a: { timing: { tokensPerSecond: 20_000, eventsPerPacket: 5 } }, b: {} },
      models: Object.fromEntries(runs.map(({ targets }, index) => [`run-${index}`, targets])),
      config: { policy: { stream: { recover: 'continue' }, breaker: { consecutiveFailures: 100_000, minRequests: 100_000 } } },
    });
    /** `unbroken`: it broke before a byte of it had gone down, which is an ordinary fallback. */
    const fates: Record<string, { unbroken: number; kept: number; refused: number }> = {};
    let next = 0;
    const worker = async () => {
      for (let index = next++; index < runs.length; index = next++) {
        const { prompt, way } = runs[index]!;
        const seen = await world.ask(
          { model: `run-${index}`, stream: true, max_tokens: undefined, messages: [{ role: 'user', content: prompt }] },
          {},
          'process',
        );
        const whole = proseFor(prompt)!;
        const said = contentOf(seen.text);
        const fate = (fates[way] ??= { unbroken: 0, kept: 0, refused: 0 });
        assert.ok(whole.startsWith(said), `run ${index} (${way}) went on wrongly: ${JSON.stringify(said.slice(-200))}`);
        if (seen.text.endsWith('data: [DONE]\n\n')) {
          assert.equal(said, whole, `run ${index} (${way}) ended as if it were whole`);
          if (seen.text.includes('\n: breakwater continued ')) fate.kept++;
          else fate.unbroken++;
        } else {
          assert.match(String(errorOf(seen.text).code), /^stream_/);
          fate.refused++;
        }
      }
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    t.diagnostic(JSON.stringify(fates));
    const { kept, refused } = fates['m']!;
    assert.ok(kept + refused >= 200);
    assert.ok(kept >= 0.9 * (kept + refused), `kept ${kept} of ${kept + refused} true continuations`);
    assert.ok(world.eventsOf('finished').every((event) => event.attempts <= 4));
    await assertAllBack(world);
  });
});
