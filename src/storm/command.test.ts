import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';

test('the command prints its address and exits on SIGTERM with calls still running', async () => {
  const script = `import { runStorm } from ${JSON.stringify(new URL('command.ts', import.meta.url).href)}; await runStorm({ port: 0 });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const url = /^storm listening on (http:\/\/127\.0\.0\.1:\d+\/v1)\n$/.exec(line.toString())?.[1];
  assert.ok(url, line.toString());
  assert.equal((await fetch(`${url}/models`)).status, 200);
  const body = JSON.stringify({ model: 'fault-silence', messages: [{ role: 'user', content: 'x' }] });
  const running = fetch(`${url}/chat/completions`, { method: 'POST', body });
  running.catch(() => undefined);
  while (((await (await fetch(url.replace('/v1', '/storm/stats'))).json()) as { running: number }).running === 0);
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
  await assert.rejects(running);
});
