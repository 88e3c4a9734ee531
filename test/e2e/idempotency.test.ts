/** A request repeated under its `idempotency-key`, with the cache off: it runs once, and repeats get its result. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { chatResponse, chatError, chatStream, streamStart } from '../../src/testing/index.ts';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/index.ts';
import { contentOf, errorOf } from './world.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualOptions, VirtualWorld } from './virtual.ts';

const KEY = { 'idempotency-key': 'order-17' };

async function start(t: TestContext, answer: (call: SimulatedCall, nth: number) => SimulatedResponse, more: Partial<VirtualOptions> = {}) {
  let nth = 0;
  const world = await startVirtualWorld(t, { providers: { a: (call) => answer(call, nth++) }, ...more });
  return world;
}

const slowStream = () => chatStream({ headersAfterMs: 1_000, gapMs: 1_000 });
const uses = (world: VirtualWorld) => world.eventsOf('finished').map(({ cache }) => cache);

function assertNothingHeld(world: VirtualWorld): void {
  const queue = world.gateway.queue();
  assert.deepEqual([queue.waiting, queue.inFlight, queue.heldBytes], [0, 0, 0]);
  for (const { inFlight } of world.gateway.targets()) assert.equal(inFlight, 0);
}

describe('a repeated request', () => {
  for (const stream of [false, true]) {
    it(`gets the first response, ${stream ? 'streaming' : 'non-streaming'}`, async (t) => {
      const world = await start(t, () => (stream ? slowStream() : chatResponse()));
      const first = await world.answerTo({ stream }, KEY);
      const again = await world.answerTo({ stream }, KEY);
      assert.equal(world.callsTo('a'), 1);
      assert.equal(again.text, first.text);
      assert.equal(again.headers.get('x-breakwater-cache'), 'hit');
      assert.deepEqual(uses(world), [null, 'hit']);
      assertNothingHeld(world);
    });

    it(`joins the first one while it runs, ${stream ? 'streaming' : 'non-streaming'}`, async (t) => {
      const world = await start(t, () => (stream ? slowStream() : chatResponse({ headersAfterMs: 3_000 })));
      const first = world.ask({ stream }, KEY);
      await world.until(new Promise<void>((resolve) => void world.clock.schedule(1_500, resolve)));
      const second = await world.until(world.ask({ stream }, KEY).done);
      assert.equal((await first.done).text, second.text);
      assert.equal(world.callsTo('a'), 1);
      assert.equal(second.headers.get('x-breakwater-cache'), 'coalesced');
      if (stream)
        assert.deepEqual(
          [second.pieces[0]!.atMs < 500, second.pieces.length > 1],
          [true, true],
          'everything so far at once, then the rest as it arrives',
        );
      assertNothingHeld(world);
    });
  }

  it('runs again for another key, and for another client', async (t) => {
    const clients = ['web', 'nightly'].map((name) => ({ name, key: `${name}-key-1234` }));
    const world = await start(t, () => chatResponse(), { config: { clients } });
    for (const key of ['web', 'nightly']) await world.answerTo({}, { ...KEY, 'x-api-key': `${key}-key-1234` });
    await world.answerTo({}, { 'idempotency-key': 'order-18', 'x-api-key': 'web-key-1234' });
    assert.equal(world.callsTo('a'), 3);
    assert.deepEqual(uses(world), [null, null, null]);
  });

  for (const [what, answer] of [
    ['under way', () => chatResponse({ headersAfterMs: 1_000 })],
    ['answered', () => chatResponse()],
  ] as const) {
    it(`with another body is rejected while the first is ${what}`, async (t) => {
      const world = await start(t, answer);
      const first = world.ask({}, KEY);
      if (what === 'answered') await world.until(first.done);
      else await world.until(new Promise<void>((resolve) => void world.clock.schedule(500, resolve)));
      const other = await world.answerTo({ temperature: 0 }, KEY);
      assert.equal(other.status, 409);
      assert.equal(errorOf(other.text).code, 'idempotency_conflict');
      assert.equal(errorOf(other.text).param, 'idempotency-key');
      assert.equal(other.headers.get('x-should-retry'), 'false');
      assert.equal((await world.until(first.done)).status, 200, 'the first one is not affected');
      assert.equal(world.callsTo('a'), 1);
      assertNothingHeld(world);
    });
  }

  it('runs again after a 5xx, as SDKs that retry need it', async (t) => {
    const world = await start(t, (_, nth) => (nth === 0 ? chatError(500) : chatResponse()), { config: { policy: { maxAttempts: 1 } } });
    assert.equal((await world.answerTo({}, KEY)).status, 500);
    const again = await world.answerTo({}, KEY);
    assert.equal(again.status, 200);
    assert.equal(again.headers.get('x-breakwater-cache'), null);
    assert.equal(world.callsTo('a'), 2);
  });

  it('gets the same permanent failure', async (t) => {
    const world = await start(t, () => chatError(400, { code: 'invalid_value', type: 'invalid_request_error', param: 'n' }));
    const first = await world.answerTo({}, KEY);
    const again = await world.answerTo({}, KEY);
    assert.equal(first.status, 400);
    assert.deepEqual([again.status, again.text], [400, first.text]);
    assert.equal(again.headers.get('x-breakwater-cache'), 'hit');
    assert.equal(world.callsTo('a'), 1);
    assert.equal(world.eventsOf('finished').at(-1)!.outcome, 'failed');
  });

  it('runs again after a broken response', async (t) => {
    const broken = { steps: [...streamStart(), { do: 'break' as const, code: 'ECONNRESET' }] };
    const world = await start(t, (_, nth) => (nth === 0 ? broken : chatStream()));
    const first = await world.answerTo({ stream: true }, KEY);
    assert.equal(errorOf(first.text).code, 'stream_interrupted');
    const again = await world.answerTo({ stream: true }, KEY);
    assert.equal(contentOf(again.text), 'one two three');
    assert.equal(again.headers.get('x-breakwater-cache'), null);
    assertNothingHeld(world);
  });

  it('runs again after a day', async (t) => {
    const world = await start(t, () => chatResponse());
    await world.answerTo({}, KEY);
    world.clock.advance(86_400_000 - 1_000);
    await world.answerTo({}, KEY);
    assert.equal(world.callsTo('a'), 1);
    world.clock.advance(2_000);
    await world.answerTo({}, KEY);
    assert.equal(world.callsTo('a'), 2);
  });

  it('gets a conflict in its own form, streaming or not', async (t) => {
    const world = await start(t, () => chatResponse());
    await world.answerTo({}, KEY);
    assert.equal((await world.answerTo({ stream: true }, KEY)).status, 409);
  });
});

describe('callers who disconnect', () => {
  it('leave a keyed request running for a minute, so that its response can be fetched', async (t) => {
    const world = await start(t, () => chatResponse({ headersAfterMs: 50_000 }));
    const first = world.ask({}, KEY);
    first.done.catch(() => {});
    world.clock.schedule(1_000, () => first.leave());
    await world.until(new Promise<void>((resolve) => void world.clock.schedule(55_000, resolve)));
    const again = await world.answerTo({}, KEY);
    assert.equal(again.status, 200);
    assert.equal(world.callsTo('a'), 1);
    const [end] = world.eventsOf('finished');
    assert.deepEqual([end!.outcome, end!.status, end!.target], ['cancelled', 499, 'a/m']);
    assertNothingHeld(world);
  });

  it('and do not return within it end it', async (t) => {
    const world = await start(t, () => chatResponse({ headersAfterMs: 120_000 }));
    const first = world.ask({}, KEY);
    first.done.catch(() => {});
    world.clock.schedule(1_000, () => first.leave());
    await world.until(new Promise<void>((resolve) => void world.clock.schedule(62_000, resolve)));
    assertNothingHeld(world);
    assert.equal(world.eventsOf('attempt_end').at(-1)!.verdict, 'cancelled');
    await world.answerTo({}, KEY);
    assert.equal(world.callsTo('a'), 2, 'it never got a response, so it runs again');
  });

  it('and return in time keep it', async (t) => {
    const world = await start(t, () => chatResponse({ headersAfterMs: 120_000 }));
    const first = world.ask({}, KEY);
    first.done.catch(() => {});
    world.clock.schedule(1_000, () => first.leave());
    await world.until(new Promise<void>((resolve) => void world.clock.schedule(40_000, resolve)));
    assert.equal((await world.answerTo({}, KEY)).status, 200);
    assert.equal(world.callsTo('a'), 1);
    assertNothingHeld(world);
  });
});

describe('deadlines', () => {
  it('have their own deadlines; the response is generated for the longest', async (t) => {
    const world = await start(t, () => chatResponse({ headersAfterMs: 20_000 }));
    const first = world.ask({}, { ...KEY, 'x-breakwater-deadline-ms': '5000' });
    await world.until(new Promise<void>((resolve) => void world.clock.schedule(1_000, resolve)));
    const second = world.ask({}, { ...KEY, 'x-breakwater-deadline-ms': '60000' });
    const third = world.ask({}, { ...KEY, 'x-breakwater-deadline-ms': '2000' });
    const seen = await world.until(Promise.all([first.done, second.done, third.done]));
    assert.deepEqual(
      seen.map(({ status }) => status),
      [504, 200, 504],
    );
    assert.deepEqual([seen[0].endAtMs, seen[2].endAtMs], [5_000, 2_000]);
    assert.equal(errorOf(seen[0].text).code, 'deadline_exceeded');
    assert.equal(world.callsTo('a'), 1);
    assertNothingHeld(world);
  });
});

describe('the key itself', () => {
  for (const [what, key] of [
    ['empty', ''],
    ['too long', 'k'.repeat(256)],
  ] as const) {
    it(`is rejected when it is ${what}`, async (t) => {
      const world = await start(t, () => chatResponse());
      const seen = await world.answerTo({}, { 'idempotency-key': key });
      assert.equal(seen.status, 400);
      assert.equal(errorOf(seen.text).param, 'idempotency-key');
      assert.match(errorOf(seen.text).message, /1 to 255 characters/);
    });
  }
});
