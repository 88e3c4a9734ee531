/** What a gateway wrote about real requests is replayed by `breakwater simulate`. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startStorm } from '../../src/storm/index.ts';
import { runCli, startCli } from '../cli/run-cli.ts';

const CHATS = 24;
const EMBEDDINGS = 8;
const FAILING_EVERY = 6;

interface Report {
  readonly notes: readonly string[];
  readonly scenarios: readonly {
    readonly requests: number;
    readonly success: number;
    readonly byPriority: Readonly<Record<string, { readonly requests: number }>>;
    readonly targets: readonly {
      readonly target: string;
      readonly calls: number;
      readonly inputTokens: number;
      readonly outputTokens: number;
    }[];
    readonly costUsd: number | null;
  }[];
}

test('a requests file of a real run is replayed: the same requests, sizes and targets', { timeout: 60_000 }, async (t) => {
  const storm = await startStorm({ timing: { plainMs: 20, firstTokenMs: 20 }, faults: [{ kind: '500', calls: { every: FAILING_EVERY } }] });
  t.after(() => storm.close());
  const cwd = await mkdtemp(join(tmpdir(), 'breakwater-'));
  const file = join(cwd, 'requests.jsonl');
  const config = {
    server: { port: 0 },
    providers: { a: { protocol: 'openai', baseUrl: storm.url, apiKey: 'sk-a' } },
    models: { fast: ['a/m'], vectors: ['a/e'] },
    // The replay draws failures at random, at the rate of the run: several in a row are possible.
    policy: { maxAttempts: 8 },
    prices: { 'a/m': { input: 1, output: 2 }, 'a/e': { input: 0.1, output: 0 } },
    store: 'memory:',
    telemetry: { requests: { file } },
  };
  await writeFile(join(cwd, 'breakwater.json'), JSON.stringify(config));
  const gateway = startCli(['serve'], { cwd });
  t.after(() => gateway.child.kill('SIGKILL'));
  const [, url] = await gateway.until('stdout', /listening on (\S+)\n/);
  const post = async (path: string, body: object, priority: string): Promise<void> => {
    const headers = { 'content-type': 'application/json', 'x-breakwater-priority': priority };
    const response = await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    await response.text();
    assert.equal(response.status, 200);
  };
  for (let i = 0; i < CHATS; i++) {
    const messages = [{ role: 'user', content: `Tell of harbour ${i}. ${'It lies there. '.repeat(i)}` }];
    await post('/v1/chat/completions', { model: 'fast', messages, stream: i % 2 === 0, max_tokens: 30 }, i % 3 === 0 ? 'high' : 'low');
  }
  for (let i = 0; i < EMBEDDINGS; i++) await post('/v1/embeddings', { model: 'vectors', input: `Harbour ${i}` }, 'normal');
  gateway.child.kill('SIGTERM');
  assert.equal(await gateway.ended, 0, gateway.stderr());

  const records = (await readFile(file, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { usage: { inputTokens: number; outputTokens: number } });
  assert.equal(records.length, CHATS + EMBEDDINGS);
  const { code, stdout, stderr } = await runCli(['simulate', '--json', '--requests', file], { cwd });
  assert.equal(code, 0, stderr);
  const { scenarios, notes } = JSON.parse(stdout) as Report;
  const [replayed] = scenarios;
  assert.deepEqual([replayed?.requests, replayed?.success], [CHATS + EMBEDDINGS, CHATS + EMBEDDINGS], stdout);
  assert.deepEqual([replayed?.byPriority['high']?.requests, replayed?.byPriority['normal']?.requests], [CHATS / 3, EMBEDDINGS]);
  const sum = (of: 'inputTokens' | 'outputTokens'): number => records.reduce((all, { usage }) => all + usage[of], 0);
  const used = (of: 'inputTokens' | 'outputTokens'): number => replayed!.targets.reduce((all, target) => all + target[of], 0);
  assert.deepEqual([used('inputTokens'), used('outputTokens')], [sum('inputTokens'), sum('outputTokens')]);
  assert.deepEqual(replayed!.targets.map(({ target }) => target).toSorted(), ['a/e', 'a/m']);
  const calls = replayed!.targets.reduce((all, target) => all + target.calls, 0);
  assert.ok(calls >= CHATS + EMBEDDINGS && calls < storm.stats().calls * 1.5, 'its failures are played by chance, about as often');
  assert.ok(replayed!.costUsd! > 0);
  assert.ok(!notes.some((note) => note.includes('left out')), notes.join('\n'));
});
