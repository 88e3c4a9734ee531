/** Which headers of a caller reach which provider. In virtual time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { chatResponse } from '../../src/testing/index.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualOptions, VirtualWorld } from './virtual.ts';

const SENT = {
  'x-grok-conv-id': 'c1',
  'x-session-affinity': 's1',
  'http-referer': 'https://app.example',
  'x-title': 'App',
  'x-team': 'blue',
  'x-other': 'no',
  cookie: 'a=b',
};

type Configured = NonNullable<VirtualOptions['configured']>;

const start = (t: TestContext, provider: Configured[string], config: VirtualOptions['config'] = {}) =>
  startVirtualWorld(t, {
    providers: { a: () => chatResponse() },
    configured: { a: { baseUrl: 'http://a/v1', apiKey: 'sk-test', ...provider } },
    models: { fast: ['a/m'] },
    config,
  });

function reached(world: VirtualWorld): Record<string, string> {
  const { headers } = world.upstream.calls.at(-1)!.request;
  const found: Record<string, string> = {};
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase();
    assert.equal(found[name], undefined, `${name} is sent twice`);
    if (name in SENT) found[name] = headers[i + 1]!;
  }
  return found;
}

const CACHE = { 'x-grok-conv-id': 'c1', 'x-session-affinity': 's1' };

describe('headers of a caller', () => {
  it('that help a cache reach every provider, others none', async (t) => {
    const world = await start(t, {});
    await world.answerTo({}, SENT);
    assert.deepEqual(reached(world), CACHE);
  });

  it('that name the application reach the aggregator that asks for them', async (t) => {
    const world = await start(t, { preset: 'openrouter' });
    await world.answerTo({}, SENT);
    assert.deepEqual(reached(world), { ...CACHE, 'http-referer': SENT['http-referer'], 'x-title': 'App' });
  });

  it('that the config lists reach that provider', async (t) => {
    const world = await start(t, { forwardHeaders: ['X-Team', 'x-absent'] });
    await world.answerTo({}, SENT);
    assert.deepEqual(reached(world), { ...CACHE, 'x-team': 'blue' });
  });

  it('yield to what the config sets itself', async (t) => {
    const world = await start(t, { forwardHeaders: ['x-team'], headers: { 'X-Team': 'red', 'x-session-affinity': 'own' } });
    await world.answerTo({}, SENT);
    assert.deepEqual(reached(world), { 'x-grok-conv-id': 'c1', 'x-session-affinity': 'own', 'x-team': 'red' });
  });

  it('make another request for the cache only where they can change the answer', async (t) => {
    const world = await start(t, { forwardHeaders: ['x-team'] }, { policy: { cache: { enabled: true } } });
    const calls = async (headers: Record<string, string>): Promise<number> => {
      await world.answerTo({}, headers);
      return world.upstream.calls.length;
    };
    assert.equal(await calls(SENT), 1);
    assert.equal(await calls({ ...SENT, 'x-grok-conv-id': 'c2', 'x-session-affinity': 's2', 'x-title': 'B', 'x-other': 'x' }), 1);
    assert.equal(await calls({ ...SENT, 'x-team': 'green' }), 2);
  });
});
