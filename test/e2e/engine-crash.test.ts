/** A model on this machine that crashes or hangs is a target that failed, and nothing more. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/gateway/system-clock.ts';
import { LocalTransport } from '../../src/transport/local/local-transport.ts';
import { createUndiciTransport } from '../../src/transport/undici-transport.ts';
import { contentOf, errorOf, eventually, startWorld } from './world.ts';
import type { World } from './world.ts';

const faulty = new URL('../../src/local/faulty-engine-worker.test-suite.ts', import.meta.url);

function start(t: TestContext): Promise<World> {
  return startWorld(t, {
    storms: { a: {} },
    providers: { local: { maxHeap: '64mb' } },
    config: { policy: { retry: { baseDelay: '1ms' } } },
    models: { fast: ['local/extract', 'a/m'], alone: ['local/extract'] },
    transport: new LocalTransport(createUndiciTransport(), systemClock, faulty),
  });
}

const say = (content: string, more: object = {}) => ({ messages: [{ role: 'user', content }], ...more });
const engineOf = (world: World) => world.gateway.targets().find(({ target }) => target === 'local/extract')!;

for (const what of ['exit', 'throw', 'eat']) {
  test(`its thread crashes (${what}): the next target answers, and the one after is answered by a fresh thread`, async (t) => {
    const world = await start(t);
    const seen = await world.ask(say(what));
    assert.equal(seen.status, 200);
    assert.equal(seen.headers.get('x-breakwater-target'), 'a/m');
    assert.equal(seen.headers.get('x-breakwater-fallback'), 'server_error');
    assert.match(world.eventsOf('warning').at(-1)!.message, /^local\/extract crashed: /);
    const next = await world.ask(say('say hello'));
    assert.equal(next.headers.get('x-breakwater-target'), 'local/extract');
    assert.equal(contentOf(next.text), 'hello');
    assert.equal(engineOf(world).engine?.crashes, 1);
  });
}

test('it crashes within a stream: the caller is told in band, never given a whole answer', async (t) => {
  const world = await start(t);
  const seen = await world.ask(say('begin, exit', { stream: true }));
  assert.equal(seen.status, 200);
  assert.equal(errorOf(seen.text).code, 'stream_interrupted');
  assert.doesNotMatch(seen.text, /\[DONE\]/);
  await eventually(() => engineOf(world).inFlight === 0, 'the permit is back');
});

test('alone it is asked again within the budget, and then rests as any target that fails', async (t) => {
  const world = await start(t);
  for (let i = 0; i < 6; i++) {
    const seen = await world.ask({ model: 'alone', ...say('exit') }, { 'x-breakwater-deadline-ms': '1000' });
    assert.ok(seen.status >= 500, seen.text);
  }
  const { breaker, cooldownMs, inFlight } = engineOf(world);
  assert.ok(breaker.state === 'open' || cooldownMs > 0);
  assert.equal(inFlight, 0);
  const other = await world.ask(say('exit'));
  assert.equal(other.headers.get('x-breakwater-target'), 'a/m');
});

test('it hangs: silence ends as with any target, and the next target answers', async (t) => {
  const world = await startWorld(t, {
    storms: { a: {} },
    providers: { local: { timeouts: { headers: '300ms', firstContent: '300ms' } } },
    models: { fast: ['local/extract', 'a/m'] },
    transport: new LocalTransport(createUndiciTransport(), systemClock, faulty),
  });
  const seen = await world.ask(say('spin'));
  assert.equal(seen.headers.get('x-breakwater-target'), 'a/m');
  assert.equal(seen.headers.get('x-breakwater-fallback'), 'timeout');
});
