/** `breakwater batch run --retry-failed`, and two runs of one file at once. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { readLines, type Behaviour } from './batch-provider.ts';
import { stage, type Stage } from './batch-stage.ts';
import { startCli } from '../cli/run-cli.ts';

const HINT = /^to run the failed requests again, run the same command with --retry-failed$/m;

/** Prompts that contain `bad` are refused until `mend` is called. */
function refusing(): { readonly behave: Behaviour; readonly mend: () => void } {
  let isMended = false;
  return {
    behave: (prompt) => (!isMended && prompt.includes('bad') ? { status: 400 } : undefined),
    mend: () => void (isMended = true),
  };
}

async function idsIn({ cwd }: Stage, file: string): Promise<string[]> {
  return readLines(await readFile(join(cwd, file), 'utf8')).map((line) => line.custom_id);
}

const chat = (id: string, content: string): string =>
  JSON.stringify({ custom_id: id, method: 'POST', url: '/v1/chat/completions', body: { messages: [{ role: 'user', content }] } });

const INPUTS: readonly (readonly [string, Readonly<Record<string, string>>, readonly string[], readonly string[]])[] = [
  ['requests', { 'in.jsonl': ['a', 'bad b', 'c\u2028', 'bad d'].map((text, n) => chat(`r${n}`, text)).join('\n') }, ['in.jsonl'], ['r0', 'r1', 'r2', 'r3']],
  ['prompts', { 'in.txt': 'a\n\nbad b\nc\nbad d' }, ['in.txt'], ['line-1', 'line-3', 'line-4', 'line-5']],
  ['CSV', { 'in.csv': 'id,text\nw,a\nx,"bad\nb"\ny,c\nz,bad d\n' }, ['in.csv', '-t', '{{text}}'], ['w', 'x', 'y', 'z']],
  ['JSONL with a template', { 'in.jsonl': ['a', 'bad b', 'c', 'bad d'].map((text, id) => JSON.stringify({ id, text })).join('\n') }, ['in.jsonl', '-t', '{{text}}'], ['0', '1', '2', '3']],
  ['a folder', { 'in/1.txt': 'a', 'in/2.txt': 'bad b', 'in/3.md': 'c', 'in/4.txt': 'bad d' }, ['in'], ['1.txt', '2.txt', '3.md', '4.txt']],
]; // prettier-ignore

for (const [what, files, args, ids] of INPUTS) {
  test(`only the failed requests run again, and the results are merged: ${what}`, async (t) => {
    const { behave, mend } = refusing();
    const at = await stage(t, files, behave);
    const first = await at.run('run', ...args);
    assert.equal(first.code, 1, first.stderr);
    assert.match(first.stderr, /2 of 4 succeeded, 2 failed/);
    assert.match(first.stderr, HINT);
    assert.deepEqual(await idsIn(at, 'in.errors.jsonl'), [ids[1], ids[3]]);
    mend();
    const second = await at.run('run', ...args, '--retry-failed');
    assert.equal(second.code, 0, second.stderr);
    assert.match(second.stderr, /^batch_\w+ in .*: 2 requests of batch_\w+ again, as the others have succeeded$/m);
    assert.match(
      second.stderr,
      /^completed: 2 of 2 retried requests succeeded; in all 4 of 4 succeeded, 0 failed.*; wrote in\.results\.jsonl$/m,
    );
    assert.deepEqual(await idsIn(at, 'in.results.jsonl'), ids);
    assert.deepEqual([...at.provider.calls.values()], [1, 2, 1, 2]);
    assert.deepEqual(
      readdirSync(at.cwd).filter((name) => /errors|part/.test(name)),
      [],
    );
    // Nothing is left to retry, and the usual command shows the merged results.
    for (const more of [['--retry-failed'], []]) {
      const again = await at.run('run', ...args, ...more);
      assert.equal(again.code, 0, again.stderr);
      assert.match(again.stderr, more.length > 0 ? /nothing to retry: all requests of batch_\w+ have succeeded/ : /was run before/);
      assert.deepEqual(await idsIn(at, 'in.results.jsonl'), ids);
    }
    assert.deepEqual([...at.provider.calls.values()], [1, 2, 1, 2]);
  });
}

test('a retry that fails in part can be retried; every request has one result, in the order of the file', async (t) => {
  const failing = new Set(['b', 'd', 'e']);
  const at = await stage(t, { 'p.txt': 'a\nb\nc\nd\ne\n' }, (prompt) => (failing.has(prompt) ? { status: 400 } : undefined));
  await at.run('run', 'p.txt');
  failing.delete('d');
  const second = await at.run('run', 'p.txt', '--retry-failed', '--json');
  const done = JSON.parse(second.stdout.trim().split('\n').at(-1)!) as Record<string, unknown>;
  assert.deepEqual([second.code, done['total'], done['completed'], done['failed']], [1, 5, 3, 2]);
  assert.deepEqual(done['retried'], { total: 3, completed: 1, failed: 2 });
  assert.deepEqual(await idsIn(at, 'p.results.jsonl'), ['line-1', 'line-3', 'line-4']);
  assert.deepEqual(await idsIn(at, 'p.errors.jsonl'), ['line-2', 'line-5']);
  assert.match((await at.run('status')).stdout, /^batch_\w+  completed  1\/3 done, 2 failed  .*  p\.txt  retry of batch_\w+$/m);
  failing.clear();
  const third = await at.run('run', 'p.txt', '--retry-failed');
  assert.equal(third.code, 0, third.stderr);
  assert.deepEqual(await idsIn(at, 'p.results.jsonl'), ['line-1', 'line-2', 'line-3', 'line-4', 'line-5']);
  assert.deepEqual([...at.provider.calls.values()], [1, 3, 1, 2, 3]);
});

