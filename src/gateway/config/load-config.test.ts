import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { findConfigFile, loadConfigFile, parseYaml } from './load-config.ts';

async function folder(context: TestContext, files: Record<string, string>): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'breakwater-config-'));
  context.after(() => rm(path, { recursive: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text);
  return path;
}

function syntaxFaults(text: string): string[] {
  const result = parseYaml(text, 'c.yaml');
  return result.ok ? [] : result.faults.map((fault) => fault.message);
}

test('the file in the working directory is found: yaml, then yml, then json', async (context) => {
  assert.equal(await findConfigFile(await folder(context, {}), {}), null);
  const json = await folder(context, { 'breakwater.json': '{}' });
  assert.equal(await findConfigFile(json, {}), join(json, 'breakwater.json'));
  const all = await folder(context, { 'breakwater.json': '{}', 'breakwater.yml': '', 'breakwater.yaml': '' });
  assert.equal(await findConfigFile(all, {}), join(all, 'breakwater.yaml'));
});

test('BREAKWATER_CONFIG takes precedence, even if its file is missing', async (context) => {
  const path = await folder(context, { 'breakwater.yaml': '' });
  assert.equal(await findConfigFile(path, { BREAKWATER_CONFIG: 'other.yaml' }), join(path, 'other.yaml'));
  assert.equal(await findConfigFile(path, { BREAKWATER_CONFIG: '' }), join(path, 'breakwater.yaml'));
  const missing = await loadConfigFile(join(path, 'other.yaml'), {});
  assert.deepEqual(missing, { ok: false, faults: [{ path: '', message: `${join(path, 'other.yaml')}: can't be read (got ENOENT)` }] });
});

test('a file without settings is a fault with its name and without its content', async (context) => {
  const path = await folder(context, { 'word.yaml': 'sk-some-secret', 'list.json': '["sk-some-secret"]' });
  for (const name of ['word.yaml', 'list.json']) {
    const result = await loadConfigFile(join(path, name), {});
    const message = `${join(path, name)}: must contain settings in YAML or JSON, such as "providers: ..."`;
    assert.deepEqual(result, { ok: false, faults: [{ path: '', message }] });
  }
});

test('variables in a file are replaced, and paths are resolved from its folder', async (context) => {
  const path = await folder(context, {
    'breakwater.yaml': `
server: { port: "\${PORT}" }
providers:
  backup: &backup
    baseUrl: http://127.0.0.1:9001/v1
    apiKey: \${KEY}
    timeouts:
  second: { <<: *backup, apiKey: other }
models:
  "claude-*": [backup/claude-*]
store: sqlite:./state.db
`,
  });
  const result = await loadConfigFile(join(path, 'breakwater.yaml'), { PORT: '8123', KEY: 'sk-file' });
  assert.ok(result.ok, JSON.stringify(result));
  assert.equal(result.config.server.port, 8123);
  assert.deepEqual(result.config.providers['backup']?.apiKeys, ['sk-file']);
  assert.equal(result.config.providers['second']?.baseUrl, 'http://127.0.0.1:9001/v1');
  assert.deepEqual(result.config.store, { kind: 'sqlite', path: join(path, 'state.db') });
});

test('JSON is accepted, including tabs', async (context) => {
  const path = await folder(context, { 'breakwater.json': '{\n\t"server": {\n\t\t"port": 1\n\t},\n\t"$schema": "x"\n}\n' });
  const result = await loadConfigFile(join(path, 'breakwater.json'), {});
  assert.ok(result.ok, JSON.stringify(result));
  assert.equal(result.config.server.port, 1);
});

test('an empty file is an empty config', async (context) => {
  const path = await folder(context, { 'breakwater.yaml': '# nothing yet\n' });
  assert.ok((await loadConfigFile(join(path, 'breakwater.yaml'), {})).ok);
});

test('syntax errors have line and column', () => {
  assert.deepEqual(syntaxFaults('server:\n  port: 1\n bad: 2\n'), [
    'c.yaml: line 3, column 1: All mapping items must start at the same column',
  ]);
  assert.match(syntaxFaults('a: 1\na: 2\n')[0] ?? '', /^c\.yaml: line 2, column 1: Map keys must be unique/);
  assert.match(syntaxFaults('a: [1, 2\nb: 3\n')[0] ?? '', /^c\.yaml: line 2, column \d+: /);
  assert.match(syntaxFaults('{"a": 1,\n"a": 2}')[0] ?? '', /line 2/);
  assert.match(syntaxFaults('a: 1\n---\nb: 2\n')[0] ?? '', /line 2/);
  assert.match(syntaxFaults('a: !env X\n')[0] ?? '', /line 1, column 4: Unresolved tag/);
});

test('syntax errors never quote the file, which may contain keys', () => {
  for (const text of [
    'apiKey: sk-verysecret: x\n',
    '} sk-verysecret',
    '"sk-verysecret',
    'a: @sk-verysecret',
    'apiKey: [sk-verysecret',
    'a: *sk-verysecret',
  ]) {
    const faults = syntaxFaults(text);
    assert.equal(faults.length > 0, true, text);
    assert.doesNotMatch(faults.join('\n'), /verysecret/, text);
  }
});

test('aliases that expand without limit are a fault', () => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefghi'.split('').map((key, at) => `${key}: &${key} [${`*${'abcdefgh'[at]},`.repeat(9)}]`),
  ];
  assert.deepEqual(syntaxFaults(`${bomb.join('\n')}\n`), ['c.yaml: has undefined aliases, or aliases that expand to too much']);
});
