import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { failing } from '../../test/server/fake-gateway.ts';
import { bothWays, chat, inProcess, overSocket } from '../../test/server/both-ways.ts';
import { rawExchange } from '../../test/server/raw-socket.ts';
import { BreakwaterError, ERROR_CATALOGUE, type ErrorCode } from '../core/errors.ts';
import type { Caller } from '../pipeline/request/caller.ts';

const event = Buffer.from('data: {"choices":[]}\n\n');

bothWays('a non-streaming response has a content-length', {}, async ({ fetch }) => {
  const response = await fetch('/v1/chat/completions', chat());
  const text = await response.text();
  assert.equal(text, '{"model":"fast"}');
  assert.equal(response.headers.get('content-length') ?? String(text.length), String(text.length));
});

bothWays('a large non-streaming response is complete', {}, async ({ fetch, gateway }) => {
  const big = Buffer.alloc(3_000_000, 'é');
  gateway.answer = (_, sink) => {
    sink.head(200, ['content-type', 'application/json']);
    sink.end(big);
  };
  const response = await fetch('/v1/chat/completions', chat());
  assert.deepEqual(Buffer.from(await response.arrayBuffer()), big);
});

bothWays('a stream is received event by event', {}, async ({ fetch, gateway }) => {
  let goOn = (): void => {};
  gateway.answer = async (_, sink) => {
    sink.head(200, ['content-type', 'text/event-stream']);
    sink.write(event);
    await new Promise<void>((resolve) => (goOn = resolve));
    sink.end(event);
  };
  const response = await fetch('/v1/chat/completions', chat({ stream: true }));
  assert.equal(response.headers.get('content-type'), 'text/event-stream');
  const reader = response.body!.getReader();
  assert.deepEqual(Buffer.from((await reader.read()).value ?? []), event);
  goOn();
  assert.deepEqual(Buffer.from((await reader.read()).value ?? []), event);
  assert.equal((await reader.read()).done, true);
});

bothWays('an aborted response is detected as incomplete', {}, async ({ fetch, gateway }) => {
  gateway.answer = (_, sink) => {
    sink.head(200, ['content-type', 'text/event-stream']);
    sink.write(event);
    sink.abort();
    sink.abort();
    sink.end();
  };
  const response = await fetch('/v1/chat/completions', chat({ stream: true }));
  await assert.rejects(response.text(), TypeError);
});

bothWays('a slow reader causes back-pressure, and the writer continues when it reads', {}, async ({ fetch, gateway }) => {
  const piece = Buffer.alloc(256 * 1024, 'x');
  const pieces = 64;
  let waits = 0;
  gateway.answer = async (_, sink) => {
    sink.head(200, ['content-type', 'application/octet-stream']);
    for (let i = 0; i < pieces; i++) {
      if (sink.write(piece)) continue;
      waits++;
      await new Promise<void>((resolve) => sink.onDrain(resolve));
    }
    sink.end();
  };
  const response = await fetch('/v1/chat/completions', chat());
  assert.equal((await response.arrayBuffer()).byteLength, pieces * piece.length);
  assert.ok(waits > 0);
});

for (const point of ['before the head', 'in the stream'] as const) {
  bothWays(`the engine is notified when the caller disconnects ${point}`, {}, async ({ fetch, gateway }) => {
    const caller = new AbortController();
    const left = new Promise<void>((resolve) => {
      gateway.answer = async (request, sink) => {
        if (point === 'in the stream') {
          sink.head(200, ['content-type', 'text/event-stream']);
          sink.write(event);
        } else caller.abort();
        await leaving(request.caller);
        sink.write(event);
        sink.end();
        resolve();
      };
    });
    const asked = fetch('/v1/chat/completions', { ...chat({ stream: true }), signal: caller.signal });
    if (point === 'in the stream') {
      const reader = (await asked).body!.getReader();
      await reader.read();
      caller.abort();
      await assert.rejects(reader.read(), { name: 'AbortError' });
    } else await assert.rejects(asked, { name: 'AbortError' });
    await left;
  });
}

bothWays('a writer under back-pressure continues when the caller disconnects', {}, async ({ fetch, gateway }) => {
  const woken = new Promise<void>((resolve) => {
    gateway.answer = async (_, sink) => {
      sink.head(200, ['content-type', 'application/octet-stream']);
      while (sink.write(Buffer.alloc(1_000_000)));
      await new Promise<void>((wake) => sink.onDrain(wake));
      while (!sink.write(Buffer.alloc(1_000_000))) await new Promise<void>((wake) => sink.onDrain(wake));
      sink.end();
      resolve();
    };
  });
  const response = await fetch('/v1/chat/completions', chat());
  await response.body!.cancel();
  await woken;
});

