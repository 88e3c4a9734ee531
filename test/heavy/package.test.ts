/** The published package: packed, installed into an empty folder, and used on the oldest and the current Node.js. */
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { HeavyPackages } from './install.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const nodes = join(import.meta.dirname, 'nodes');
const packages = new HeavyPackages(nodes, 'other versions of Node.js (some 150 MB)');

const folder = mkdtempSync(join(tmpdir(), 'breakwater-installed-'));
const command = join(folder, 'node_modules', 'breakwater', 'bin', 'breakwater.cjs');
after(() => rmSync(folder, { recursive: true, force: true }));

/** Null: installed. */
let fault: string | null = null;

before(async () => {
  const staged = join(folder, 'staged');
  mkdirSync(staged);
  const script = `import('./scripts/stage-package.mjs').then((module) => module.stagePackage(${JSON.stringify(staged)}))`;
  execFileSync(process.execPath, ['-e', script], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
  execFileSync('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: staged, stdio: 'ignore' });
  rmSync(staged, { recursive: true });
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'))!;
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  const args = ['install', `./${tarball}`, '--no-audit', '--no-fund', '--loglevel=error', '--fetch-retries=0'];
  await run('npm', args, { cwd: folder, timeout: 120_000 }).catch((error: Error) => (fault = error.message));
});

/** The binary of a version; null: there is none for this platform, and the test was skipped. */
async function nodeOf(t: TestContext, version: 'oldest' | 'current' | 'ancient'): Promise<string | null> {
  if (fault !== null) {
    t.skip(`the package's dependencies cannot be installed: ${fault}`);
    return null;
  }
  if (version === 'current') return process.execPath;
  if (!(await packages.install(t))) return null;
  const name = `node-${process.platform}-${process.arch}`;
  const candidates = version === 'ancient' ? ['node-ancient'] : [name, `node-bin-${process.platform}-${process.arch}`];
  const path = candidates.map((candidate) => join(nodes, 'node_modules', candidate, 'bin', 'node')).find((file) => existsSync(file));
  if (path === undefined) t.skip(`no package has this Node.js for ${process.platform}-${process.arch}`);
  return path ?? null;
}

/** The environment of a user, with this Node.js and without keys. */
function envOf(node: string, extra: Record<string, string> = {}): Record<string, string> {
  const { PATH = '', HOME = '' } = process.env;
  return { PATH: `${dirname(node)}${delimiter}${PATH}`, HOME, ...extra };
}

async function serving(
  t: TestContext,
  node: string,
  args: readonly string[],
  cwd: string,
): Promise<{ url: string; readonly stop: () => Promise<unknown> }> {
  const child = spawn(node, [command, ...args], { cwd, env: envOf(node), stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  let text = '';
  child.stderr.on('data', (piece: Buffer) => (text += piece.toString()));
  const ended = new Promise((resolve) => child.on('close', (code, signal) => resolve(code ?? signal)));
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (piece: Buffer) => {
      const match = /listening on (\S+)/.exec((text += piece.toString()));
      if (match !== null) resolve(match[1]!);
    });
    void ended.then((code) => reject(new Error(`ended with ${String(code)}: ${text}`)));
  });
  return { url, stop: () => (child.kill('SIGTERM'), ended) };
}

function folderIn(name: string): string {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  return path;
}

const chat = (model: string): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }] }),
});

