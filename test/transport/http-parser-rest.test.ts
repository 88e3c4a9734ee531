/** A parser that was freed between two messages, on real sockets. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { loadHttpParser, type HttpParser, type ParserOwner } from '../../src/transport/http-parser.ts';
import { eventually } from '../e2e/world.ts';

const BODY_BYTES = 4 * 1024 * 1024;

/** A connection whose server side is parsed; `pausesAt`: the server pauses once it has this many bytes of the second body. */
async function open(t: TestContext, pausesAt: number) {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client: Socket = connect((server.address() as { port: number }).port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  const seen = { messages: 0, bodyBytes: 0, whilePaused: 0, isPaused: false };
  const owner: ParserOwner = {
    onMessageBegin() {},
    onHead() {
      if (seen.messages === 1 && pausesAt === 0) pause();
      return 'normal';
    },
    onBody(bytes) {
      if (seen.messages === 0) return;
      seen.bodyBytes += bytes.byteLength;
      if (!seen.isPaused && seen.bodyBytes >= pausesAt) pause();
    },
    onMessageComplete: () => void seen.messages++,
    onParsed: (error) => assert.equal(error, null),
  };
  const parser: HttpParser = loadHttpParser()!.create('request', 16_384, owner);
  const pause = (): void => {
    seen.isPaused = true;
    parser.pause();
  };
  socket.on('close', () => parser.close());
  t.after(async () => {
    client.destroy();
    socket.destroy();
    server.close();
    await once(server, 'close');
  });
  parser.attach(socket);
  return { client, socket, parser, seen };
}

/** Until the client can send no more. */
async function untilBlocked(client: Socket, socket: Socket): Promise<void> {
  let before = -1;
  for (let same = 0; same < 5; same = client.writableLength === before && socket.bytesRead > 0 ? same + 1 : 0) {
    before = client.writableLength;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

for (const [what, pausesAt] of [
  ['at its head', 0],
  ['within its body', 1],
] as const) {
  test(`a message after a rest can be paused ${what}, and continues after a resume`, async (t) => {
    const { client, socket, parser, seen } = await open(t, pausesAt);
    client.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na');
    await eventually(() => seen.messages === 1, 'the first message');
    parser.rest();
    client.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${BODY_BYTES}\r\n\r\n`);
    client.write(Buffer.alloc(BODY_BYTES, 'b'));
    await eventually(() => seen.isPaused, 'the pause');
    // What one read contained is parsed; nothing is read after that.
    await new Promise((resolve) => setImmediate(resolve));
    const [atPause, readAtPause] = [seen.bodyBytes, socket.bytesRead];
    await untilBlocked(client, socket);
    assert.equal(seen.bodyBytes, atPause);
    assert.equal(socket.bytesRead, readAtPause);
    assert.ok(atPause <= 128 * 1024, `${atPause} bytes in one read`);
    assert.ok(client.writableLength > 0, 'the client is blocked');
    parser.resume();
    await eventually(() => seen.messages === 2, 'the second message');
    assert.equal(seen.bodyBytes, BODY_BYTES);
  });
}
