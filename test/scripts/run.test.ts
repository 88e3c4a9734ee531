import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';

const runner = new URL('../../scripts/run.mjs', import.meta.url).href;

/** Says `ready PID`, then each signal that it gets; the first makes it end with code 7 a moment later. */
const program = `
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => { console.log(signal); setTimeout(() => process.exit(7), 400); });
  setInterval(() => {}, 1000);
  console.log('ready ' + process.pid);`;

async function runProgram(t: TestContext, code: string): Promise<{ wrapper: ChildProcess; heard: () => string; pid: number }> {
  const args = ['--input-type=module', '--eval', code];
  const onFailure = `const onFailure = () => { console.log('failed'); };`;
  const wrapping = `import { runAsThis } from ${JSON.stringify(runner)}; ${onFailure} runAsThis(process.execPath, ${JSON.stringify(args)}, { env: process.env, onFailure });`;
  const wrapper = spawn(process.execPath, ['--input-type=module', '--eval', wrapping], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => wrapper.kill('SIGKILL'));
  let heard = '';
  wrapper.stdout.on('data', (bytes: Buffer) => (heard += bytes.toString()));
  while (!heard.includes('\n')) await once(wrapper.stdout, 'data');
  return { wrapper, heard: () => heard, pid: Number(/ready (\d+)/.exec(heard)?.[1]) };
}

test('the exit code of the program is the exit code', async (t) => {
  const { wrapper, heard } = await runProgram(t, `console.log('ready'); process.exitCode = 3;`);
  assert.deepEqual(await once(wrapper, 'close'), [3, null]);
  assert.match(heard(), /failed/, 'what follows a failure is asked for');
});

test('a program that is stopped has not failed', { skip: process.platform === 'win32' }, async (t) => {
  const { wrapper, heard } = await runProgram(t, program);
  wrapper.kill('SIGTERM');
  assert.deepEqual(await once(wrapper, 'close'), [7, null]);
  assert.doesNotMatch(heard(), /failed/);
});

test('an end by a signal is an end by that signal', { skip: process.platform === 'win32' }, async (t) => {
  const { wrapper } = await runProgram(t, `console.log('ready'); process.kill(process.pid, 'SIGKILL');`);
  assert.deepEqual(await once(wrapper, 'exit'), [null, 'SIGKILL']);
});

test('a signal that comes twice at once is passed on once', { skip: process.platform === 'win32' }, async (t) => {
  const { wrapper, heard } = await runProgram(t, program);
  wrapper.kill('SIGINT');
  await once(wrapper.stdout as NodeJS.ReadableStream, 'data');
  wrapper.kill('SIGINT');
  assert.deepEqual(await once(wrapper, 'exit'), [7, null]);
  assert.equal(heard().match(/SIGINT/g)?.length, 1);
});

test('the program ends when what runs it is killed outright', { skip: process.platform === 'win32' }, async (t) => {
  const { wrapper, pid } = await runProgram(t, program);
  wrapper.kill('SIGKILL');
  await once(wrapper, 'close'); // the program held the other end of this pipe
  assert.ok(pid > 0);
});
