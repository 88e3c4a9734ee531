import assert from 'node:assert/strict';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCli } from '../../test/cli/run-cli.ts';

async function folderWith(config: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-'));
  await writeFile(join(folder, 'breakwater.yaml'), config);
  return folder;
}

const sound = 'providers: { backup: { baseUrl: "http://127.0.0.1:9/v1", apiKey: sk-very-secret-1 } }\nmodels: { fast: [backup/big] }\n';

test('check also accepts its file as an option', async () => {
  const cwd = await mkdtemp(join(tmpdir(), 'breakwater-'));
  await writeFile(join(cwd, 'other.yaml'), sound);
  for (const args of [['--config', 'other.yaml'], ['-c', 'other.yaml'], ['other.yaml']]) {
    const { code, stdout } = await runCli(['check', ...args], { cwd });
    assert.equal(code, 0);
    assert.match(stdout, /^# other\.yaml: valid/);
  }
});

test('check prints the effective config without secrets', async () => {
  const { code, stdout, stderr } = await runCli(['check'], { cwd: await folderWith(sound) });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^# .*breakwater\.yaml: valid/);
  assert.match(stdout, /^ {2}port: 4747$/m);
  assert.doesNotMatch(stdout, /very-secret/);
});

test('every fault of a config is one line with its path, without a stack', async () => {
  const cwd = await folderWith(
    'server: { prot: 1, drainTimeout: soon }\nproviders: { a: { baseUrl: "http://x/v1", apiKey: "${NO_SUCH}" } }\n',
  );
  for (const args of [['check'], ['check', 'breakwater.yaml'], ['serve'], ['--config', 'breakwater.yaml']]) {
    const { code, stdout, stderr } = await runCli(args, { cwd });
    assert.equal(code, 1);
    assert.equal(stdout, '');
    const lines = stderr.trimEnd().split('\n');
    assert.equal(lines.length, 3, stderr);
    for (const line of lines)
      assert.match(line, /^breakwater: .*breakwater\.yaml: (server\.prot|server\.drainTimeout|providers\.a\.apiKey): /);
  }
});

test('a missing package or model file of a local model is a fault with its remedy', async () => {
  const cwd = await folderWith('providers: { offline: { protocol: local, engine: llama, models: { chat: { weights: chat.gguf } } } }\n');
  for (const args of [['check'], ['serve']]) {
    const { code, stderr } = await runCli(args, { cwd });
    assert.equal(code, 1);
    const lines = stderr.trimEnd().split('\n');
    assert.match(lines.at(-1)!, /providers\.offline\.models\.chat\.weights: .*chat\.gguf does not exist$/);
    // It is not missing if the package happens to be installed beside Breakwater.
    if (lines.length > 1) assert.match(lines[0]!, /providers\.offline\.engine: engine llama needs .*npm install node-llama-cpp$/);
  }
});

test('a missing config is reported on one line', async () => {
  const { code, stderr } = await runCli(['--config', 'nowhere.yaml']);
  assert.equal(code, 1);
  assert.match(stderr, /^breakwater: nowhere\.yaml: can't be read \(got ENOENT\)\n$/);
});

test('help describes every command', async () => {
  const { code, stdout } = await runCli(['--help']);
  assert.equal(code, 0);
  for (const word of ['serve', 'check', 'storm', 'batch', 'simulate', 'BREAKWATER_KEY', '--config']) assert.ok(stdout.includes(word), word);
  assert.match((await runCli(['storm', '--help'])).stdout, /--requests-per-minute[^]*silence-content/);
});

test('storm lists its faults with descriptions', async () => {
  const { code, stdout } = await runCli(['storm', '--list-faults']);
  assert.equal(code, 0);
  assert.match(stdout, /\n {2}cut-character +both +after +FIN inside a multi-byte character/);
});

test('unknown names are reported on one line', async () => {
  for (const [args, line] of [
    [['batch', 'run', 'x.jsonl', '--url', 'http://127.0.0.1:9'], 'breakwater: http://127.0.0.1:9: no gateway responds there\n'],
    [['sevre'], 'breakwater: unknown command "sevre"; see breakwater --help\n'],
    [['storm', '--fault-mix', 'nope:1'], 'breakwater: --fault-mix: unknown fault kind: nope; see breakwater storm --help\n'],
    [['storm', '--fault', 'nope'], 'breakwater: --fault: unknown fault kind: nope; see breakwater storm --help\n'],
  ] as const) {
    const { code, stdout, stderr } = await runCli(args);
    assert.deepEqual([code, stdout, stderr], [1, '', line]);
  }
});
