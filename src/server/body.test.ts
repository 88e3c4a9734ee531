import assert from 'node:assert/strict';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { bothWays, chat, overSocket } from '../../test/server/both-ways.ts';
import { rawExchange } from '../../test/server/raw-socket.ts';

const json = Buffer.from(JSON.stringify({ model: 'fast', messages: [{ role: 'user', content: 'hällo' }] }));

function post(body: Uint8Array | ReadableStream, encoding?: string): RequestInit {
  const headers = { 'content-type': 'application/json', ...(encoding !== undefined && { 'content-encoding': encoding }) };
  return { method: 'POST', headers, body: body as Uint8Array<ArrayBuffer>, ...(body instanceof ReadableStream && { duplex: 'half' }) };
}

function inPieces(body: Uint8Array, size: number): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= body.length) return controller.close();
      controller.enqueue(Uint8Array.from(body.subarray(at, (at += size))));
    },
  });
}

const encodings: [string | undefined, Uint8Array][] = [
  [undefined, json],
  ['identity', json],
  ['gzip', gzipSync(json)],
  ['x-gzip', gzipSync(json)],
  ['BR', brotliCompressSync(json)],
  ['zstd', zstdCompressSync(json)],
  ['deflate', deflateSync(json)],
  ['deflate', deflateRawSync(json)],
];

for (const [encoding, bytes] of encodings) {
  bothWays(`a body with content-encoding ${encoding} is accepted`, {}, async ({ fetch, gateway }) => {
    const whole = await fetch('/v1/chat/completions', post(bytes, encoding));
    assert.equal(whole.status, 200, await whole.text());
    const inParts = await fetch('/v1/chat/completions', post(inPieces(bytes, 7), encoding));
    assert.equal(inParts.status, 200, await inParts.text());
    for (const { body } of gateway.requests) assert.deepEqual(Buffer.from(body.bytes), json);
    assert.equal(gateway.heldBytes, 0);
  });
}

const refused: [string, number, Uint8Array][] = [
  ['gzip, br', 400, json],
  ['compress', 415, json],
  ['gzip', 400, json],
  ['br', 400, brotliCompressSync(json).subarray(0, 20)],
  ['gzip', 400, gzipSync(json).subarray(0, -9)],
  ['zstd', 400, json],
];

for (const [encoding, status, bytes] of refused) {
  bothWays(`a body of ${bytes.length} bytes that is not ${encoding} is refused with ${status}`, {}, async ({ fetch, gateway }) => {
    const response = await fetch('/v1/chat/completions', post(bytes, encoding));
    assert.equal(response.status, status);
    assert.equal(((await response.json()) as { error: { code: string } }).error.code, 'invalid_request');
    assert.equal(gateway.heldBytes, 0);
  });
}

const small = { config: { server: { maxBodySize: '1kb' } } };
const large = Buffer.from(JSON.stringify({ model: 'fast', messages: [{ role: 'user', content: 'a'.repeat(2000) }] }));

for (const [form, body, encoding] of [
  ['at once', large, undefined],
  ['in pieces', null, undefined],
  ['packed small (a bomb)', gzipSync(large), 'gzip'],
] as const) {
  bothWays(`a body larger than maxBodySize is refused, sent ${form}`, small, async ({ fetch, gateway }) => {
    const response = await fetch('/v1/chat/completions', post(body ?? inPieces(large, 100), encoding));
    assert.equal(response.status, 413);
    assert.equal(((await response.json()) as { error: { code: string } }).error.code, 'request_too_large');
    assert.equal(gateway.heldBytes, 0);
    assert.equal((await fetch('/v1/chat/completions', chat())).status, 200, 'the connection can be reused');
  });
}

bothWays('a body may be as large as maxBodySize after decoding', small, async ({ fetch }) => {
  const text = JSON.stringify({ model: 'fast', messages: [] });
  const body = Buffer.from(text.padEnd(1024));
  assert.equal((await fetch('/v1/chat/completions', post(body))).status, 200);
  assert.equal((await fetch('/v1/chat/completions', post(gzipSync(body), 'gzip'))).status, 200);
});

overSocket('a content-length that is too large is refused before the body is received', small, async ({ origin }) => {
  const head = 'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 99999999999\r\n';
  assert.match(await rawExchange(origin, `${head}Expect: 100-continue\r\n\r\n`), /^HTTP\/1\.1 413 /);
});

overSocket('a caller that waits for 100-continue gets it', {}, async ({ origin }) => {
  const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: ${json.length}\r\n`;
  assert.match(
    await rawExchange(origin, `${head}Expect: 100-continue\r\n\r\n${json.toString('latin1')}`),
    /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /,
  );
});

for (const form of ['whole', 'in pieces'] as const) {
  bothWays(`a body beyond the memory limit is queue_full (${form})`, {}, async ({ fetch, gateway }) => {
    gateway.heldBytesMax = 50;
    const response = await fetch('/v1/chat/completions', post(form === 'whole' ? json : inPieces(json, 10)));
    assert.equal(response.status, 429);
    assert.equal(response.headers.get('x-should-retry'), 'true');
    assert.equal(response.headers.get('retry-after'), '1');
    assert.equal(response.headers.get('retry-after-ms'), '1000');
    assert.equal(((await response.json()) as { error: { code: string } }).error.code, 'queue_full');
    assert.equal(gateway.heldBytes, 0);
  });
}

bothWays('a body counts as buffered while its request runs', {}, async ({ fetch, gateway }) => {
  let held = 0;
  gateway.answer = (_, sink) => {
    held = gateway.heldBytes;
    sink.head(200, []);
    sink.end();
  };
  assert.equal(await (await fetch('/v1/chat/completions', post(json))).text(), '');
  assert.equal(held, json.length);
  await new Promise(setImmediate);
  assert.equal(gateway.heldBytes, 0);
});

bothWays('a body that is not a request is refused', {}, async ({ fetch }) => {
  for (const body of ['', '{', '[]', '{"model":"fast","model":"fast","messages":[]}', '{"messages":[]}']) {
    const response = await fetch('/v1/chat/completions', { method: 'POST', body });
    assert.equal(response.status, 400, body);
    assert.equal(((await response.json()) as { error: { code: string } }).error.code, 'invalid_request');
  }
});

bothWays(
  'an error of the body stream of the caller fails the call, as with any fetch, and releases its memory',
  {},
  async ({ fetch, gateway }) => {
    let pulls = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (++pulls > 1) return controller.error(new Error('the disk is gone'));
        controller.enqueue(Uint8Array.from(json.subarray(0, 9)));
      },
    });
    await assert.rejects(fetch('/v1/chat/completions', post(body)));
    for (let turn = 0; gateway.heldBytes > 0 && turn < 1000; turn++) await new Promise(setImmediate);
    assert.equal(gateway.heldBytes, 0);
    assert.equal(gateway.requests.length, 0);
  },
);
