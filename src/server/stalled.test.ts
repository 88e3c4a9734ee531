import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { chat, overSocket, type Stage } from '../../test/server/both-ways.ts';

interface Raw {
  readonly socket: Socket;
  readonly received: () => string;
  readonly closed: () => boolean;
}

function open(t: TestContext, { origin }: Stage, text: string): Raw {
  const { hostname, port } = new URL(origin);
  const socket = connect(Number(port), hostname);
  t.after(() => socket.destroy());
  let received = '';
  let isClosed = false;
  socket.on('data', (piece) => (received += piece.toString('latin1')));
  socket.on('error', () => {});
  socket.on('close', () => (isClosed = true));
  socket.write(text, 'latin1');
  return { socket, received: () => received, closed: () => isClosed };
}

/** Waits until the condition holds, while sockets and promises continue. */
async function until(isSo: () => boolean, what: string): Promise<void> {
  for (let turn = 0; turn < 20_000; turn++) {
    if (isSo()) return;
    await new Promise(setImmediate);
  }
  assert.fail(`never came: ${what}`);
}

function upload(announced: number, sent: number, ...headers: string[]): string {
  const head = ['POST /v1/chat/completions HTTP/1.1', 'Host: localhost', `Content-Length: ${announced}`, ...headers];
  return `${head.join('\r\n')}\r\n\r\n${' '.repeat(sent)}`;
}

overSocket('bytes of a body are counted as they arrive, not by content-length', {}, async (stage, t) => {
  for (let i = 0; i < 8; i++) open(t, stage, upload(64 * 1024 ** 2, 1));
  await until(() => stage.gateway.heldBytes === 8, 'eight bytes');
  stage.gateway.heldBytesMax = 1000;
  assert.equal((await stage.fetch('/v1/chat/completions', chat())).status, 200);
});

overSocket('stalled uploads are ended when another body needs memory', {}, async (stage, t) => {
  const { gateway } = stage;
  const first = open(t, stage, upload(90_000, 50_000));
  await until(() => gateway.heldBytes === 50_000, 'the first half');
  gateway.clock.advance(1000);
  const second = open(t, stage, upload(90_000, 40_000));
  await until(() => gateway.heldBytes === 90_000, 'the second');
  gateway.heldBytesMax = 90_000;
  gateway.clock.advance(900);
  assert.equal((await stage.fetch('/v1/chat/completions', chat())).status, 429, 'both have made progress within two seconds');
  gateway.clock.advance(100);
  assert.equal((await stage.fetch('/v1/chat/completions', chat())).status, 200);
  await until(() => first.closed(), 'the end of the first');
  assert.match(first.received(), /^HTTP\/1\.1 429 [^]*retry-after: 1[^]*"code":"queue_full"/);
  assert.equal(gateway.heldBytes, 40_000);
  second.socket.write(' '.repeat(50_000));
  await until(() => second.received().includes('HTTP/1.1 400 '), 'the response to the second');
});

overSocket('an upload slower than 64 KB per minute is ended', {}, async (stage, t) => {
  const { gateway } = stage;
  const slow = open(t, stage, upload(1_000_000, 10));
  const steady = open(t, stage, upload(1_000_000, 10));
  await until(() => gateway.heldBytes === 20, 'both');
  for (let second = 1; second <= 59; second++) {
    gateway.clock.advance(1000);
    slow.socket.write(' ');
    steady.socket.write(' '.repeat(1500));
    await until(() => gateway.heldBytes === 20 + second * 1501, 'the next bytes');
  }
  gateway.clock.advance(1250);
  await until(() => slow.closed(), 'the end of the slow one');
  assert.match(slow.received(), /^HTTP\/1\.1 408 [^]*"code":"invalid_request"/);
  await new Promise(setImmediate);
  assert.equal(steady.closed(), false);
  assert.equal(gateway.heldBytes, 10 + 59 * 1500);
});

overSocket('a complete body does not count as stalled while it is decoded', {}, async (stage, t) => {
  const { gateway } = stage;
  const body = gzipSync(`{"model":"fast","messages":[]${' '.repeat(4 * 1024 ** 2)}}`);
  const raw = open(t, stage, upload(body.length, 0, 'Content-Encoding: gzip'));
  raw.socket.write(body);
  await until(() => gateway.heldBytes > body.length, 'a decoded piece');
  const held = gateway.heldBytes;
  gateway.clock.advance(61_000);
  assert.equal(gateway.heldBytes, held);
  await new Promise((resolve) => raw.socket.once('data', resolve));
  assert.match(raw.received(), /^HTTP\/1\.1 200 /);
  assert.doesNotMatch(raw.received(), /connection: close/i);
  await until(() => gateway.heldBytes === 0, 'nothing held');
});

