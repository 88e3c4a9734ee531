/** Bodies of 62 MB, each made to cost as much as can be: others are served meanwhile, and the process with its small heap goes on. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, describe, it } from 'node:test';
import { brotliCompressSync, constants, gzipSync, zstdCompressSync } from 'node:zlib';
import { BUSY_MS_MAX, startLoopWorld } from './loop-world.ts';

const BYTES = 62_000_000;
const CHAT = '/v1/chat/completions';

/** A body of that size, with `unit` in the middle. */
function filled(before: string, unit: string, after: string): Buffer {
  return Buffer.concat([Buffer.from(before), Buffer.alloc(BYTES - (BYTES % unit.length), unit), Buffer.from(after)]);
}

const started = '{"model":"fast","messages":[{"role":"user","content":"';

/** Status, and where it is a refusal, what it says. */
const bodies: Readonly<Record<string, readonly [body: () => Buffer, status: number, says?: RegExp, path?: string]>> = {
  'empty objects in a field that is read': [
    () => filled('{"model":"fast","messages":[],"reasoning":[', '{},', '{}]}'),
    400,
    /more than 1000000 values/,
  ],
  'empty lists in a field that is not': [
    () => filled('{"model":"fast","messages":[],"x":[', '[],', '[]]}'),
    400,
    /more than 1000000 values/,
  ],
  'members without end': [() => filled('{"model":"fast","messages":[]', ',"a":0', '}'), 400, /more than 1000 members/],
  'one list inside another': [() => filled('{"model":"fast","messages":[],"x":', '[', ''), 400, /512 levels/],
  'one long string': [() => filled(started, 'x', '"}]}'), 200],
  'escapes without end': [() => filled(started, '\\n', '"}]}'), 200],
  'blanks without end': [() => filled('{"model":"fast","messages":[]', ' ', '}'), 200],
  'a long name of a model': [() => filled('{"messages":[],"model":"', 'm', '"}'), 400, /'model' is larger/],
  'a long name of a member': [() => filled('{"messages":[],"model":"fast","', 'm', '":1}'), 400, /name of a member/],
  'a long number': [() => filled('{"model":"fast","messages":[],"max_tokens":', '1', '}'), 400, /number is longer/],
  'ids of tokens': [() => filled('{"model":"fast","prompt":[', '1,', '1]}'), 400, /more than 1000000 values/, '/v1/completions'],
};

describe('a body of 62 MB', () => {
  const starting = startLoopWorld({ after }, { heapMb: 1024 });
  for (const [name, [make, status, says, path]] of Object.entries(bodies)) {
    it(`of ${name}`, { timeout: 60_000 }, async () => {
      const world = await starting;
      world.received.length = 0;
      const body = make();
      const answer = await world.send(path ?? CHAT, body);
      assert.equal(answer.status, status, answer.text);
      if (says !== undefined) assert.match(answer.text, says);
      const { busyMs, heldBytes } = await world.figures();
      assert.ok(busyMs < BUSY_MS_MAX, `one turn of the loop took ${busyMs} ms`);
      assert.equal(heldBytes, 0);
      assert.equal(world.exitCode, null);
      // The target has another name for the model.
      assert.deepEqual(world.received, status === 200 ? [body.length - 'fast'.length + 'm'.length] : []);
    });
  }
});

