/** What two configured things share without knowing of each other: a store between processes, an account between providers. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { runCli, startCli, type CliProcess } from '../cli/run-cli.ts';

function configFile(t: TestContext, config: object): string {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-shared-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'breakwater.json');
  writeFileSync(file, JSON.stringify({ server: { port: 0 }, models: { fast: ['a/m'] }, ...config }));
  return file;
}

const provider = (apiKey: string) => ({ protocol: 'openai', baseUrl: 'http://127.0.0.1:9/v1', apiKey });
const SHARED_STORE = /another process also uses the store sqlite:[^"]*state\.db/;

async function serve(t: TestContext, file: string): Promise<CliProcess> {
  const cli = startCli(['serve', '--config', file]);
  t.after(() => cli.child.kill('SIGKILL'));
  await cli.until('stderr', /"state":"started"/);
  return cli;
}

test('a second process on one SQLite file says so at its start, and a later one does not', async (t) => {
  const file = configFile(t, { store: 'sqlite:./state.db', providers: { a: provider('sk-1') } });
  const first = await serve(t, file);
  const second = await serve(t, file);
  assert.match(second.stderr(), SHARED_STORE);
  assert.match(second.stderr(), /"level":"warn"/);
  assert.doesNotMatch(first.stderr(), SHARED_STORE);
  for (const cli of [first, second]) cli.child.kill('SIGKILL');
  await Promise.all([first.ended, second.ended]);
  const third = await serve(t, file);
  assert.doesNotMatch(third.stderr(), SHARED_STORE);
  third.child.kill('SIGTERM');
  assert.equal(await third.ended, 0);
  assert.doesNotMatch((await serve(t, file)).stderr(), SHARED_STORE);
});

test('two providers that are one account are named by check and at the start', async (t) => {
  const file = configFile(t, { store: 'memory:', providers: { a: provider('sk-very-secret'), b: provider('sk-very-secret') } });
  const { code, stderr } = await runCli(['check', file]);
  assert.equal(code, 0);
  assert.match(stderr, /warning: providers\.a and providers\.b have the same baseUrl and a key in common/);
  const cli = await serve(t, file);
  assert.match(cli.stderr(), /providers\.a and providers\.b have the same baseUrl/);
  assert.doesNotMatch(cli.stderr() + stderr, /sk-very/);
});
