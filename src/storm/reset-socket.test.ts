import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { test } from 'node:test';
import { resetSocket } from './reset-socket.ts';

/** What the peer observes when a socket is broken. Resolves when both sides are closed. */
async function broken(breakOff: (socket: Socket) => void): Promise<string> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  let observed = 'FIN';
  client.on('error', (error: NodeJS.ErrnoException) => (observed = error.code ?? 'no code'));
  client.resume();
  const gone = new Promise((resolve) => client.once('close', resolve));
  // The server closes only after all its connections have, so an open handle would block it.
  const closed = new Promise((resolve) => server.close(resolve));
  breakOff(socket);
  await gone;
  await closed;
  return observed;
}

test('an open connection is reset', async () => {
  assert.equal(await broken(resetSocket), 'ECONNRESET');
});

test('a closing connection is destroyed, and its handle closes', async () => {
  const observed = await broken((socket) => {
    socket.end('bye');
    resetSocket(socket);
  });
  assert.match(observed, /^(FIN|ECONNRESET)$/);
});
