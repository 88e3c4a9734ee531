import assert from 'node:assert/strict';
import { lstat, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { ApiFault, type BatchApi, type BatchObject } from './api.ts';
import { inputData, outputFiles } from './output.ts';
import { saveResults, shortMessage } from './results.ts';

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-results-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test('results that cannot be read to their end leave no file, and the one before stays', async (t) => {
  const folder = await folderOf(t);
  const output = join(folder, 'out.jsonl');
  const before = '{"id":"batch_req_1_0","custom_id":"x"}\n';
  await writeFile(output, before);
  const cut = new ReadableStream({
    pull(controller) {
      controller.enqueue(Buffer.from('{"half'));
      controller.error(new Error('the connection was lost'));
    },
  });
  const api = { content: async () => cut } as unknown as BatchApi;
  const batch = { id: 'batch_1', output_file_id: 'file-1', error_file_id: null } as BatchObject;
  await assert.rejects(saveResults(api, batch, { output, errors: join(folder, 'out.errors.jsonl') }), /the connection was lost/);
  assert.deepEqual([await readdir(folder), await readFile(output, 'utf8')], [['out.jsonl'], before]);
});

test('a file is not replaced while the state of its batch cannot be read', async (t) => {
  const folder = await folderOf(t);
  await writeFile(join(folder, 't.results.jsonl'), '{"id":"batch_req_abc_0","custom_id":"x"}\n');
  const get = async (): Promise<BatchObject> => {
    throw new ApiFault('files and batches are unavailable', 503);
  };
  await assert.rejects(
    outputFiles({ get } as unknown as BatchApi, join(folder, 't.txt'), 'source', undefined),
    /files and batches are unavailable/,
  );
});

test('results replace no file but those of the same batch', async (t) => {
  const folder = await folderOf(t);
  const output = join(folder, 'prompts.txt');
  await writeFile(output, 'the input');
  const api = { content: async () => assert.fail('it is not read') } as unknown as BatchApi;
  const batch = { id: 'batch_1', output_file_id: 'file-1', error_file_id: null } as BatchObject;
  await assert.rejects(
    saveResults(api, batch, { output, errors: join(folder, 'e.jsonl') }),
    /prompts\.txt exists and has no results of batch_1/,
  );
  assert.equal(await readFile(output, 'utf8'), 'the input');
});

test('--force replaces any regular file but the input', async (t) => {
  const folder = await folderOf(t);
  const [output, input] = [join(folder, 'out.jsonl'), join(folder, 'prompts.txt')];
  for (const path of [output, input]) await writeFile(path, 'mine');
  const api = { content: async () => new Response('{"id":"batch_req_1_0"}\n').body! } as unknown as BatchApi;
  const batch = { id: 'batch_1', output_file_id: 'file-1', error_file_id: null, metadata: inputData(input) } as unknown as BatchObject;
  const errors = join(folder, 'e.jsonl');
  await symlink(folder, join(folder, 'linked'));
  for (const path of [input, join(folder, 'linked', 'prompts.txt')]) {
    for (const replaces of ['same', 'any'] as const)
      await assert.rejects(
        saveResults(api, batch, { output: path, errors }, replaces),
        /prompts\.txt is the input of batch_1: choose another file/,
      );
  }
  await assert.rejects(saveResults(api, batch, { output: folder, errors }, 'any'), /is a folder/);
  await assert.rejects(saveResults(api, batch, { output, errors }), /or replace it with --force$/);
  assert.deepEqual(await saveResults(api, batch, { output, errors }, 'any'), [output]);
  assert.deepEqual([await readFile(output, 'utf8'), await readFile(input, 'utf8')], ['{"id":"batch_req_1_0"}\n', 'mine']);
});

test('the message of a failure is shown on one line, cut at a word, and without control characters', () => {
  assert.equal(shortMessage('one\n  two\x1b[31m\u0007 '), 'one two [31m');
  assert.match(shortMessage('word '.repeat(100)), /^(?:word ){55,}word…$/);
});

test('a folder that does not exist is named in a sentence', async (t) => {
  const output = join(await folderOf(t), 'none', 'out.jsonl');
  const batch = { id: 'batch_1', output_file_id: 'file-1', error_file_id: null } as BatchObject;
  await assert.rejects(saveResults({} as BatchApi, batch, { output, errors: output }), {
    message: `${output}: cannot be written (its folder does not exist); choose another file with --output`,
  });
});

test('a link or a device is not replaced by results', async (t) => {
  const folder = await folderOf(t);
  const [real, link] = [join(folder, 'real.jsonl'), join(folder, 'link.jsonl')];
  await writeFile(real, 'mine');
  await symlink(real, link);
  const api = { content: async () => assert.fail('it is not read') } as unknown as BatchApi;
  const batch = { id: 'batch_1', output_file_id: 'file-1', error_file_id: null } as BatchObject;
  for (const output of [link, '/dev/null']) {
    await assert.rejects(saveResults(api, batch, { output, errors: join(folder, 'e.jsonl') }), /is not a regular file/);
    await assert.rejects(outputFiles(api, join(folder, 't.txt'), 'source', output), /is not a regular file/);
  }
  assert.equal((await lstat(link)).isSymbolicLink(), true);
  assert.equal(await readFile(real, 'utf8'), 'mine');
});
