import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, linkSync, mkdtempSync, readdirSync, rmSync, statSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { bindUnixSocket } from './unix-socket.ts';

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-socket-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Sends its name to every connection. */
function named(t: TestContext, name: string): Server {
  const server = createServer((socket) => void socket.end(name));
  t.after(() => server.close());
  return server;
}

async function nameAt(path: string): Promise<string> {
  const socket = connect({ path });
  let text = '';
  socket.on('data', (bytes: Buffer) => (text += bytes.toString()));
  await once(socket, 'end');
  return text;
}

/** What a process that was killed leaves behind. */
async function leaveStale(path: string): Promise<void> {
  const server = createServer().listen({ path: `${path}.first` });
  await once(server, 'listening');
  linkSync(`${path}.first`, path);
  server.close();
  await once(server, 'close');
}

test('of several that replace a stale socket at once, one binds and the others fail', async (t) => {
  const path = join(folderOf(t), 'a.sock');
  for (let round = 0; round < 20; round++) {
    await leaveStale(path);
    const servers = ['first', 'second', 'third'].map((name) => named(t, name));
    const results = await Promise.allSettled(servers.map((server) => bindUnixSocket(server, { path, mode: 0o660 })));
    const bound = results.map(({ status }) => status === 'fulfilled');
    assert.equal(bound.filter(Boolean).length, 1, String(bound));
    for (const result of results)
      if (result.status === 'rejected') assert.equal((result.reason as NodeJS.ErrnoException).code, 'EADDRINUSE');
    assert.equal(await nameAt(path), ['first', 'second', 'third'][bound.indexOf(true)]);
    const winner = servers[bound.indexOf(true)]!;
    winner.close();
    await once(winner, 'close');
    assert.deepEqual(readdirSync(join(path, '..')), []);
  }
});

test('closing removes the own socket only', async (t) => {
  const path = join(folderOf(t), 'a.sock');
  const [first, second] = [named(t, 'first'), named(t, 'second')];
  await bindUnixSocket(first, { path, mode: 0o600 });
  assert.equal(statSync(path).mode & 0o777, 0o600);
  unlinkSync(path);
  await bindUnixSocket(second, { path, mode: 0o660 });
  first.close();
  await once(first, 'close');
  assert.equal(await nameAt(path), 'second');
  second.close();
  await once(second, 'close');
  assert.equal(existsSync(path), false);
});

test('a path as long as the system allows is possible', async (t) => {
  const folder = folderOf(t);
  const path = join(folder, 's'.repeat(102 - folder.length));
  const server = named(t, 'long');
  await bindUnixSocket(server, { path, mode: 0o660 });
  assert.equal(await nameAt(path), 'long');
});
