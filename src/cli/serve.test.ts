import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { mkdtemp, rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { runCli, startCli, type CliProcess, type RunOptions } from '../../test/cli/run-cli.ts';

const chatRequest = { method: 'POST', body: JSON.stringify({ model: 'demo', messages: [{ role: 'user', content: 'hi' }] }) };

async function listening(t: TestContext, args: readonly string[], options?: RunOptions): Promise<{ cli: CliProcess; url: string }> {
  const cli = startCli(args, options);
  t.after(() => cli.child.kill('SIGKILL'));
  const [, url = ''] = await cli.until('stdout', /^listening on (http:\S+)\n/);
  return { cli, url };
}

test('without a provider it lists the three remedies', async () => {
  const { code, stdout, stderr } = await runCli(['--port', '0']);
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /OPENAI_API_KEY/);
  assert.match(stderr, /breakwater\.yaml/);
  assert.match(stderr, /--demo/);
});

test('the demo responds, is marked as a demo, and shuts down gracefully', async (t) => {
  const { cli, url } = await listening(t, ['--demo', '--port', '0']);
  await cli.until('stderr', /"msg":"started"/);
  assert.match(cli.stderr(), new RegExp(`curl ${url}/v1/chat/completions`));
  const response = await fetch(`${url}/v1/chat/completions`, chatRequest);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('x-breakwater-simulated'), 'true');
  assert.match(await response.text(), /"choices"/);
  assert.match(await (await fetch(`${url}/metrics`)).text(), /^# HELP breakwater_/m);
  const [request] = ((await (await fetch(`${url}/admin/requests`)).json()) as { requests: { id: string }[] }).requests;
  assert.equal(request?.id, response.headers.get('x-request-id'));
  cli.child.kill('SIGTERM');
  assert.equal(await cli.ended, 0);
  assert.equal(cli.stdout(), `listening on ${url}\n`);
});

test('the first log line states what was started', async (t) => {
  const cwd = await mkdtemp(join(tmpdir(), 'breakwater-'));
  await writeFile(join(cwd, 'breakwater.yaml'), 'providers: { a: { baseUrl: "http://127.0.0.1:9/v1" } }\nstore: "sqlite:./state.db"\n');
  const { cli } = await listening(t, ['--port', '0'], { cwd, env: { HTTPS_PROXY: 'http://me:hidden@127.0.0.1:9' } });
  const [line] = await cli.until('stderr', /.*"msg":"started".*\n/);
  const { version, config, store, proxy, time } = JSON.parse(line) as Record<string, string>;
  assert.match(version!, /^\d+\.\d+\.\d+/);
  assert.match(config!, /breakwater\.yaml$/);
  assert.match(store!, /^sqlite:.*state\.db$/);
  assert.equal(proxy, 'http://****@127.0.0.1:9');
  assert.equal(new Date(time!).toISOString(), time);
});

test('a proxy without a scheme is a startup fault', async () => {
  for (const command of [['--demo', '--port', '0'], ['check']]) {
    const { code, stderr } = await runCli(command, { env: { HTTPS_PROXY: 'me:hidden@proxy:3128', OPENAI_API_KEY: 'sk-x-123456' } });
    assert.equal(code, 1);
    assert.match(stderr, /^breakwater: HTTPS_PROXY: must be a URL that starts with http:\/\/[^\n]*\n$/);
    assert.doesNotMatch(stderr, /hidden/);
  }
});

test('a port in use is reported on one line', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.after(() => other.close());
  const { port } = other.address() as AddressInfo;
  const { code, stderr } = await runCli(['--demo', '--port', String(port)]);
  assert.equal(code, 1);
  assert.equal(
    stderr,
    `breakwater: server.port: can't listen on 127.0.0.1:${port}: the address is in use by another process (EADDRINUSE)\n`,
  );
});

test("a provider at Breakwater's own address is a startup fault", async () => {
  for (const command of [['--port', '4747'], ['check']]) {
    const { code, stderr } = await runCli(command, { env: { OPENAI_BASE_URL: 'http://127.0.0.1:4747/v1', OPENAI_API_KEY: 'sk-x-123456' } });
    assert.equal(code, 1);
    assert.match(stderr, /^breakwater: providers\.openai\.baseUrl: 127\.0\.0\.1:4747 is Breakwater's own address; [^\n]*\n$/);
  }
});

test('check rejects a config without a provider, as serve does', async () => {
  const { code, stderr } = await runCli(['check']);
  assert.equal(code, 1);
  assert.match(stderr, /no provider is configured/);
});

test('a missing check module is reported on one line', async () => {
  const cwd = await mkdtemp(join(tmpdir(), 'breakwater-'));
  const config = 'providers: { a: { baseUrl: "http://127.0.0.1:9/v1" } }\npolicy: { quality: { check: ./own.mjs } }\nstore: "memory:"\n';
  await writeFile(join(cwd, 'breakwater.yaml'), config);
  for (const args of [['--port', '0'], ['check']]) {
    const { code, stderr } = await runCli(args, { cwd });
    assert.equal(code, 1);
    assert.match(stderr, /^breakwater: .*breakwater\.yaml: policy\.quality\.check: .*own\.mjs does not exist\n$/);
  }
});

test('a changed config is applied, an invalid one is not', async (t) => {
  const cwd = await mkdtemp(join(tmpdir(), 'breakwater-'));
  const file = join(cwd, 'breakwater.yaml');
  const config = (models: string): string =>
    `providers: { a: { baseUrl: "http://127.0.0.1:9/v1", apiKey: sk-secret-1234 } }\nstore: "memory:"\nmodels: ${models}\n`;
  await writeFile(file, config('{ one: [a/b] }'));
  const { cli, url } = await listening(t, ['--port', '0'], { cwd });
  const models = async (): Promise<string[]> =>
    ((await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string }[] }).data.map(({ id }) => id);
  assert.deepEqual(await models(), ['one']);

  await writeFile(join(cwd, 'next'), config('{ two: [a/b] }'));
  await rename(join(cwd, 'next'), file);
  await cli.until('stderr', /"state":"reloaded"/);
  assert.deepEqual(await models(), ['two']);

  await writeFile(file, config('{ three: a/b }\nserver: { prot: 1 }'));
  const [line] = await cli.until('stderr', /.*"state":"reload_failed".*/);
  assert.match(line, /server\.prot.*models\.three|models\.three.*server\.prot/);
  assert.deepEqual(await models(), ['two']);
  assert.equal((await fetch(`${url}/admin/reload`, { method: 'POST' })).status, 400);

  await writeFile(file, `${config('{ four: [a/b] }').replace('memory:', 'sqlite:./b.db')}telemetry: { requests: { file: r.jsonl } }\n`);
  cli.child.kill('SIGHUP');
  await cli.until('stderr', /"state":"reloaded"[^]*"state":"reloaded"/);
  assert.deepEqual(await models(), ['four']);
  await cli.until(
    'stderr',
    /"msg":"store takes effect at the next start"[^]*"msg":"telemetry.requests.file takes effect at the next start"/,
  );
  assert.doesNotMatch(cli.stderr(), /sk-secret-1234/);
});

