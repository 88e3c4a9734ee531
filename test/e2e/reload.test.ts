/** A changed config takes the old one's place while requests run. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseConfig } from '../../src/gateway/config/index.ts';
import type { Config, ConfigInput } from '../../src/gateway/config/index.ts';
import { chatResponse } from '../../src/testing/index.ts';
import { startVirtualWorld } from './virtual.ts';
import { contentOf, eventually, startWorld } from './world.ts';
import type { World } from './world.ts';

function configOf(input: ConfigInput): Config {
  const parsed = parseConfig(input, { source: 'library' });
  assert.ok(parsed.ok);
  return parsed.config;
}

function inputOf(world: World, limits: Record<string, number>, more: ConfigInput = {}): ConfigInput {
  const providers = Object.fromEntries(
    Object.entries(world.storms).map(([name, storm]) => [
      name,
      { protocol: 'openai' as const, baseUrl: storm.url, apiKey: 'sk-test', limits },
    ]),
  );
  return { providers, models: { fast: Object.keys(providers).map((name) => `${name}/m`) }, ...more };
}

describe('a reload', { concurrency: true }, () => {
  it('leaves running streams untouched, even of a provider that is gone', async (t) => {
    const paced = { tokens: 40, tokensPerSecond: 80, eventsPerPacket: 1 };
    const world = await startWorld(t, { storms: { a: { timing: paced }, b: {} }, models: { fast: ['a/m'] } });
    const streams = Array.from({ length: 5 }, () => world.ask({ stream: true, max_tokens: 100 }));
    await eventually(() => world.eventsOf('committed').length === 5, 'five streams');
    const { b } = inputOf(world, {}).providers!;
    await world.gateway.reload(configOf({ providers: { b: b! }, models: { fast: ['b/m'] } }));
    const next = await world.ask();
    assert.equal(next.headers.get('x-breakwater-target'), 'b/m');
    for (const seen of await Promise.all(streams)) {
      assert.match(seen.text, /data: \[DONE\]\n\n$/);
      assert.equal(contentOf(seen.text).trim().split(/\s+/).length, 40);
      assert.equal(seen.headers.get('x-breakwater-target'), 'a/m');
    }
    assert.deepEqual([world.storms['a']!.stats().calls, world.storms['a']!.stats().aborted], [5, 0]);
    assert.equal(world.eventsOf('lifecycle').filter((event) => event.state === 'reloaded').length, 1);
  });

  it('keeps the levels of limits, and of those that were changed', async (t) => {
    const before = { requestsPerMinute: 60 };
    const world = await startWorld(t, { storms: { a: {} }, providers: { a: { limits: before } } });
    await Promise.all(Array.from({ length: 50 }, () => world.ask()));
    const available = () => world.gateway.targets()[0]!.limits[0]!.available;
    assert.ok(available() < 15, `${available()}`);
    await world.gateway.reload(configOf(inputOf(world, before)));
    assert.ok(available() < 15, `${available()} with the same limits`);
    await world.gateway.reload(configOf(inputOf(world, { requestsPerMinute: 90 })));
    assert.ok(available() < 50, `${available()} with a larger limit`);
    await world.gateway.reload(configOf(inputOf(world, { requestsPerMinute: 30 })));
    assert.ok(available() < 15, `${available()} with a smaller limit`);
  });

  it('keeps an open breaker open', async (t) => {
    const world = await startWorld(t, { storms: { a: { faults: [{ kind: '500' }] } }, config: { policy: { maxAttempts: 1 } } });
    for (let i = 0; i < 5; i++) await world.ask();
    await world.gateway.reload(configOf(inputOf(world, { concurrency: 3 })));
    assert.equal(world.gateway.targets()[0]!.breaker.state, 'open');
    assert.equal((await world.ask({}, { 'x-breakwater-deadline-ms': '300' })).status, 503);
    assert.equal(world.storms['a']!.stats().calls, 5);
  });

  it('that gives more room starts those who wait', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: () => chatResponse({ headersAfterMs: 400 }) }, limits: { concurrency: 1 } });
    const asked = Array.from({ length: 4 }, () => world.ask());
    await world.clock.advanceAsync(100);
    assert.equal(world.gateway.queue().waiting, 3);
    const providers = { a: { protocol: 'openai' as const, baseUrl: 'http://a/v1', apiKey: 'sk-test', limits: { concurrency: 4 } } };
    await world.gateway.reload(configOf({ providers, models: { fast: ['a/m'] } }));
    await world.clock.advanceAsync(0);
    assert.equal(world.upstream.running, 4);
    for (const seen of await world.until(Promise.all(asked.map(({ done }) => done)))) assert.equal(seen.status, 200);
    assert.equal(world.gateway.targets()[0]!.limits[0]!.available, 4);
  });

  it('tells those who wait for a rate limit of its new value', async (t) => {
    const limits = { requestsPerMinute: 1 };
    const world = await startVirtualWorld(t, { providers: { a: () => chatResponse() }, limits });
    await world.answerTo();
    const waiting = world.ask();
    await world.clock.advanceAsync(100);
    assert.equal(world.gateway.queue().waiting, 1);
    const providers = { a: { protocol: 'openai' as const, baseUrl: 'http://a/v1', apiKey: 'sk-test', limits: { requestsPerMinute: 60 } } };
    await world.gateway.reload(configOf({ providers, models: { fast: ['a/m'] } }));
    const { status, endAtMs } = await world.until(waiting.done);
    assert.equal(status, 200);
    assert.ok(endAtMs < 2000, `${endAtMs}`);
  });

  it('to a config that cannot be built leaves the old one serving', async (t) => {
    const world = await startWorld(t, { storms: { a: {} } });
    const before = world.gateway.config;
    const broken = { ...configOf(inputOf(world, {})), providers: {} };
    await assert.rejects(world.gateway.reload(broken));
    assert.equal(world.gateway.config, before);
    assert.equal((await world.ask()).status, 200);
    assert.equal((await world.ask({ model: 'a/other' })).status, 200);
    assert.equal(world.eventsOf('lifecycle').length, 0);
  });
});