inProcess('cancelling the body is leaving', {}, async ({ fetch, gateway }) => {
  const left = new Promise<void>((resolve) => {
    gateway.answer = async (request, sink) => {
      sink.head(200, []);
      sink.write(event);
      await leaving(request.caller);
      sink.end();
      resolve();
    };
  });
  const response = await fetch('/v1/chat/completions', chat());
  await response.body!.cancel();
  await left;
});

inProcess('a fetch that is aborted beforehand never starts', {}, async ({ fetch, gateway }) => {
  await assert.rejects(fetch('/v1/chat/completions', { ...chat(), signal: AbortSignal.abort() }), { name: 'AbortError' });
  assert.equal(gateway.requests.length, 0);
});

for (const [story, more] of [
  ['leaves while it sends its body', null],
  ['breaks off its body with nonsense', 'zz\r\n'],
] as const) {
  overSocket(`after a caller that ${story} all memory is released`, {}, async ({ origin, gateway }) => {
    const { hostname, port } = new URL(origin);
    const socket = connect(Number(port), hostname);
    let held = (): void => {};
    let released = (): void => {};
    const whenHeld = new Promise<void>((resolve) => (held = resolve));
    const whenReleased = new Promise<void>((resolve) => (released = resolve));
    const tryHold = gateway.tryHoldBytes.bind(gateway);
    const release = gateway.releaseBytes.bind(gateway);
    gateway.tryHoldBytes = (bytes) => (held(), tryHold(bytes));
    gateway.releaseBytes = (bytes) => (release(bytes), released());
    socket.resume();
    socket.write('POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{"model":\r\n');
    await whenHeld;
    if (more === null) socket.destroy();
    else socket.write(more);
    await whenReleased;
    assert.equal(gateway.heldBytes, 0);
    assert.equal(gateway.requests.length, 0);
  });
}

overSocket('pipelined requests on one connection get responses in order', {}, async ({ origin }) => {
  const body = (model: string): string => JSON.stringify({ model, messages: [] });
  const request = (model: string, ...more: string[]): string =>
    ['POST /v1/chat/completions HTTP/1.1', 'Host: localhost', `Content-Length: ${body(model).length}`, ...more, '', body(model)].join(
      '\r\n',
    );
  const answers = await rawExchange(origin, request('fast') + request('vendor/one') + request('fast', 'Connection: close'));
  assert.deepEqual(
    [...answers.matchAll(/\{"model":"(.+?)"\}/g)].map(([, model]) => model),
    ['fast', 'vendor/one', 'fast'],
  );
});

overSocket('an upstream header with invalid characters is omitted', {}, async ({ fetch, gateway }) => {
  gateway.answer = (_, sink) => {
    sink.head(200, ['content-type', 'application/json', 'x-bad', 'a\r\nb: c', 'x-good', 'yes']);
    sink.end(Buffer.from('{}'));
  };
  const response = await fetch('/v1/chat/completions', chat());
  assert.equal(response.headers.get('x-bad'), null);
  assert.equal(response.headers.get('x-good'), 'yes');
  assert.equal(await response.text(), '{}');
});

bothWays('an internal error is a 500 without details, and a warning with details', {}, async ({ fetch, gateway }) => {
  const warnings: string[] = [];
  gateway.events.on('warning', ({ message, detail }) => void warnings.push(`${message} ${detail}`));
  gateway.models = () => {
    throw new Error('secret thing');
  };
  const response = await fetch('/v1/models');
  assert.equal(response.status, 500);
  assert.doesNotMatch(await response.text(), /secret|at /);
  assert.match(warnings.join(), /internal error in request req_\w+ Error: secret thing/);
});

const retryable = new Set<ErrorCode>(['rate_limited', 'queue_full', 'no_target_available', 'shutting_down']);

bothWays('every error has its status, body and retry headers', {}, async ({ fetch, gateway }) => {
  for (const code of Object.keys(ERROR_CATALOGUE) as ErrorCode[]) {
    for (const [retryAfterMs, advice] of [
      [null, null],
      [1200, { seconds: '2', ms: '1200', helps: true }],
      [60_001, { seconds: '61', ms: '60001', helps: false }],
    ] as const) {
      gateway.answer = failing(new BreakwaterError(code, 'so it is', { retryAfterMs, param: 'model' }));
      const response = await fetch('/v1/chat/completions', chat());
      const entry = ERROR_CATALOGUE[code];
      assert.equal(response.status, entry.status, code);
      assert.deepEqual(await response.json(), { error: { message: 'so it is', type: entry.openaiType, param: 'model', code } });
      assert.equal(response.headers.get('retry-after'), advice?.seconds ?? null);
      assert.equal(response.headers.get('retry-after-ms'), advice?.ms ?? null);
      assert.equal(response.headers.get('x-should-retry'), String(retryable.has(code) && advice?.helps === true), code);
    }
  }
});

function leaving(caller: Caller): Promise<void> {
  return caller.hasLeft ? Promise.resolve() : new Promise((resolve) => (caller.onLeave = resolve));
}
