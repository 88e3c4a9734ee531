/** What judging may hold and take: memory, places, calls; and what becomes of it when the caller leaves (virtual time). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chatResponse, chatStream, streamEnd, streamStart } from '../../src/testing/index.ts';
import type { SimulatedResponse } from '../../src/testing/index.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualWorld } from './virtual.ts';
import { contentOf, errorOf } from './world.ts';

const GOOD = 'The harbour lay calm in the morning.';
const says = (text: string) => () => chatResponse({ words: [text] });

/** So much virtual time passes. */
const pass = (world: VirtualWorld, ms: number): Promise<unknown> =>
  world.until(new Promise((resolve) => world.clock.schedule(ms, () => resolve(null))));

const MB = 1024 * 1024;
const large = (mb: number, reason = 'stop'): SimulatedResponse => {
  const end = streamEnd().map((step) => ('bytes' in step ? { ...step, bytes: String(step.bytes).replace('"stop"', `"${reason}"`) } : step));
  return { steps: [...streamStart({ words: Array.from({ length: mb }, () => 'x'.repeat(MB)), gapMs: 100 }), ...end] };
};

describe('what is held of an answer', () => {
  const held = (world: VirtualWorld): number => world.gateway.queue().heldBytes;

  it('is counted while it is held, and not longer', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: () => large(4) }, config: { policy: { quality: { buffer: true } } } });
    const asked = world.ask({ stream: true });
    await pass(world, 250);
    assert.ok(held(world) > 2 * MB && held(world) < 4 * MB, `${held(world)} bytes`);
    assert.equal(contentOf((await world.until(asked.done)).text).length, 4 * MB);
    assert.equal(held(world), 0);
  });

  it('is counted when it is kept because nothing better came yet', async (t) => {
    const quality = { buffer: true, rejectTruncated: true };
    const world = await startVirtualWorld(t, {
      providers: { a: () => large(2, 'length'), b: () => chatStream({ words: ['x'], firstContentAfterMs: 5_000 }) },
      config: { policy: { quality } },
    });
    const asked = world.ask({ stream: true });
    await pass(world, 3_000);
    assert.ok(held(world) > 2 * MB, `${held(world)} bytes`);
    assert.equal(contentOf((await world.until(asked.done)).text), 'x');
    assert.equal(held(world), 0);
  });

  it('is given back when the caller leaves, or the answer breaks off', async (t) => {
    const broken: SimulatedResponse = { steps: [...streamStart({ words: ['x'.repeat(MB)] }), { do: 'break', code: 'ECONNRESET' }] };
    const world = await startVirtualWorld(t, {
      providers: { a: () => broken, b: () => large(8) },
      config: { policy: { quality: { buffer: true } } },
    });
    const asked = world.ask({ stream: true });
    asked.done.catch(() => {});
    await pass(world, 350);
    assert.ok(held(world) > MB && held(world) < 5 * MB, `${held(world)} bytes`);
    asked.leave();
    await world.until(asked.done.catch(() => null));
    assert.deepEqual([held(world), world.upstream.running], [0, 0]);
  });

  it('is no more than a megabyte where memory is full: the rest goes out as it comes, unjudged', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: () => large(6, 'length'), b: () => chatStream() },
      config: { server: { maxBufferedBytes: '1mb' }, policy: { quality: { buffer: true, rejectTruncated: true } } },
    });
    const seen = await world.answerTo({ stream: true });
    assert.deepEqual([seen.headers.get('x-breakwater-target'), contentOf(seen.text).length], ['a/m', 6 * MB]);
    assert.ok(seen.headAtMs < seen.endAtMs);
    assert.ok(world.eventsOf('note').some(({ note }) => note.includes('memory is short')));
    assert.equal(held(world), 0);
  });

  it('is judged all the same where memory is full, if it is small', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: () => large(3), s: says('Short.'), g: says(GOOD) },
      models: { big: ['a/m'], fast: ['s/m', 'g/m'] },
      config: { server: { maxBufferedBytes: '1mb' }, policy: { quality: { minLength: 20, buffer: true } } },
    });
    const big = world.ask({ model: 'big', stream: true });
    await pass(world, 150);
    assert.equal(contentOf((await world.answerTo()).text), GOOD);
    await world.until(big.done);
  });
});

describe('a judge', () => {
  const judged = (policy: object = {}, check: object = { model: 'judge', instruction: 'Is it good?' }) => ({
    models: { fast: { targets: ['a/m', 'b/m'], quality: { check } }, judge: ['j/m'] } as never,
    config: { policy },
  });

  it('is hung up on when its caller leaves', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: says(GOOD), b: says(GOOD), j: () => chatResponse({ headersAfterMs: 60_000 }) },
      ...judged(),
    });
    const asked = world.ask();
    asked.done.catch(() => {});
    await pass(world, 1_000);
    assert.deepEqual([world.callsTo('j'), world.upstream.running], [1, 1]);
    asked.leave();
    await world.until(asked.done.catch(() => null));
    await world.clock.advanceAsync(0);
    assert.equal(world.upstream.running, 0);
    assert.deepEqual([world.gateway.queue().inFlight, ...world.gateway.targets().map(({ inFlight }) => inFlight)], [0, 0, 0, 0]);
    assert.deepEqual(
      world.eventsOf('finished').map(({ outcome }) => outcome),
      ['cancelled', 'cancelled'],
    );
  });

  it('waits for its own limit like any call, and is not asked beyond the deadline of its caller', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: says(GOOD), b: says(GOOD), j: () => chatResponse({ words: ['PASS'] }) },
      ...judged(),
      limits: { requestsPerMinute: 1 },
    });
    assert.equal((await world.answerTo()).status, 200);
    assert.equal(world.callsTo('j'), 1);
    const seen = await world.answerTo({}, { 'x-breakwater-deadline-ms': '20000' });
    assert.deepEqual([seen.status, seen.headers.get('x-breakwater-target'), world.callsTo('j')], [200, 'b/m', 1]);
    assert.ok(seen.endAtMs <= 20_000);
    assert.ok(world.eventsOf('note').some(({ note, notable }) => notable === 'warn' && note.includes('the judge judge did not respond')));
  });

  it('takes nothing of the attempts of its request', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: {
        a: says('bad'),
        b: says('good'),
        j: ({ body }) => chatResponse({ words: [body.includes('<answered>\\ngood') ? 'PASS' : 'FAIL'] }),
      },
      ...judged({ maxAttempts: 2 }),
    });
    const seen = await world.answerTo();
    assert.deepEqual([contentOf(seen.text), seen.headers.get('x-breakwater-attempts'), world.callsTo('j')], ['good', '2', 2]);
  });
});

