/** A process at its limit of open files: what its operator reads, and that it goes on. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startCli } from '../cli/run-cli.ts';

const OPEN_FILES = 90;

test('out of file descriptors: a warning with the cure, running connections go on, and new ones are accepted again', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-files-'));
  const file = join(folder, 'breakwater.json');
  const providers = { a: { protocol: 'openai', baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'k' } };
  writeFileSync(file, JSON.stringify({ server: { port: 0 }, store: 'memory:', providers, models: { fast: ['a/m'] } }));
  const cli = startCli(['serve', '--config', file], { openFiles: OPEN_FILES });
  t.after(() => {
    cli.child.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });
  const url = (await cli.until('stdout', /listening on (\S+)/))[1]!;
  const sockets: Socket[] = [];
  for (let i = 0; i < 2 * OPEN_FILES; i++) {
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.on('error', () => {});
    sockets.push(socket);
  }
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  const [warning] = await cli.until('stderr', /[^\n]*out of file descriptors \(EMFILE\)[^\n]*/);
  assert.match(warning, /"level":"warn"/);
  assert.match(warning, /ulimit -n/);

  const alive = sockets.find((socket) => !socket.destroyed && socket.readyState === 'open')!;
  alive.write('GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const [answer] = (await once(alive, 'data')) as [Buffer];
  assert.match(answer.toString(), /^HTTP\/1\.1 200/);

  for (const socket of sockets) socket.destroy();
  await cli.until('stderr', /file descriptors are available again/);
  assert.equal((await fetch(`${url}/health/live`)).status, 200);
});
