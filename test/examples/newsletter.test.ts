/** The example `examples/newsletter`, as its README has it: a service and a library, over simulated providers, and without any. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { runCli, startCli } from '../cli/run-cli.ts';
import { readLines } from '../e2e/batch-provider.ts';

const example = join(import.meta.dirname, '../../examples/newsletter');
type Env = Record<string, string>;

/** A command of ours that listens, and its address. */
async function start(t: TestContext, args: readonly string[], env: Env = {}): Promise<{ url: string; stop: () => Promise<unknown> }> {
  const cli = startCli(args, { env });
  t.after(() => cli.child.kill('SIGKILL'));
  const [, url = ''] = await cli.until('stdout', /listening on (http:\S+)\n/);
  return { url, stop: () => (cli.child.kill('SIGKILL'), cli.ended) };
}

interface Provider {
  readonly url: string;
  calls(): Promise<number>;
  stop: () => Promise<unknown>;
}

async function startStorm(t: TestContext, ...faults: string[]): Promise<Provider> {
  const { url, stop } = await start(t, ['storm', '--port', '0', '--tokens', '40-60', ...faults.flatMap((fault) => ['--fault', fault])]);
  const stats = async (): Promise<{ calls: number }> => (await (await fetch(new URL('/storm/stats', url))).json()) as { calls: number };
  return { url: new URL('/v1', url).href, stop, calls: async () => (await stats()).calls };
}

const startProviders = async (t: TestContext): Promise<{ providers: [Provider, Provider]; env: Env }> => {
  const first = await startStorm(t, '503;every=2', 'refusal;every=3');
  const second = await startStorm(t);
  return { providers: [first, second], env: { FIRST_URL: first.url, SECOND_URL: second.url } };
};

interface Summary {
  readonly file: string;
  readonly text: string;
  readonly by: string;
}

/** What a script of the example prints. */
async function run(script: string, env: Env, folder?: string): Promise<Summary[]> {
  const args = [join(example, script), ...(folder === undefined ? [] : [folder])];
  const { PATH = '', HOME = '', NODE_COMPILE_CACHE = '' } = process.env;
  const child = spawn(process.execPath, args, { env: { PATH, HOME, NODE_COMPILE_CACHE, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  assert.deepEqual([code, stderr], [0, ''], stderr);
  return [...stdout.matchAll(/^## (\S+)\n\n(.+)\n\n\(by (\S+)\)$/gm)].map(([, file = '', text = '', by = '']) => ({ file, text, by }));
}

const articles = async (): Promise<string[]> => (await readdir(join(example, 'articles'))).toSorted();

async function assertNewsletter(summaries: readonly Summary[], by: RegExp): Promise<void> {
  assert.deepEqual(
    summaries.map(({ file }) => file),
    await articles(),
  );
  for (const { file, text, by: writer } of summaries) {
    assert.match(writer, by, file);
    assert.ok(text.length >= 80, `${file}: ${text}`);
  }
}

/** Articles that nobody has summarized yet. */
async function freshArticles(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-articles-'));
  t.after(() => rm(folder, { recursive: true }));
  for (const file of await articles()) {
    const text = await readFile(join(example, 'articles', file), 'utf8');
    await writeFile(join(folder, file), `Second edition. ${text}`);
  }
  return folder;
}

describe('the newsletter', () => {
  it('as a service: over two providers, then out of the cache, and on this machine when both are gone', async (t) => {
    const { providers, env } = await startProviders(t);
    const calls = async (): Promise<number> => (await providers[0].calls()) + (await providers[1].calls());
    const { url } = await start(t, ['serve', '--config', join(example, 'breakwater.yaml'), '--port', '0'], env);
    const there = { BREAKWATER_URL: `${url}/v1` };
    await assertNewsletter(await run('service.ts', there), /^(first|second)\/small$/);
    const paid = await calls();
    assert.ok(paid > (await articles()).length && (await providers[1].calls()) > 0, `${paid} calls`);
    await assertNewsletter(await run('service.ts', there), /^(first|second)\/small$/);
    assert.equal(await calls(), paid);
    await Promise.all(providers.map((provider) => provider.stop()));
    await assertNewsletter(await run('service.ts', there), /^(first|second)\/small$/);
    const alone = await run('service.ts', there, await freshArticles(t));
    await assertNewsletter(alone, /^local\/extract$/);
    const article = (await readFile(join(example, 'articles', alone[0]!.file), 'utf8')).replaceAll('\n', ' ');
    assert.ok(article.includes(alone[0]!.text.split('. ')[0]!), 'its own words');
  });

  it('as a library: over two providers, and on this machine when there are none', async (t) => {
    const { providers, env } = await startProviders(t);
    await assertNewsletter(await run('library.ts', env), /^(first|second)\/small$/);
    await Promise.all(providers.map((provider) => provider.stop()));
    await assertNewsletter(await run('library.ts', env), /^local\/extract$/);
  });

  it('as a batch: the whole folder by one command', async (t) => {
    const { env } = await startProviders(t);
    const cwd = await mkdtemp(join(tmpdir(), 'breakwater-newsletter-'));
    t.after(() => rm(cwd, { recursive: true, force: true }));
    const template = 'Summarize this article in one paragraph: {{text}}';
    const config = ['--config', join(example, 'breakwater.yaml'), '--model', 'summary', '--max-tokens', '300'];
    const args = ['batch', 'run', join(example, 'articles'), ...config, '--template', template, '--output', 'newsletter.jsonl'];
    const { code, stderr } = await runCli(args, { cwd, env });
    assert.equal(code, 0, stderr);
    const lines = readLines(await readFile(join(cwd, 'newsletter.jsonl'), 'utf8'));
    await assertNewsletter(
      lines.map(({ custom_id: file, response }) => ({ file, text: response!.body.choices![0]!.message.content, by: '' })),
      /^$/,
    );
  });

  it('takes less than forty lines of a user’s code, either way', async () => {
    for (const way of ['service.ts', 'library.ts']) {
      const texts = await Promise.all(['newsletter.ts', way].map((file) => readFile(join(example, file), 'utf8')));
      const lines = texts.flatMap((text) => text.split('\n')).filter((line) => !/^\s*(\/\/.*|\/\*\*.*|)$/.test(line));
      assert.ok(lines.length < 40, `${way}: ${lines.length} lines`);
    }
  });
});
