/** Cached responses: who gets them, in which form, for how long, and what is never stored. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { chatResponse, chatError, chatStream } from '../../src/testing/index.ts';
import { contentOf } from './world.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualOptions, VirtualWorld } from './virtual.ts';

const cacheOn: NonNullable<VirtualOptions['config']> = { policy: { cache: { enabled: true } } };

async function start(t: TestContext, options: Partial<VirtualOptions> = {}): Promise<VirtualWorld> {
  return startVirtualWorld(t, {
    providers: {
      a: (call) => (isStream(call.request.body) ? chatStream({ headersAfterMs: 50, gapMs: 10 }) : chatResponse({ headersAfterMs: 100 })),
    },
    config: cacheOn,
    ...options,
  });
}

function isStream(body: Uint8Array | null): boolean {
  return Buffer.from(body ?? []).includes('"stream":true');
}

describe('a cache', () => {
  it('is off by default', async (t) => {
    const world = await start(t, { config: {} });
    for (let i = 0; i < 2; i++) assert.equal((await world.answerTo()).headers.get('x-breakwater-cache'), null);
    assert.equal(world.callsTo('a'), 2);
  });

  it('serves the same request again without a call', async (t) => {
    const world = await start(t);
    const first = await world.answerTo();
    world.clock.advance(5_000);
    const again = await world.answerTo();
    assert.equal(world.callsTo('a'), 1);
    assert.equal(again.status, 200);
    assert.equal(again.text, first.text);
    assert.equal(first.headers.get('x-breakwater-cache'), null);
    assert.equal(again.headers.get('x-breakwater-cache'), 'hit');
    assert.equal(again.headers.get('age'), '5');
    assert.equal(again.headers.get('x-breakwater-target'), 'a/m');
    assert.equal(again.headers.get('x-breakwater-attempts'), '0');
    assert.equal(again.headers.get('x-breakwater-cost-usd'), '0');
    assert.notEqual(again.headers.get('x-request-id'), first.headers.get('x-request-id'));
    assert.equal(Number(again.headers.get('content-length')), Buffer.byteLength(again.text));
    const ends = world.eventsOf('finished');
    assert.deepEqual(
      ends.map(({ outcome, cache, attempts, target }) => [outcome, cache, attempts, target]),
      [
        ['success', null, 1, 'a/m'],
        ['success', 'hit', 0, 'a/m'],
      ],
    );
  });

  for (const [first, second] of [
    [true, true],
    [true, false],
    [false, true],
  ]) {
    it(`serves ${second ? 'a stream' : 'a non-streaming request'} from what was ${first ? 'streamed' : 'not streamed'}`, async (t) => {
      const world = await start(t);
      const made = await world.answerTo({ stream: first });
      const again = await world.answerTo({ stream: second });
      assert.equal(world.callsTo('a'), 1);
      assert.equal(again.headers.get('x-breakwater-cache'), 'hit');
      assert.match(again.headers.get('content-type')!, second ? /event-stream/ : /json/);
      assert.equal(contentOf(again.text), contentOf(made.text));
      assert.equal(again.text.trimEnd().endsWith('[DONE]'), second);
    });
  }
});

describe('identical requests at the same time', () => {
  for (const stream of [false, true]) {
    it(`share one ${stream ? 'stream' : 'non-streaming response'}`, async (t) => {
      const world = await start(t);
      const all = Array.from({ length: 20 }, () => world.ask({ stream }));
      const seen = await world.until(Promise.all(all.map(({ done }) => done)));
      assert.equal(world.callsTo('a'), 1);
      assert.equal(new Set(seen.map(({ text }) => text)).size, 1);
      assert.deepEqual(
        seen.slice(1).map(({ headers }) => headers.get('x-breakwater-cache')),
        Array.from({ length: 19 }, () => 'coalesced'),
      );
      assert.equal(world.gateway.queue().inFlight, 0);
      assert.equal(world.gateway.queue().heldBytes, 0);
    });
  }

  it('continue when the first caller disconnects', async (t) => {
    const world = await start(t);
    const first = world.ask({ stream: true });
    const second = world.ask({ stream: true });
    first.done.catch(() => {});
    world.clock.schedule(55, () => first.leave());
    const seen = await world.until(second.done);
    assert.match(seen.text, /\[DONE\]/);
    assert.equal(world.callsTo('a'), 1);
    assert.deepEqual(
      world
        .eventsOf('finished')
        .map(({ outcome, status }) => `${outcome} ${status}`)
        .toSorted((a, b) => a.localeCompare(b)),
      ['cancelled 499', 'success 200'],
    );
  });
});

describe('a total outage', () => {
  it('is bridged by stale responses', async (t) => {
    let isDown = false;
    const world = await start(t, { providers: { a: () => (isDown ? chatError(500) : chatResponse()) } });
    const made = await world.answerTo();
    isDown = true;
    world.clock.advance(3_700_000);
    const stale = await world.answerTo();
    assert.equal(stale.status, 200);
    assert.equal(stale.text, made.text);
    assert.equal(stale.headers.get('x-breakwater-cache'), 'stale');
    assert.ok(Number(stale.headers.get('age')) >= 3_700);
    assert.equal(world.eventsOf('finished').at(-1)!.cache, 'stale');
    assert.equal(world.eventsOf('finished').at(-1)!.outcome, 'success');
  });
});
