/** A folder in which `breakwater batch` runs, with a provider that counts its calls. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { readLines, startBatchProvider, type BatchProvider, type Behaviour } from './batch-provider.ts';
import { runCli, startCli } from '../cli/run-cli.ts';

export interface Stage {
  readonly cwd: string;
  readonly provider: BatchProvider;
  readonly run: (...args: string[]) => ReturnType<typeof runCli>;
  readonly start: (...args: string[]) => ReturnType<typeof startCli>;
  readonly results: (file: string) => Promise<Record<string, string>>;
}

/** A folder with a config and some files, before a provider. */
export async function stage(
  t: TestContext,
  files: Readonly<Record<string, string | Uint8Array>>,
  behave?: Behaviour,
  port = 0,
): Promise<Stage> {
  const cwd = await mkdtemp(join(tmpdir(), 'breakwater-'));
  t.after(() => rm(cwd, { recursive: true, force: true }));
  const provider = await startBatchProvider(t, behave);
  const a = { protocol: 'openai', baseUrl: provider.url, apiKey: 'sk-test', limits: { concurrency: 4 } };
  const prices = { 'a/m': { input: 1, output: 2 } };
  await writeFile(join(cwd, 'breakwater.json'), JSON.stringify({ server: { port }, providers: { a }, models: { fast: ['a/m'] }, prices }));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(cwd, name, '..'), { recursive: true });
    await writeFile(join(cwd, name), text);
  }
  return {
    cwd,
    provider,
    run: (...args) => runCli(['batch', ...args], { cwd }),
    start: (...args) => startCli(['batch', ...args], { cwd }),
    results: async (file) => {
      const lines = readLines(await readFile(join(cwd, file), 'utf8'));
      return Object.fromEntries(lines.map((line) => [line.custom_id, line.response!.body.choices![0]!.message.content]));
    },
  };
}
