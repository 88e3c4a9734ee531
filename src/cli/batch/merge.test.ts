import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { BatchApi } from './api.ts';
import type { Run } from './earlier.ts';
import { saveMerged, succeededIn } from './merge.ts';
import type { OutputFiles } from './output.ts';
import { ResultCopies } from './result-copies.ts';
import { Stop } from './stop.ts';

const OPTIONS = { stop: new Stop(), isCurrent: async () => true };

const line = (batch: number, id: string): string => `{"id":"batch_req_${batch}_0","custom_id":"${id}","response":null}\n`;

/** A run with one retry. */
const run = {
  first: { output_file_id: 'output-1', error_file_id: 'error-1' },
  retries: [{ output_file_id: 'output-2', error_file_id: 'error-2' }],
} as unknown as Run;

function apiWith(files: Readonly<Record<string, readonly string[]>>): BatchApi {
  const content = async (id: string): Promise<ReadableStream<Uint8Array>> => {
    const lines = files[id];
    if (lines === undefined) throw new Error('the connection was lost');
    return new Response(lines.join('')).body ?? new ReadableStream();
  };
  return { content } as unknown as BatchApi;
}

function copiesOf(t: TestContext, api: BatchApi): ResultCopies {
  const copies = new ResultCopies(api);
  t.after(() => copies.close());
  return copies;
}

async function targetOf(t: TestContext): Promise<OutputFiles & { readonly folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-merge-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return { folder, output: join(folder, 'r.jsonl'), errors: join(folder, 'e.jsonl') };
}

test('each request has its success, else its last failure, in the order of the file', async (t) => {
  const { output, errors } = await targetOf(t);
  const api = apiWith({
    'output-1': [line(1, 'a'), line(1, 'c')],
    'error-1': [line(1, 'b'), line(1, 'd')],
    'output-2': [line(2, 'b')],
    'error-2': [line(2, 'd')],
  });
  const merged = await saveMerged(copiesOf(t, api), run, ['a', 'b', 'c', 'd', 'e'], { output, errors }, OPTIONS);
  assert.deepEqual(merged, { files: [output, errors], completed: 3 });
  assert.equal(await readFile(output, 'utf8'), line(1, 'a') + line(2, 'b') + line(1, 'c'));
  assert.equal(await readFile(errors, 'utf8'), line(2, 'd'));
});

test('results that cannot be read leave the files as they were', async (t) => {
  const { folder, output, errors } = await targetOf(t);
  await writeFile(output, 'before');
  const api = apiWith({ 'output-1': [line(1, 'a')], 'error-1': [line(1, 'b')], 'output-2': [line(2, 'b')] });
  await assert.rejects(saveMerged(copiesOf(t, api), run, ['a', 'b'], { output, errors }, OPTIONS), /the connection was lost/);
  assert.deepEqual([await readdir(folder), await readFile(output, 'utf8')], [['r.jsonl'], 'before']);
});

test('a result file is downloaded once, and has no name in the folder of temporary files', async (t) => {
  const { folder, output, errors } = await targetOf(t);
  const before = process.env['TMPDIR'];
  t.after(() => (before === undefined ? delete process.env['TMPDIR'] : (process.env['TMPDIR'] = before)));
  process.env['TMPDIR'] = folder;
  const gateway = apiWith({ 'output-1': [line(1, 'a')], 'error-1': [line(1, 'b')], 'output-2': [line(2, 'b')], 'error-2': [] });
  const asked: string[] = [];
  const api = { content: (id: string) => (asked.push(id), gateway.content(id)) } as unknown as BatchApi;
  const copies = copiesOf(t, api);
  assert.deepEqual(await succeededIn(copies, { ...run, retries: [] }), new Set(['a']));
  if (process.platform !== 'win32') assert.deepEqual(await readdir(folder), []);
  await saveMerged(copies, run, ['a', 'b'], { output, errors }, OPTIONS);
  assert.equal(await readFile(output, 'utf8'), line(1, 'a') + line(2, 'b'));
  assert.deepEqual(asked.toSorted(), ['error-1', 'error-2', 'output-1', 'output-2']);
});