describe('an answer that falls short', () => {
  it('goes out marked where only the first tier may be asked', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: says('Short.'), b: says(GOOD) },
      config: { policy: { quality: { minLength: 20 } } },
    });
    const seen = await world.answerTo({}, { 'x-breakwater-fallback': 'off' });
    assert.deepEqual([contentOf(seen.text), seen.headers.get('x-breakwater-quality')], ['Short.', 'short']);
    assert.deepEqual([seen.headers.get('x-breakwater-fallback'), world.callsTo('b')], [null, 0]);
  });

  it('sends the request to the others of the first tier even so', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: says('Short.'), b: says(GOOD) },
      models: {
        fast: {
          targets: [
            [
              { target: 'a/m', weight: 1000 },
              { target: 'b/m', weight: 0.001 },
            ],
          ],
        } as never,
      },
      config: { policy: { quality: { minLength: 20 } } },
    });
    assert.equal(contentOf((await world.answerTo({}, { 'x-breakwater-fallback': 'off' })).text), GOOD);
  });

  it('is asked for again of nobody who gave it, however many attempts and keys are left', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: says('Short.') },
      keys: ['sk-1', 'sk-2', 'sk-3'],
      config: { policy: { maxAttempts: 10, quality: { minLength: 20 } } },
    });
    for (let i = 0; i < 20; i++) assert.equal((await world.answerTo()).headers.get('x-breakwater-quality'), 'short');
    assert.equal(world.callsTo('a'), 20);
    const [target] = world.gateway.targets();
    assert.deepEqual([target!.breaker.state, target!.breaker.failureRatio], ['closed', 0]);
  });

  it('is the best there is when the deadline passes before another comes', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: says('Short.'), b: () => chatResponse({ headersAfterMs: 60_000 }) },
      config: { policy: { quality: { minLength: 20 } } },
    });
    const seen = await world.answerTo({}, { 'x-breakwater-deadline-ms': '5000' });
    assert.deepEqual([seen.status, contentOf(seen.text), seen.headers.get('x-breakwater-quality')], [200, 'Short.', 'short']);
    assert.ok(seen.endAtMs <= 5_000);
  });

  it('of several choices is enough', async (t) => {
    const two = (second: string | null): SimulatedResponse => {
      const choices = [GOOD, second].map((content, index) => ({ index, message: { role: 'assistant', content }, finish_reason: 'stop' }));
      const bytes = JSON.stringify({ id: 'x', object: 'chat.completion', created: 1, model: 'm', choices });
      return {
        steps: [
          { do: 'head', status: 200, headers: { 'content-type': 'application/json' } },
          { do: 'send', bytes },
        ],
      };
    };
    const world = await startVirtualWorld(t, { providers: { a: () => two(null), b: () => two(GOOD) } });
    assert.equal((await world.answerTo({ n: 2 })).headers.get('x-breakwater-target'), 'b/m');
    assert.deepEqual(world.gateway.targets()[0]!.failedQualityChecks, { empty: 1 });
  });
});

it('nobody is told of an error where a real answer was there', async (t) => {
  const world = await startVirtualWorld(t, {
    providers: { a: says('Short.'), b: () => ({ steps: [{ do: 'break', code: 'ECONNREFUSED' }] }) },
    config: { policy: { maxAttempts: 2, quality: { minLength: 20 } } },
  });
  const seen = await world.answerTo();
  assert.equal(seen.status, 200, JSON.stringify(seen.status === 200 ? '' : errorOf(seen.text)));
  assert.equal(contentOf(seen.text), 'Short.');
});

it('a poor answer is never kept for those who ask the same, whoever gave it', async (t) => {
  let calls = 0;
  const world = await startVirtualWorld(t, {
    providers: { a: () => chatResponse({ words: [++calls < 3 ? 'Short.' : GOOD] }) },
    config: { policy: { quality: { minLength: 20 }, cache: { enabled: true } } },
  });
  const marks: unknown[] = [];
  for (let i = 0; i < 5; i++) {
    const { headers } = await world.answerTo();
    marks.push([headers.get('x-breakwater-quality'), headers.get('x-breakwater-cache')]);
  }
  assert.deepEqual(marks, [
    ['short', null],
    ['short', null],
    [null, null],
    [null, 'hit'],
    [null, 'hit'],
  ]);
  assert.equal(calls, 3);
});