describe('a body of 62 MB that is compared with others', () => {
  const config = { policy: { cache: { enabled: true } } };

  it('with the cache on, and one number of 16 digits', { timeout: 60_000 }, async (t) => {
    const world = await startLoopWorld(t, { heapMb: 1024, config });
    const body = filled('{"seed":1234567890123456,"model":"fast","messages":[{"role":"user","content":"', 'x', '"}]}');
    assert.equal((await world.send(CHAT, body)).status, 200);
    assert.equal((await world.send(CHAT, body)).status, 200);
    const { busyMs } = await world.figures();
    assert.ok(busyMs < BUSY_MS_MAX, `one turn of the loop took ${busyMs} ms`);
    assert.equal(world.received.length, 1, 'the second one is answered from the cache');
  });

  it('as a form with a boundary of one letter, under an idempotency key', { timeout: 60_000 }, async (t) => {
    const world = await startLoopWorld(t, { heapMb: 1024, answer: () => ({ body: Buffer.from('{"text":"hello"}') }) });
    const form = (boundary: string): Buffer =>
      filled(
        `--${boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\nfast\r\n--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n`,
        'a\n-',
        `\r\n--${boundary}--\r\n`,
      );
    const send = (boundary: string) =>
      world.send('/v1/audio/transcriptions', form(boundary), {
        'content-type': `multipart/form-data; boundary=${boundary}`,
        'idempotency-key': 'k',
      });
    assert.equal((await send('a')).status, 200);
    const { busyMs } = await world.figures();
    assert.ok(busyMs < BUSY_MS_MAX, `one turn of the loop took ${busyMs} ms`);
    assert.equal((await send('other')).status, 200, 'the same parts between other boundaries are the same');
    assert.equal(world.received.length, 1);
  });
});

describe('a small body that unpacks to a large one', () => {
  const packed: Readonly<Record<string, (body: Buffer) => Buffer>> = {
    br: (body) => brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 5, [constants.BROTLI_PARAM_LGWIN]: 24 } }),
    zstd: zstdCompressSync,
    gzip: gzipSync,
  };
  for (const [encoding, pack] of Object.entries(packed)) {
    it(`150 times at once, in ${encoding}`, { timeout: 60_000 }, async (t) => {
      const world = await startLoopWorld(t, { heapMb: 512 });
      const before = (await world.figures()).rss;
      const body = pack(filled(started, 'x', '"}]}').subarray(0, encoding === 'gzip' ? 1_000_000 : BYTES));
      const answers = Promise.all(Array.from({ length: 150 }, () => world.send(CHAT, body, { 'content-encoding': encoding })));
      let rss = 0;
      let isOver = false;
      void answers.finally(() => (isOver = true));
      while (!isOver) rss = Math.max(rss, (await world.figures()).rss);
      for (const { status } of await answers) assert.ok(status === 413 || status === 400 || status === 429, `${status}`);
      assert.ok(rss - before < 500_000_000, `${rss - before} bytes more`);
      assert.equal((await world.figures()).heldBytes, 0);
    });
  }
});

it('eight bodies of 62 MB at once hold up others no longer than one', { timeout: 120_000 }, async (t) => {
  const world = await startLoopWorld(t, { heapMb: 1024 });
  const body = filled('{"model":"fast","messages":[],"x":[', '[],', '[]]}');
  const answers = await Promise.all(Array.from({ length: 8 }, () => world.send(CHAT, body)));
  for (const { status, text } of answers) assert.ok(status === 400 || status === 429, text);
  const { busyMs, heldBytes } = await world.figures();
  assert.ok(busyMs < BUSY_MS_MAX, `one turn of the loop took ${busyMs} ms`);
  assert.equal(heldBytes, 0);
});

it('a body that comes a byte at a time is few objects', { timeout: 60_000 }, async (t) => {
  const world = await startLoopWorld(t, { heapMb: 256 });
  const json = Buffer.from(`${started}${'x'.repeat(2_000_000)}"}]}`);
  // Each byte is a chunk of its own on the wire, so the body is received as two million pieces.
  const text = await new Promise<string>((resolve, reject) => {
    const socket = connect(Number(new URL(world.url).port), '127.0.0.1', () => {
      socket.write(`POST ${CHAT} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n`);
      socket.write(Buffer.from(json.toString('latin1').replaceAll(/./gs, '1\r\n$&\r\n'), 'latin1'));
      socket.write('0\r\n\r\n');
    });
    let got = '';
    socket.on('data', (chunk: Buffer) => (got += chunk.toString()));
    socket.on('end', () => resolve(got));
    socket.on('error', reject);
  });
  assert.match(text, /^HTTP\/1\.1 200 /);
  assert.deepEqual(world.received, [json.length - 3]);
  assert.equal(world.exitCode, null);
});