test('a second signal ends the process at once', async (t) => {
  const cwd = await mkdtemp(join(tmpdir(), 'breakwater-'));
  const upstream = createServer().listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  t.after(() => upstream.close());
  const { port } = upstream.address() as AddressInfo;
  await writeFile(
    join(cwd, 'breakwater.yaml'),
    `providers: { a: { baseUrl: "http://127.0.0.1:${port}/v1" } }\nstore: "memory:"\nmodels: { demo: [a/b] }\n`,
  );
  const { cli, url } = await listening(t, ['--port', '0', '--log-level', 'debug'], { cwd });
  const pending = fetch(`${url}/v1/chat/completions`, chatRequest).catch(() => null);
  await cli.until('stderr', /"event":"attempt"/);
  cli.child.kill('SIGINT');
  await cli.until('stderr', /"state":"draining"/);
  cli.child.kill('SIGINT');
  assert.equal(await cli.ended, 130);
  await pending;
});

/** Writes to a pipe until it is full. */
function fill(pipe: string): void {
  const writer = openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
  try {
    for (;;) writeSync(writer, Buffer.alloc(4096));
  } catch {
    closeSync(writer);
  }
}

for (const [what, reads] of [
  ['has no reader', false],
  ['has a reader that does not read', true],
] as const) {
  test(`a request log that is a pipe and ${what} does not keep the process from exiting`, async (t) => {
    const cwd = await mkdtemp(join(tmpdir(), 'breakwater-'));
    const pipe = join(cwd, 'requests');
    execFileSync('mkfifo', [pipe]);
    const reader = reads ? openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK) : null;
    if (reads) fill(pipe);
    await writeFile(
      join(cwd, 'breakwater.yaml'),
      `providers: { a: { baseUrl: "http://127.0.0.1:9/v1" } }\nstore: "memory:"\ntelemetry: { requests: { file: requests } }\nmodels: { demo: [a/b] }\npolicy: { maxAttempts: 1 }\n`,
    );
    const { cli, url } = await listening(t, ['--port', '0', '--log-level', 'silent'], { cwd });
    const headers = { 'x-breakwater-deadline-ms': '100' };
    for (let i = 0; i < 3; i++) await fetch(`${url}/v1/chat/completions`, { ...chatRequest, headers }).then((response) => response.text());
    const signalled = performance.now();
    cli.child.kill('SIGTERM');
    assert.equal(await cli.ended, 0);
    assert.ok(performance.now() - signalled < 5_000);
    if (reader !== null) closeSync(reader);
  });
}

test('a signal right after "listening on" shuts it down gracefully', async (t) => {
  const { cli } = await listening(t, ['--demo', '--port', '0']);
  cli.child.kill('SIGINT');
  assert.equal(await cli.ended, 0);
});

/** A folder with a config whose check module runs `code` during the start. */
async function startingWith(code: string): Promise<string> {
  const cwd = await mkdtemp(join(tmpdir(), 'breakwater-'));
  await writeFile(join(cwd, 'own.mjs'), `${code}\nexport default () => null;\n`);
  const config = 'providers: { a: { baseUrl: "http://127.0.0.1:9/v1" } }\npolicy: { quality: { check: ./own.mjs } }\nstore: "memory:"\n';
  await writeFile(join(cwd, 'breakwater.yaml'), config);
  return cwd;
}

test('a stop signal during the start ends the process, with 0', async (t) => {
  const cwd = await startingWith('process.stderr.write("loading"); setInterval(() => {}, 1e6); await new Promise(() => {});');
  const cli = startCli(['--port', '0'], { cwd });
  t.after(() => cli.child.kill('SIGKILL'));
  await cli.until('stderr', /loading/);
  cli.child.kill('SIGTERM');
  assert.equal(await cli.ended, 0);
});

test('SIGHUP during the start reloads the config after it', async (t) => {
  const { cli } = await listening(t, ['--port', '0'], { cwd: await startingWith('process.kill(process.pid, "SIGHUP");') });
  await cli.until('stderr', /"state":"reloaded"/);
  cli.child.kill('SIGTERM');
  assert.equal(await cli.ended, 0);
});
