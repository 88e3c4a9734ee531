import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TargetState } from '../../pipeline/route/route.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import type { Transport, UpstreamListener, UpstreamRequest } from '../../transport/transport.ts';
import { ProviderClient } from './provider-client.ts';

const MB = 1024 * 1024;
const LIST = { method: 'GET', path: '/batches' };

/** A client whose upstream is the test. `upstream`: of the last call. */
function stage(send?: (listener: UpstreamListener) => void) {
  const clock = createManualClock({ epochMs: Date.UTC(2026, 0, 1) });
  const closing = new AbortController();
  const seen: string[] = [];
  let request: UpstreamRequest | undefined;
  let listener: UpstreamListener | undefined;
  const transport: Transport = {
    send(asked, upstream) {
      request = asked;
      listener = upstream;
      send?.(upstream);
      return { abort: () => void seen.push('abort'), pause: () => void seen.push('pause'), resume: () => void seen.push('resume') };
    },
    close: () => Promise.resolve(),
  };
  const state = {
    model: 'm',
    origin: 'http://provider.test',
    basePath: '/v1',
    headers: ['x-team', 'red'],
    credential: { auth: ['authorization', 'Bearer k'], signer: null },
    endpoint: { path: (base: string, { path }: { path: string }) => base + path, defaultHeaders: ['content-type', 'application/json'] },
    wire: { dialect: { name: 'openai-chat' } },
  } as unknown as TargetState;
  const client = new ProviderClient(transport, clock, state, closing.signal);
  const respond = (status: number, text: string, headers: Record<string, string> = {}): void => {
    listener!.onSent();
    listener!.onHeaders(status, headers);
    listener!.onData(Buffer.from(text));
    listener!.onEnd();
  };
  return { client, clock, closing, seen, respond, request: () => request!, upstream: () => listener! };
}

test('a call has the headers of its target, and its own instead of the default ones', async () => {
  const { client, request, respond } = stage();
  const reply = client.call({ method: 'POST', path: '/files', body: Buffer.from('x'), headers: ['content-type', 'text/plain'] });
  const { origin, path, method, headers } = request();
  assert.deepEqual([origin, path, method], ['http://provider.test', '/v1/files', 'POST']);
  const expected = ['x-team', 'red', 'authorization', 'Bearer k', 'accept-encoding', 'identity', 'content-type', 'text/plain'];
  assert.deepEqual(headers, expected);
  respond(200, '{"id":"file-1"}');
  assert.deepEqual(await reply, { status: 200, json: { id: 'file-1' }, message: 'status 200', retryAfterMs: null });
});

test('an error reports its message and the wait that it asks for, in any form', async () => {
  const cases = [
    { text: '{"error":{"message":"Too many."}}', headers: { 'retry-after': '7' }, message: 'status 429: Too many.', waitMs: 7_000 },
    { text: '{"error":"busy"}', headers: { 'retry-after-ms': '250' }, message: 'status 429: busy', waitMs: 250 },
    { text: '{"detail":"slow"}', headers: { 'retry-after': 'Thu, 01 Jan 2026 00:00:30 GMT' }, message: 'status 429: slow', waitMs: 30_000 },
    { text: '{"error":{"message":"x","retry_after":3}}', headers: {}, message: 'status 429: x', waitMs: 3_000 },
    { text: '', headers: { 'retry-after': 'soon' }, message: 'status 429', waitMs: null },
  ];
  for (const { text, headers, message, waitMs } of cases) {
    const { client, respond } = stage();
    const reply = client.call(LIST);
    respond(429, text, headers);
    const { status, ...found } = await reply;
    assert.deepEqual([status, found.message, found.retryAfterMs], [429, message, waitMs]);
  }
});

test('a call never rejects: a request that cannot be sent, a lost connection, too large a response, a stop', async () => {
  const thrown = stage(() => {
    throw new Error('invalid header');
  });
  assert.deepEqual(await thrown.client.call(LIST), { status: 0, json: null, message: 'invalid header', retryAfterMs: null });
  assert.equal(thrown.clock.pendingTimers, 0);

  const lost = stage((listener) => listener.onError(new Error('ECONNRESET')));
  assert.equal((await lost.client.call(LIST)).message, 'ECONNRESET');
  assert.equal(lost.clock.pendingTimers, 0);

  const large = stage();
  const tooLarge = large.client.call(LIST);
  large.upstream().onHeaders(200, {});
  for (let n = 0; n < 5; n++) large.upstream().onData(Buffer.alloc(MB));
  assert.match((await tooLarge).message, /larger than/);
  assert.ok(large.seen.includes('abort'));

  const stopped = stage();
  const reply = stopped.client.call(LIST);
  stopped.closing.abort();
  assert.deepEqual([(await reply).message, stopped.seen, stopped.clock.pendingTimers], ['the gateway stops', ['abort'], 0]);
});

test('a call without a byte for two minutes is closed, and no timer is left after the end of one', async () => {
  const { client, clock, seen, upstream, respond } = stage();
  const reply = client.call(LIST);
  clock.advance(119_000);
  upstream().onSent();
  clock.advance(119_000);
  assert.deepEqual(seen, []);
  clock.advance(1_000);
  assert.deepEqual([(await reply).message, seen, clock.pendingTimers], ['no byte within 120 s', ['abort'], 0]);
  const next = client.call(LIST);
  respond(200, '{}');
  await next;
  upstream().onData(Buffer.from('late'));
  assert.equal(clock.pendingTimers, 0);
});

test('a file is read with back-pressure, and a slow reader is not taken for a silent provider', async () => {
  const { client, clock, seen, upstream } = stage();
  const lines = client.lines({ method: 'GET', path: '/files/f/content' });
  const first = lines.next();
  upstream().onSent();
  upstream().onHeaders(200, {});
  const line = `${'x'.repeat(MB - 1)}\n`;
  upstream().onData(Buffer.from(line));
  upstream().onData(Buffer.from(line));
  // Bytes that were read already arrive after the pause.
  upstream().onData(Buffer.from('end'));
  assert.deepEqual([seen, clock.pendingTimers], [['pause'], 0]);
  assert.equal((await first).value!.byteLength, MB - 1);
  clock.advance(600_000);
  assert.equal((await lines.next()).value!.byteLength, MB - 1);
  assert.deepEqual([seen, clock.pendingTimers], [['pause', 'resume'], 1]);
  upstream().onEnd();
  assert.equal(Buffer.from((await lines.next()).value).toString(), 'end');
  assert.equal((await lines.next()).done, true);
  assert.equal(clock.pendingTimers, 0);
});

test('a file that is refused or incomplete is an error after the lines before it', async () => {
  const { client, respond, upstream } = stage();
  const refused = client.lines(LIST).next();
  respond(404, '{"error":{"message":"gone"}}');
  await assert.rejects(refused, /status 404/);
  const cut = client.lines(LIST);
  const first = cut.next();
  upstream().onHeaders(200, {});
  upstream().onData(Buffer.from('{"a":1}\n{"b"'));
  upstream().onError(new Error('ECONNRESET'));
  assert.equal(Buffer.from((await first).value).toString(), '{"a":1}');
  await assert.rejects(cut.next(), /ECONNRESET/);
});

test('a reader that stops closes the connection', async () => {
  const { client, clock, seen, upstream } = stage();
  const lines = client.lines(LIST);
  const first = lines.next();
  upstream().onHeaders(200, {});
  upstream().onData(Buffer.from('a\nb\n'));
  await first;
  await lines.return(undefined);
  assert.deepEqual([seen, clock.pendingTimers], [['abort'], 0]);
});
