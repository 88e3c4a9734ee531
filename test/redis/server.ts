/** A real redis-server for tests, on a free port of its own, in a folder that is deleted with it. */
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer } from 'node:net';

/** Null if no server is installed; tests that need it are skipped. */
export const redisServer = ['redis-server', 'valkey-server'].find((name) => spawnSync(name, ['--version']).status === 0) ?? null;
export const skipWithoutRedis = redisServer === null ? 'needs redis-server or valkey-server: apt-get install redis-server' : false;

export interface RedisServer {
  readonly port: number;
  readonly url: string;
  readonly process: ChildProcess;
  /** Kills it and waits for its exit. */
  stop(): Promise<void>;
  /** Starts it again on the same port, empty. */
  start(...args: readonly string[]): Promise<void>;
}

export async function startRedis(...args: readonly string[]): Promise<RedisServer> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-redis-'));
  let child = await launch(port, folder, args);
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  process.once('exit', () => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    get process() {
      return child;
    },
    stop,
    async start(...again) {
      await stop();
      child = await launch(port, folder, again.length > 0 ? again : args);
    },
  };
}

async function launch(port: number, folder: string, args: readonly string[]): Promise<ChildProcess> {
  const settings = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--dir',
    folder,
    '--loglevel',
    'warning',
  ];
  const child = spawn(redisServer!, [...settings, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
  for (let tries = 0; !(await answers(port)); tries++) {
    if (child.exitCode !== null || tries > 500) throw new Error('redis-server does not start');
  }
  return child;
}

/** Waits briefly if nothing listens yet. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => setTimeout(() => resolve(false), 20));
  });
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** Commands that the server replies to with OK. */
export async function sendCommands(port: number, ...texts: readonly string[]): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  for (const text of texts) {
    socket.write(`${text}\r\n`);
    const [reply] = (await once(socket, 'data')) as [Buffer];
    assert.match(reply.toString(), /^\+OK/, text);
  }
  socket.destroy();
}
