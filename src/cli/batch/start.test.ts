/** Starts, retries and ends of runs, at a gateway that keeps batches in a list. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { BatchObject } from './api.ts';
import { retryData } from './earlier.ts';
import { finish } from './finish.ts';
import type { RunFlags } from './flags.ts';
import { ResultCopies } from './result-copies.ts';
import type { Session } from './session.ts';
import { startOrFind, type Started } from './start.ts';
import { Stop } from './stop.ts';

const line = (batch: string, id: string): string => `{"id":"batch_req_${batch}_0","custom_id":"${id}","response":null}\n`;

interface Scene {
  readonly file: string;
  /** The newest first. */
  readonly batches: BatchObject[];
  /** The content of result files. */
  readonly contents: Map<string, string>;
  readonly facts: object[];
  readonly said: string[];
  readonly session: (flags?: Partial<RunFlags>) => Session;
  readonly start: (flags?: Partial<RunFlags>) => Promise<Started>;
  readonly end: (id: string, state: Partial<BatchObject>) => BatchObject;
}

async function scene(t: TestContext): Promise<Scene> {
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-start-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'p.txt');
  await writeFile(file, 'one\ntwo');
  const [batches, contents, facts, said]: [BatchObject[], Map<string, string>, object[], string[]] = [[], new Map(), [], []];
  const api = {
    models: async () => ['fast'],
    upload: async () => 'file',
    async create(_file: string, _endpoint: string, _window: string, metadata: BatchObject['metadata']) {
      const counts = { total: 2, completed: 0, failed: 0 };
      const files = { output_file_id: null, error_file_id: null };
      const batch = {
        id: `b${batches.length}`,
        status: 'in_progress',
        request_counts: counts,
        metadata,
        ...files,
      } as unknown as BatchObject;
      batches.unshift(batch);
      return batch;
    },
    async *list() {
      yield* batches;
    },
    async content(id: string) {
      assert.ok(contents.has(id), `${id} is read`);
      return new Response(contents.get(id)).body!;
    },
    get: async (id: string) => batches.find((batch) => batch.id === id),
  };
  const show = { note: (fact: object) => void facts.push(fact), say: (text: string) => void said.push(text) };
  const session = (flags: Partial<RunFlags> = {}): Session => {
    const copies = new ResultCopies(api as never);
    t.after(() => copies.close());
    const access = { api, place: 'here', isRemote: true, close: async () => {} };
    return { access, file, flags: { window: '24h', ...flags }, show, stop: new Stop(), copies } as unknown as Session;
  };
  const start = async (flags?: Partial<RunFlags>): Promise<Started> => (await startOrFind(session(flags)))!;
  const end = (id: string, state: Partial<BatchObject>): BatchObject => {
    const at = batches.findIndex((batch) => batch.id === id);
    return (batches[at] = { ...batches[at]!, ...state });
  };
  return { file, batches, contents, facts, said, session, start, end };
}

const all = (completed: number): Partial<BatchObject> => ({
  status: 'completed',
  request_counts: { total: 2, completed, failed: 2 - completed },
});

test('a retry of a run without failures reads no results', async (t) => {
  const { start, end, batches } = await scene(t);
  await start();
  end('b0', { ...all(2), output_file_id: 'not read' });
  const { isResumed } = await start({ retryFailed: true });
  assert.deepEqual([isResumed, batches.length], [true, 1]);
});

test('a retry with other options names those of the last run of the file', async (t) => {
  const { start, end, file, batches } = await scene(t);
  const rule = 'was not run before with the same content and options \\(--template, --model, …\\), in here: run it without --retry-failed$';
  await assert.rejects(start({ retryFailed: true }), new RegExp(rule));
  await start({ model: 'fast', maxTokens: '9', template: `{{text}} ${'x'.repeat(1_000)}` });
  end('b0', all(1));
  const other = start({ model: 'best', system: 'Be brief', template: `{{text}} ${'x'.repeat(1_000)}`, retryFailed: true });
  await assert.rejects(other, /p\.txt was not run before with these options, in here: its last run, b0, used --model fast and no --system and --max-tokens 9; use the same, or run it without --retry-failed$/); // prettier-ignore
  const longer = start({ model: 'fast', maxTokens: '9', template: `{{text}} ${'x'.repeat(1_001)}`, retryFailed: true });
  await assert.rejects(longer, /used --template "\{\{text\}\} x+… \(\w{8}\)"; use the same/);
  await writeFile(file, 'one\nthree');
  const changed = start({ model: 'fast', maxTokens: '9', template: `{{text}} ${'x'.repeat(1_000)}`, retryFailed: true });
  await assert.rejects(changed, /p\.txt has changed since its last run, b0, in here: run it without --retry-failed$/);
  // Nothing of a refused batch was run.
  end('b0', { status: 'failed' });
  await assert.rejects(start({ retryFailed: true }), new RegExp(rule));
  // A batch of an earlier version, or with long options.
  const { breakwater_options: _, ...metadata } = batches[0]!.metadata!;
  end('b0', { status: 'completed', metadata });
  await assert.rejects(start({ retryFailed: true }), new RegExp(rule));
});

test('results are not replaced by older ones: those of a retry that has ended meanwhile are written', async (t) => {
  const { start, end, contents, session, batches, facts, said, file } = await scene(t);
  const started = await start();
  const first = end('b0', { ...all(1), output_file_id: 'good', error_file_id: 'bad' });
  contents.set('good', line('b0', 'line-1')).set('bad', line('b0', 'line-2')).set('retried', line('b1', 'line-2'));
  const retry = { ...first, id: 'b1', request_counts: { total: 1, completed: 1, failed: 0 }, error_file_id: null };
  batches.unshift({ ...retry, output_file_id: 'retried', metadata: retryData({ first, retries: [] }) });
  await finish(session(), { ...started, run: { first, retries: [] } });
  assert.equal(await readFile(file.replace('.txt', '.results.jsonl'), 'utf8'), line('b0', 'line-1') + line('b1', 'line-2'));
  await assert.rejects(readFile(file.replace('.txt', '.errors.jsonl')), /ENOENT/);
  const { type, id, total, completed, failed } = facts.at(-1) as Record<string, unknown>;
  assert.deepEqual([type, id, total, completed, failed], ['done', 'b1', 2, 2, 0]);
  assert.deepEqual(said, ['b1 has ended meanwhile, and its results are written']);
});
