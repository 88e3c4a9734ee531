import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../testing/manual-clock.ts';
import type { Transport, UpstreamListener } from '../transport/transport.ts';
import { parseConfig, type Config } from './config/index.ts';
import type { CredentialRegistry } from './credentials.ts';
import { ProviderLists } from './model-lists.ts';

function configOf(...names: string[]): Config {
  const providers = Object.fromEntries(names.map((name) => [name, { baseUrl: `http://${name}.example/v1`, apiKey: 'key' }]));
  const parsed = parseConfig({ providers }, { source: 'library' });
  assert.ok(parsed.ok);
  return parsed.config;
}

test('a list requested before a config change is not used for the new config, which requests its own', async () => {
  const asked = new Map<string, UpstreamListener>();
  const transport = {
    send(request: { origin: string }, handler: UpstreamListener) {
      asked.set(request.origin, handler);
      return { abort() {}, pause() {}, resume() {} };
    },
  } as unknown as Transport;
  const credentials = { inOrder: () => ({ auth: [] }) } as unknown as CredentialRegistry;
  const lists = new ProviderLists(transport, createManualClock(), credentials);
  const answer = (name: string): void => {
    const handler = asked.get(`http://${name}.example`)!;
    handler.onHeaders(200, {});
    handler.onData(Buffer.from(JSON.stringify({ data: [{ id: `model-of-${name}` }] })));
    handler.onEnd();
  };

  const before = lists.refresh(configOf('old'));
  lists.forget();
  const after = lists.refresh(configOf('new'));
  answer('old');
  await before;
  answer('new');
  await after;
  assert.deepEqual([...lists.known.keys()], ['new']);
  await lists.refresh(configOf('new'));
  assert.equal(asked.size, 2);
});

test('a list that cannot be read is requested again after ten seconds, and until then its models are not known', async () => {
  const clock = createManualClock();
  let [calls, status] = [0, 503];
  const transport = {
    send(_: unknown, handler: UpstreamListener) {
      calls++;
      queueMicrotask(() => {
        handler.onHeaders(status, {});
        handler.onData(Buffer.from(JSON.stringify({ data: [{ id: 'listed' }] })));
        handler.onEnd();
      });
      return { abort() {}, pause() {}, resume() {} };
    },
  } as unknown as Transport;
  const config = configOf('a');
  const lists = new ProviderLists(transport, clock, { inOrder: () => ({ auth: [] }) } as unknown as CredentialRegistry);
  assert.deepEqual([await lists.has(config, 'listed'), await lists.has(config, 'other'), calls], [null, null, 1]);
  status = 200;
  clock.advance(10_000);
  assert.deepEqual([await lists.has(config, 'listed'), await lists.has(config, 'other'), calls], [true, false, 2]);
  lists.forget();
  status = 404;
  assert.deepEqual([await lists.has(config, 'listed'), calls], [false, 3]);
  clock.advance(60_000);
  assert.deepEqual([await lists.has(config, 'listed'), calls], [false, 3], 'the provider has no list');
});
