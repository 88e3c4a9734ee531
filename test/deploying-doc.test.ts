/** docs/deploying.md: its configs are valid, its commands exist, and those that can run here do. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { parseConfig } from '../src/gateway/config/index.ts';
import { root } from './tidy/scan.ts';
import { runCli } from './cli/run-cli.ts';

const text = readFileSync(join(root, 'docs', 'deploying.md'), 'utf8');
const blocks = (language: string): string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm'))].map(([, block]) => block!);
const commands = blocks('sh').flatMap((block) =>
  block
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .map((line) => line.replace(/\s+# .*$/, '').trim())
    .filter((line) => line !== ''),
);

test('every config is valid', () => {
  const env = { OPENAI_API_KEY: 'sk-1', WEB_KEY: 'web-key' };
  const clients = [{ name: 'web', key: 'web-key' }];
  const configs = blocks('yaml');
  assert.equal(configs.length, 5);
  for (const block of configs) {
    const { image, config, ...rest } = parse(block) as { image?: object; config?: object };
    const parsed = parseConfig({ clients, ...(image === undefined ? rest : config) }, { env, source: 'file' });
    assert.ok(parsed.ok, `${block}${JSON.stringify(parsed)}`);
  }
});

test('commands name files and subcommands that exist', async () => {
  const help = (await runCli(['--help'])).stdout;
  const words = commands.flatMap((command) => command.split(/\s+/));
  const files = words.filter((word) => word.startsWith('deploy/'));
  assert.ok(files.length >= 6);
  for (const file of files) assert.ok(existsSync(join(root, file)), file);
  const used = commands.flatMap((command) => /^npx breakwater(?:@\S+)?(?: ([a-z]+))?/.exec(command)?.[1] ?? []);
  assert.deepEqual([...new Set(used)], ['check', 'health']);
  for (const name of used) assert.match(help, new RegExp(`^  ${name} `, 'm'));
  assert.ok(commands.some((command) => command === 'npx breakwater --demo') && help.includes('serve'));
  for (const [variable] of text.matchAll(/\bBREAKWATER_[A-Z_]+/g)) assert.ok(help.includes(variable), variable);
});

test('the backup is a consistent copy while the file is in use', () => {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-backup-'));
  const database = new DatabaseSync(join(folder, 'breakwater.db'));
  database.exec('PRAGMA journal_mode = WAL; CREATE TABLE state (value TEXT); INSERT INTO state VALUES (1), (2)');
  const command = commands.find((line) => line.startsWith('node -e'))!;
  execFileSync('sh', ['-c', command.replace(/^node/, `'${process.execPath}'`)], { cwd: folder });
  const copy = new DatabaseSync(join(folder, 'backup.db'));
  assert.deepEqual({ ...copy.prepare('SELECT count(*) AS rows FROM state').get() }, { rows: 2 });
  copy.close();
  database.close();
  rmSync(folder, { recursive: true });
});
