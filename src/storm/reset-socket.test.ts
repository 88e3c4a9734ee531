import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { test } from 'node:test';
import { resetSocket } from './reset-socket.ts';

/** What the other side hears when a socket is broken off, and whether the socket closed. */
async function broken(breakOff: (socket: Socket) => void): Promise<{ heard: string; closed: boolean }> {
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
  const closed = Promise.race([
    new Promise<boolean>((resolve) => server.close(() => resolve(true))),
    new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 2000).unref()),
  ]);
  breakOff(socket);
  await gone;
  return { heard, closed: await closed };
}

test('an open connection is reset', async () => {
  assert.deepEqual(await broken(resetSocket), { heard: 'ECONNRESET', closed: true });
});

test('a connection that is ending is closed, and nothing of it stays', async () => {
  const { closed } = await broken((socket) => {
    socket.end('bye');
    resetSocket(socket);
  });
  assert.equal(closed, true);
});