overSocket(
  'nothing is read of a body before its sender is known',
  { config: { clients: [{ name: 'a', key: 'key-of-a-1234' }] } },
  async (stage, t) => {
    let asked = 0;
    stage.gateway.tryHoldBytes = () => ++asked > 0;
    const raw = open(t, stage, upload(1_000_000, 100_000));
    await until(() => raw.received().includes('}'), 'a refusal');
    assert.match(raw.received(), /^HTTP\/1\.1 401 /);
    assert.deepEqual([asked, stage.gateway.heldBytes], [0, 0]);
  },
);

const large = Buffer.alloc(24 * 1024 ** 2, 'x');

overSocket('a response that is not read is counted, and aborted after two minutes', {}, async (stage, t) => {
  const { gateway } = stage;
  gateway.answer = (_, sink) => {
    sink.head(200, ['content-type', 'application/json']);
    sink.end(large);
  };
  const raw = open(t, stage, `${upload(30, 0)}{"model":"fast","messages":[]}`);
  raw.socket.pause();
  await until(() => gateway.heldBytes > large.length / 2, 'what the socket does not take');
  gateway.clock.advance(119_000);
  await new Promise(setImmediate);
  assert.equal(raw.closed(), false);
  assert.ok(gateway.heldBytes > large.length / 2);
  gateway.clock.advance(2_000);
  await until(() => gateway.heldBytes === 0, 'nothing held');
  raw.socket.resume();
  await until(() => raw.closed(), 'a closed connection');
  assert.ok(raw.received().length < large.length);
});

overSocket('a response that is read slowly is sent completely', {}, async (stage, t) => {
  const { gateway } = stage;
  gateway.answer = (_, sink) => {
    sink.head(200, ['content-type', 'application/json']);
    sink.end(large);
  };
  const raw = open(t, stage, `${upload(30, 0)}{"model":"fast","messages":[]}`);
  let count = 0;
  raw.socket.on('data', (piece) => (count += piece.length));
  raw.socket.pause();
  await until(() => gateway.heldBytes > 0, 'what the socket does not take');
  let seen = gateway.heldBytes;
  for (let minute = 0; minute < 3; minute++) {
    const before = count;
    raw.socket.resume();
    await until(() => count > before + 4_000_000, 'a part of the response');
    raw.socket.pause();
    gateway.clock.advance(100_000);
    assert.ok(gateway.heldBytes < seen, 'read bytes are released');
    seen = gateway.heldBytes;
  }
  raw.socket.resume();
  await until(() => count > large.length, 'the whole response');
  await until(() => gateway.heldBytes === 0, 'nothing held');
});

overSocket('a stream that is not read is counted until it is read', {}, async (stage, t) => {
  const { gateway } = stage;
  gateway.answer = async (_, sink) => {
    sink.head(200, ['content-type', 'text/event-stream']);
    for (let i = 0; i < 24; i++) {
      if (!sink.write(large.subarray(0, 1024 ** 2))) await new Promise<void>((resolve) => sink.onDrain(resolve));
    }
    sink.end();
  };
  const raw = open(t, stage, `${upload(30, 0)}{"model":"fast","messages":[]}`);
  raw.socket.pause();
  await until(() => gateway.heldBytes > 0, 'what the socket does not take');
  raw.socket.resume();
  await until(() => raw.received().length > large.length, 'the whole response');
  await until(() => gateway.heldBytes === 0, 'nothing held');
});

overSocket('when memory is needed a response that was not read for ten seconds is aborted', {}, async (stage, t) => {
  const { gateway } = stage;
  const answer = gateway.answer;
  gateway.answer = (_, sink) => {
    sink.head(200, ['content-type', 'application/json']);
    sink.end(large);
  };
  const raw = open(t, stage, `${upload(30, 0)}{"model":"fast","messages":[]}`);
  raw.socket.pause();
  await until(() => gateway.heldBytes > large.length / 2, 'what the socket does not take');
  gateway.answer = answer;
  gateway.heldBytesMax = gateway.heldBytes;
  gateway.clock.advance(9_500);
  assert.equal((await stage.fetch('/v1/chat/completions', chat())).status, 429);
  gateway.clock.advance(1_000);
  assert.equal((await stage.fetch('/v1/chat/completions', chat())).status, 200);
  await until(() => gateway.heldBytes === 0, 'nothing held');
});
