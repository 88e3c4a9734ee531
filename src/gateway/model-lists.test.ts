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

/** Providers `a`, `b`, …: each responds with its status, or not at all with 0. */
function stage(statuses: Record<string, number>) {
  const clock = createManualClock();
  const calls: Record<string, number> = {};
  const body = { text: JSON.stringify({ data: [{ id: 'listed' }] }) };
  const transport = {
    send({ origin }: { origin: string }, handler: UpstreamListener) {
      const name = new URL(origin).hostname.split('.')[0]!;
      calls[name] = (calls[name] ?? 0) + 1;
      const status = statuses[name]!;
      if (status > 0)
        queueMicrotask(() => {
          handler.onHeaders(status, {});
          handler.onData(Buffer.from(body.text));
          handler.onEnd();
        });
      return { abort() {}, pause() {}, resume() {} };
    },
  } as unknown as Transport;
  const lists = new ProviderLists(transport, clock, { inOrder: () => ({ auth: [] }) } as unknown as CredentialRegistry);
  return { clock, calls, body, lists, config: configOf(...Object.keys(statuses)) };
}

test('only the list that could not be read is requested again, and a caller does not wait for it again', async () => {
  const { clock, calls, lists, config } = stage({ a: 200, b: 0 });
  const first = lists.find(config, 'other');
  await clock.advanceAsync(3_000);
  assert.equal(await first, null);
  clock.advance(10_000);
  assert.deepEqual([await lists.find(config, 'other'), calls], [null, { a: 1, b: 2 }]);
});

test('a key that may not list models has no list; one that fails for an hour counts as none', async () => {
  const { lists, config } = stage({ a: 403 });
  assert.equal(await lists.has(config, 'typo'), false);
  const broken = stage({ a: 500 });
  assert.equal(await broken.lists.has(broken.config, 'typo'), null);
  broken.clock.advance(3_600_000);
  assert.equal(await broken.lists.has(broken.config, 'typo'), false);
});

test('a page in place of a list does not mean that there is none', async () => {
  const { body, lists, config } = stage({ a: 200 });
  body.text = '<html>maintenance</html>';
  assert.equal(await lists.has(config, 'listed'), null);
});

test('a list that is too large may exist, and is requested again', async () => {
  const { clock, calls, body, lists, config } = stage({ a: 200 });
  const { text } = body;
  body.text = ' '.repeat(4 * 1024 * 1024 + 1);
  assert.equal(await lists.has(config, 'listed'), null);
  body.text = text;
  clock.advance(10_000);
  assert.deepEqual([await lists.has(config, 'listed'), calls], [true, { a: 2 }]);
});

test('a config change during the request leaves it open whether there is the model', async () => {
  const { lists, config } = stage({ a: 200 });
  const asked = lists.has(config, 'listed');
  lists.forget();
  assert.equal(await asked, null);
});
