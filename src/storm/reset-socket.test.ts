import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { test } from 'node:test';
import { resetSocket } from './reset-socket.ts';

/** What the other side hears when a socket is broken off. Ends when both sides are closed. */
async function broken(breakOff: (socket: Socket) => void): Promise<string> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  let heard = 'FIN';
  client.on('error', (error: NodeJS.ErrnoException) => (heard = error.code ?? 'no code'));
  client.resume();
  const gone = new Promise((resolve) => client.once('close', resolve));
  // An open handle holds the server: it closes only after all its connections have.
  const closed = new Promise((resolve) => server.close(resolve));
  breakOff(socket);
  await gone;
  await closed;
  return heard;
}

test('an open connection is reset', async () => {
  assert.equal(await broken(resetSocket), 'ECONNRESET');
});

test('a connection that is ending is closed, and nothing of it stays', async () => {
  const heard = await broken((socket) => {
    socket.end('bye');
    resetSocket(socket);
  });
  assert.match(heard, /^(FIN|ECONNRESET)$/);
});