/** A provider that always answers. */
async function startProvider(t: TestContext): Promise<string> {
  const message = { role: 'assistant', content: 'It works.' };
  const body = { id: 'x', object: 'chat.completion', model: 'm', choices: [{ index: 0, message, finish_reason: 'stop' }] };
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.setHeader('content-type', 'application/json').end(JSON.stringify(body)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

for (const version of ['oldest', 'current'] as const) {
  describe(`on the ${version} Node.js`, () => {
    test('the demo responds and serves the dashboard', async (t) => {
      const node = await nodeOf(t, version);
      if (node === null) return;
      const { url, stop } = await serving(t, node, ['--demo', '--port', '0'], folderIn(`demo-${version}`));
      const response = await fetch(`${url}/v1/chat/completions`, chat('demo'));
      assert.equal(response.status, 200);
      assert.equal(response.headers.get('x-breakwater-simulated'), 'true');
      await response.text();
      assert.match(await (await fetch(`${url}/`, { headers: { accept: 'text/html' } })).text(), /<script/);
      assert.equal(await stop(), 0);
    });

    test('a config file is checked and served, with its store', async (t) => {
      const node = await nodeOf(t, version);
      if (node === null) return;
      const cwd = folderIn(`config-${version}`);
      const baseUrl = await startProvider(t);
      const server = '# yaml-language-server: $schema=../node_modules/breakwater/breakwater.schema.json\nserver: { port: 0 }\n';
      writeFileSync(
        join(cwd, 'breakwater.yaml'),
        `${server}providers: { own: { baseUrl: "${baseUrl}", apiKey: sk-1 } }\nmodels: { fast: [own/m] }\n`,
      );
      const checked = await run('npx', ['--no-install', 'breakwater', 'check'], { cwd, env: envOf(node) });
      assert.match(checked.stdout, /valid; the effective config/);
      const { url, stop } = await serving(t, node, [], cwd);
      const response = await fetch(`${url}/v1/chat/completions`, chat('fast'));
      assert.equal(response.status, 200);
      assert.match(await response.text(), /It works\./);
      assert.equal(await stop(), 0);
      assert.ok(existsSync(join(cwd, 'breakwater.db')));
    });

    test('the library runs in process', async (t) => {
      const node = await nodeOf(t, version);
      if (node === null) return;
      const file = join(folder, `library-${version}.js`);
      writeFileSync(
        file,
        `import { createBreakwater } from 'breakwater';
         import * as testing from 'breakwater/testing';
         const breakwater = await createBreakwater({
           providers: { own: { baseUrl: ${JSON.stringify(await startProvider(t))}, apiKey: 'sk-1' } },
           models: { fast: ['own/m'] },
         });
         const response = await breakwater.fetch('http://breakwater/v1/chat/completions', ${JSON.stringify(chat('fast'))});
         console.log(response.status, (await response.json()).choices[0].message.content, typeof testing.createManualClock);
         await breakwater.close();`,
      );
      assert.equal((await run(node, [file], { cwd: folder, env: envOf(node), timeout: 30_000 })).stdout, '200 It works. function\n');
    });
  });
}

test('an old Node.js, which cannot parse the program, gets a message', async (t) => {
  const node = await nodeOf(t, 'ancient');
  if (node === null) return;
  const failed = await run(node, [command, '--demo'], { cwd: folder, env: envOf(node) }).catch((error: unknown) => error);
  const { code, stderr, stdout } = failed as { code: number; stderr: string; stdout: string };
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /^breakwater: Node\.js 24 or later is required; this is v4\.9\.1\. Install a newer one, or run: npx [^\n]+\n$/);
});

test('a TypeScript program of a user compiles against the types, with its mistakes found', async (t) => {
  if ((await nodeOf(t, 'current')) === null) return;
  const typeRoots = [join(root, 'node_modules', '@types')];
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2024',
    strict: true,
    noEmit: true,
    skipLibCheck: false,
    types: ['node'],
    typeRoots,
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }));
  writeFileSync(
    join(folder, 'consumer.ts'),
    `import { createBreakwater, type Breakwater, type ConfigInput } from 'breakwater';
     import { createManualClock } from 'breakwater/testing';
     const config: ConfigInput = { providers: { openai: { apiKey: 'sk-1' } }, models: { fast: ['openai/gpt-4o-mini'] }, policy: { deadline: '30s' } };
     const breakwater: Breakwater = await createBreakwater(config);
     breakwater.on('attempt', (event) => console.log(event.target.length, createManualClock().now()));
     const status: number = (await breakwater.fetch('http://breakwater/v1/models')).status;
     // @ts-expect-error: an unknown key
     const wrong: ConfigInput = { polices: {} };
     console.log(status, wrong);
     await breakwater.close();\n`,
  );
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const compiled = await run(process.execPath, [compiler, '-p', folder]).catch((error: unknown) => error as { stdout: string });
  assert.equal(compiled.stdout, '');
  const declaration = readFileSync(join(folder, 'node_modules', 'breakwater', 'dist', 'gateway', 'config', 'config-input.d.ts'), 'utf8');
  assert.match(declaration, /\/\*\* The port; 0: any free port\. Default: 4747\. \*\/\n +port\?/, 'hover texts');
});

test('the docs are in the package', async (t) => {
  if ((await nodeOf(t, 'current')) === null) return;
  const installed = join(folder, 'node_modules', 'breakwater');
  for (const name of ['README.md', 'CHANGELOG.md', 'LICENSE', 'breakwater.schema.json', 'docs/deploying.md', 'docs/limits.md'])
    assert.ok(existsSync(join(installed, name)), name);
  assert.equal(existsSync(join(installed, 'src')), false);
});