test('requests of a cancelled batch that were not run are run by a retry, which Ctrl-C stops and the same command resumes', async (t) => {
  const prompts = Array.from({ length: 60 }, (_, n) => `p${n}`);
  const at = await stage(t, { 'p.txt': prompts.join('\n') }, () => ({ ms: 60 }));
  const stopAfter = async (calls: number, ...args: string[]): Promise<string> => {
    const before = at.provider.calls.size;
    const { child, ended, stderr } = at.start('run', 'p.txt', ...args);
    t.after(() => child.kill('SIGKILL'));
    while (at.provider.calls.size < before + calls) await new Promise((resolve) => setTimeout(resolve, 5));
    child.kill('SIGINT');
    assert.equal(await ended, 130, stderr());
    return stderr();
  };
  const [id] = /batch_\w+/.exec(await stopAfter(8))!;
  assert.match((await at.run('cancel', id)).stdout, /  cancelled  /);
  assert.match(await stopAfter(8, '--retry-failed'), /stopped; the same command resumes it$/m);
  const { code, stderr } = await at.run('run', 'p.txt', '--retry-failed');
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^resuming batch_\w+ at /m);
  assert.match(stderr, /in all 60 of 60 succeeded, 0 failed/);
  assert.deepEqual(
    await idsIn(at, 'p.results.jsonl'),
    prompts.map((_, n) => `line-${n + 1}`),
  );
  assert.ok([...at.provider.calls.values()].every((calls) => calls === 1));
});

test('a retry needs an earlier run with the same options, and excludes --again', async (t) => {
  const { run, provider } = await stage(t, { 'p.txt': 'one' });
  const none = await run('run', 'p.txt', '--retry-failed');
  assert.equal(none.code, 1);
  assert.match(none.stderr, /^breakwater: p\.txt was not run before with the same content and options .*: run it without --retry-failed$/m);
  await run('run', 'p.txt');
  assert.match((await run('run', 'p.txt', '--retry-failed', '-s', 'Be brief')).stderr, /was not run before/);
  const other = await run('run', 'p.txt', '--retry-failed', '-s', 'Be brief');
  assert.match(other.stderr, /^breakwater: .* with these options, in .*: its last run, batch_\w+, used no --system; use the same, or run it without --retry-failed$/m); // prettier-ignore
  const both = await run('run', 'p.txt', '--retry-failed', '--again');
  assert.deepEqual([both.code, both.stderr], [1, 'breakwater: --again and --retry-failed: choose one of them\n']);
  assert.deepEqual([...provider.calls.values()], [1]);
});

test('a running gateway retries too', async (t) => {
  const { behave, mend } = refusing();
  const at = await stage(t, { 'p.txt': 'one\nbad\nthree' }, behave);
  const gateway = startCli(['serve'], { cwd: at.cwd });
  t.after(() => gateway.child.kill('SIGKILL'));
  const [, url] = await gateway.until('stdout', /listening on (\S+)/);
  // The default store of serve ends with it, so both commands use the same gateway.
  assert.equal((await at.run('run', 'p.txt', '--url', url!)).code, 1);
  mend();
  const { code, stderr } = await at.run('run', 'p.txt', '--url', url!, '--retry-failed');
  assert.equal(code, 0, stderr);
  assert.deepEqual(await idsIn(at, 'p.results.jsonl'), ['line-1', 'line-2', 'line-3']);
});

test('two runs of one file at once are one batch', async (t) => {
  const prompts = Array.from({ length: 30 }, (_, n) => `p${n}`);
  const { behave, mend } = refusing();
  const at = await stage(t, { 'p.txt': `${prompts.join('\n')}\nbad` }, (prompt, call) => ({ ms: 30, ...behave(prompt, call) }));
  for (const more of [[], ['--retry-failed']]) {
    const runs = await Promise.all([1, 2].map(() => at.run('run', 'p.txt', ...more)));
    for (const { code, stderr } of runs) assert.equal(code, more.length === 0 ? 1 : 0, stderr);
    const files = await Promise.all([idsIn(at, 'p.results.jsonl'), readFile(join(at.cwd, 'p.results.jsonl'), 'utf8')]);
    assert.equal(files[0].length, more.length === 0 ? 30 : 31);
    mend();
  }
  const status = await at.run('status');
  assert.equal(status.stdout.trim().split('\n').length, 2, status.stdout);
  assert.deepEqual([at.provider.calls.get('p0'), at.provider.calls.get('bad')], [1, 2]);
});
