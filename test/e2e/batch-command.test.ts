/** `breakwater batch` as a user runs it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { copyFile, mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { readLines } from './batch-provider.ts';
import { stage } from './batch-stage.ts';
import { runCli, startCli } from '../cli/run-cli.ts';

test('three prompts in a text file, one command, results; the same command again runs nothing anew', async (t) => {
  const { run, results, provider } = await stage(t, { 'prompts.txt': 'one\n\ntwo\nthree' });
  const first = await run('run', 'prompts.txt');
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stderr, /^\[#+\] 3\/3 {2}100 % {2}\$0\.\d+ {2}no failures {2}completed$/m);
  assert.match(first.stderr, /3 of 3 succeeded, 0 failed, \$0\.\d+; wrote prompts\.results\.jsonl/);
  assert.deepEqual(await results('prompts.results.jsonl'), {
    'line-1': 'Answer to one.',
    'line-3': 'Answer to two.',
    'line-4': 'Answer to three.',
  });
  const again = await run('run', 'prompts.txt');
  assert.match(again.stderr, /was run before/);
  assert.equal(provider.calls.get('one'), 1);
  assert.equal((await run('run', 'prompts.txt', '--again')).code, 0);
  assert.equal(provider.calls.get('one'), 2);
  const { stdout } = await run('status');
  assert.equal(stdout.match(/^batch_\w+ {2}completed {2}3\/3 done, 0 failed .*prompts\.txt$/gm)?.length, 2);
  const [id] = /batch_\w+/.exec(stdout)!;
  assert.equal(readLines((await run('results', id)).stdout).length, 3);
});

test('rows and files become prompts by a template', async (t) => {
  const { run, results } = await stage(t, {
    'rows.csv': 'id,name\nx,"Ada, Countess"\ny,Alan\n',
    'people.jsonl': '{"custom_id":"p","name":"Grace","year":1906}\n{"name":"Edsger","year":1930}\n',
    'folder/b.txt': 'second',
    'folder/a.md': 'first',
    'folder/c.png': 'no text',
  });
  const jobs = [
    ['rows.csv', 'Greet {{name}}'],
    ['people.jsonl', '{{ name }} {{year}}'],
    ['folder', '{{file}}: {{text}}'],
  ] as const;
  for (const [file, template] of jobs) assert.equal((await run('run', file, '-t', template)).code, 0, file);
  assert.deepEqual(await results('people.results.jsonl'), { p: 'Answer to Grace 1906.', 'line-2': 'Answer to Edsger 1930.' });
  assert.deepEqual(await results('folder.results.jsonl'), { 'a.md': 'Answer to a.md: first.', 'b.txt': 'Answer to b.txt: second.' });
  assert.deepEqual(await results('rows.results.jsonl'), { x: 'Answer to Greet Ada, Countess.', y: 'Answer to Greet Alan.' });
  const unknown = await run('run', 'rows.csv', '-t', '{{nome}}');
  assert.deepEqual([unknown.code, unknown.stderr], [1, 'breakwater: row 1 has no "nome" for the template; it has id, name\n']);
});

test('requests as in the batch API, or their bodies alone; failures stand in a file of their own', async (t) => {
  const lines = [
    {
      custom_id: 'whole',
      method: 'POST',
      url: '/v1/chat/completions',
      body: { model: 'fast', messages: [{ role: 'user', content: 'w' }] },
    },
    { messages: [{ role: 'user', content: 'bad' }] },
  ];
  const { run, results, cwd } = await stage(t, { 'in.jsonl': lines.map((line) => JSON.stringify(line)).join('\n') }, (prompt) =>
    prompt === 'bad' ? { status: 400 } : undefined,
  );
  const { code, stdout } = await run('run', 'in.jsonl', '--json', '--output', 'out.jsonl');
  assert.equal(code, 1);
  const facts = stdout.trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>); // prettier-ignore
  const { type, status, completed, failed, files } = facts.at(-1)!;
  assert.deepEqual([type, status, completed, failed, files], ['done', 'completed', 1, 1, ['out.jsonl', 'out.errors.jsonl']]);
  assert.deepEqual(await results('out.jsonl'), { whole: 'Answer to w.' });
  const [error] = readLines(await readFile(join(cwd, 'out.errors.jsonl'), 'utf8'));
  assert.deepEqual([error!.custom_id, error!.response!.status_code], ['line-2', 400]);
});

test('results of another input, the input itself and files of other kinds are not replaced, and nothing is run', async (t) => {
  const files = { 't.csv': 'id,text\nx,csv\n', 't.jsonl': '"jsonl"\n', 'own.txt': 'own', 'own.results.jsonl': '{"mine":1}\n' };
  const { run, results, provider, cwd } = await stage(t, files);
  assert.equal((await run('run', 't.csv', '-t', '{{text}}')).code, 0);
  const fault = async (...args: string[]): Promise<string> => {
    const { code, stderr } = await run('run', ...args);
    assert.equal(code, 1, stderr);
    return stderr;
  };
  const hint = 'delete or rename it, or choose another file with --output';
  assert.equal(await fault('t.jsonl', '-o', 't.results.jsonl'), `breakwater: t.results.jsonl has the results of t.csv: ${hint}\n`);
  assert.equal(await fault('own.txt'), `breakwater: own.results.jsonl exists and has no results of a batch: ${hint}\n`);
  assert.equal(await fault('own.txt', '-o', 'own.txt'), 'breakwater: own.txt is the input: choose another file with --output\n');
  const noFolder = 'none/out.jsonl: cannot be written (its folder does not exist); choose another file with --output';
  assert.equal(await fault('own.txt', '-o', 'none/out.jsonl'), `breakwater: ${noFolder}\n`);
  assert.deepEqual([...provider.calls.keys()], ['csv']);
  assert.equal(await readFile(join(cwd, 'own.txt'), 'utf8'), 'own');
  assert.equal((await run('run', 't.jsonl', '-o', 'other.jsonl')).code, 0);
  assert.deepEqual(await results('other.jsonl'), { 'line-1': 'Answer to jsonl.' });
  // The usual file is taken, so the results get the full name of the input.
  const full = await run('run', 't.jsonl');
  assert.equal(full.code, 0, full.stderr);
  assert.match(full.stderr, /^t\.results\.jsonl has the results of t\.csv: those of t\.jsonl are written to t\.jsonl\.results\.jsonl$/m);
  assert.deepEqual(await results('t.jsonl.results.jsonl'), { 'line-1': 'Answer to jsonl.' });
  assert.deepEqual(await results('t.results.jsonl'), { x: 'Answer to csv.' });
  // Another template of the same file replaces its results.
  assert.equal((await run('run', 't.csv', '-t', 'new {{text}}')).code, 0);
  assert.deepEqual(await results('t.results.jsonl'), { x: 'Answer to new csv.' });
});

test('results of an unknown batch, and of an input of the same name in another folder, are not replaced', async (t) => {
  const { run, cwd, provider } = await stage(t, { 'a/t.txt': 'one', 'b/t.txt': 'two' });
  assert.equal((await run('run', 'a/t.txt', '-o', 'out.jsonl')).code, 0);
  const other = await run('run', 'b/t.txt', '-o', 'out.jsonl');
  assert.match(other.stderr, /^breakwater: out\.jsonl has the results of another t\.txt: delete or rename it/);
  const line = '{"id":"batch_req_abc_0","custom_id":"x"}\n';
  await writeFile(join(cwd, 'b', 't.results.jsonl'), line);
  const unknown = await run('run', 'b/t.txt');
  assert.match(unknown.stderr, /^breakwater: b\/t\.results\.jsonl has the results of batch_abc, which is not in this store: delete or/);
  assert.equal(await readFile(join(cwd, 'b', 't.results.jsonl'), 'utf8'), line);
  assert.deepEqual([...provider.calls.keys()], ['one']);
});

test('`results --output` deletes and replaces no file of failures of another batch', async (t) => {
  const { run, cwd } = await stage(t, { 'good.txt': 'one', 'bad.txt': 'bad' }, (prompt) =>
    prompt === 'bad' ? { status: 400 } : undefined,
  );
  await run('run', 'good.txt');
  await run('run', 'bad.txt');
  const { stdout } = await run('status');
  const [, good] = /^(batch_\w+) .*good\.txt$/m.exec(stdout)!;
  const [, bad] = /^(batch_\w+) .*bad\.txt$/m.exec(stdout)!;
  await writeFile(join(cwd, 'x.errors.jsonl'), 'mine');
  assert.equal((await run('results', good!, '--output', 'x.jsonl')).code, 0);
  const refused = await run('results', bad!, '--output', 'x.jsonl');
  assert.deepEqual([refused.code, existsSync(join(cwd, 'x.jsonl'))], [1, true]);
  assert.match(refused.stderr, /^breakwater: x\.errors\.jsonl exists and has no results of batch_\w+: delete or rename it/);
  assert.equal(await readFile(join(cwd, 'x.errors.jsonl'), 'utf8'), 'mine');
  assert.equal((await run('results', bad!, '--output', 'y.jsonl')).code, 0);
  assert.equal((await run('results', bad!, '--output', 'y.jsonl')).code, 0);
});

for (const isTwice of [false, true]) {
  test(`Ctrl-C ${isTwice ? 'twice ' : ''}while the input is read runs nothing and leaves no prompts`, async (t) => {
    const { cwd, provider } = await stage(t, {});
    const temporary = join(cwd, 'tmp');
    await mkdir(temporary);
    execFileSync('mkfifo', [join(cwd, 'in.txt')]);
    const cli = startCli(['batch', 'run', 'in.txt'], { cwd, env: { TMPDIR: temporary } });
    const input = await open(join(cwd, 'in.txt'), 'w');
    await input.write('one\n');
    while (readdirSync(temporary).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    cli.child.kill('SIGINT');
    await cli.until('stderr', /^stopping before anything is run/m);
    if (isTwice) cli.child.kill('SIGINT');
    else await input.write('two\n');
    while (readdirSync(temporary).length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await input.close();
    assert.equal(await cli.ended, 130, cli.stderr());
    assert.equal(provider.calls.size, 0);
    if (!isTwice) assert.match(cli.stderr(), /^stopped: nothing was run$/m);
  });
}

test('an input that would send something else than it seems to is refused before anything is sent', async (t) => {
  const cases: readonly (readonly [string, string | Uint8Array, RegExp])[] = [
    ['short.csv', 'id,text\nx\n', /short\.csv: row 1 has 1 fields, the header 2/],
    ['long.csv', 'id,text\nx,a,b\n', /long\.csv: row 1 has 3 fields, the header 2; a field with a comma must be quoted/],
    ['open.csv', 'id,text\nx,a\ny,"b\n', /open\.csv: a quoted field in row 2 is not closed/],
    ['twice.csv', 'text,text\na,b\n', /twice\.csv: the column "text" occurs twice in the header/],
    ['old.txt', 'one\rtwo\r', /old\.txt: its lines end with a carriage return only; convert them, for example with tr '\\r' '\\n'/],
    ['old.csv', 'id,text\rx,a\r', /old\.csv: its lines end with a carriage return only/],
    ['binary.txt', Buffer.from([1, 2, 0, 3]), /binary\.txt: not a text file/],
    ['latin.txt', Buffer.from('M\xfcnchen', 'latin1'), /latin\.txt: not UTF-8 text/],
    ['array.jsonl', '[{"messages":[]}]', /line 1 is neither an object nor a string/],
    ['same.csv', 'id,text\nx,"a\nb"\ny,c\nx,d\n', /same\.csv: line 5: the id "x" is also on line 2/],
    ['semicolons.csv', 'id;text\nx;a\n', /semicolons\.csv: the file seems to be separated by semicolons; use --delimiter ';'/],
    ['stream.jsonl', '\n{"messages":[],"stream":true}\n', /^line 2: requests of a batch cannot be streamed\n.*nothing was run$/m],
  ];
  const { run, provider } = await stage(t, Object.fromEntries(cases.map(([name, text]) => [name, text])));
  for (const [name, , expected] of cases) {
    const { code, stderr } = await run('run', name, ...(name.endsWith('.csv') ? ['-t', '{{text}}'] : []));
    assert.equal(code, 1);
    if (name !== 'stream.jsonl') assert.equal(stderr.split('\n').length, 2, stderr);
    assert.match(stderr, expected);
  }
  assert.match((await run('run', 'latin.txt', '-t', 'the same')).stderr, /--template: contains no {{COLUMN}}/);
  assert.equal(provider.calls.size, 0);
});

test('a special file as the input needs --output, and standard input is not read', async (t) => {
  const { run, provider } = await stage(t, {});
  assert.match((await run('run', '/dev/stdin')).stderr, /^breakwater: \/dev\/stdin is not a regular file: choose a file for the results/);
  assert.match((await run('run', '-')).stderr, /^breakwater: -: standard input is not read, .*: save it to a file$/m);
  assert.match((await run('run', 'none/p.txt')).stderr, /^breakwater: none\/p\.txt: no such file$/m);
  assert.equal(provider.calls.size, 0);
});

test('a file with another name and the same content shares its results', async (t) => {
  const { run, results, provider } = await stage(t, { 'a.txt': 'one', 'b.txt': 'one' });
  for (const file of ['a.txt', 'b.txt', 'b.txt']) {
    const { code, stderr } = await run('run', file);
    assert.equal(code, 0, stderr);
  }
  assert.deepEqual(await results('b.results.jsonl'), { 'line-1': 'Answer to one.' });
  assert.equal(provider.calls.get('one'), 1);
});

test('the results of the current folder have its name', async (t) => {
  const { cwd } = await stage(t, { 'texts/a.txt': 'one', 'texts/breakwater.json': '{}' });
  await copyFile(join(cwd, 'breakwater.json'), join(cwd, 'texts', 'breakwater.json'));
  const { code, stderr } = await runCli(['batch', 'run', '.'], { cwd: join(cwd, 'texts') });
  assert.equal(code, 0, stderr);
  assert.ok(existsSync(join(cwd, 'texts.results.jsonl')), stderr);
});

test('without a folder for temporary files nothing is run', async (t) => {
  const { cwd } = await stage(t, { 'p.txt': 'one' });
  const { code, stderr } = await runCli(['batch', 'run', 'p.txt'], { cwd, env: { TMPDIR: join(cwd, 'none') } });
  assert.equal(code, 1);
  assert.match(stderr, /none: the folder for temporary files cannot be used \(its folder does not exist\); TMPDIR selects another$/m);
});

test('the flags are validated also if the file was run before', async (t) => {
  const { run } = await stage(t, { 'p.txt': 'one' });
  await run('run', 'p.txt');
  const { code, stderr } = await run('run', 'p.txt', '--window', '31d');
  assert.deepEqual([code, stderr], [1, 'breakwater: --window: must be a duration such as 24h, 30m or 7d, at most 30d (got "31d")\n']);
});

test('inputs as spreadsheets and editors of all systems write them', async (t) => {
  const { run, results } = await stage(t, {
    'bom.csv': '\uFEFF"a,b","text"\r\n"1","x\r\ny"\r\n\r\n"2","z",,\r\n',
    'tabs.tsv': 'id\ttext\nk\ta, b\n',
    'separator.jsonl': '{"custom_id":7,"messages":[{"role":"user","content":"a\u2028b"}]}\r\n\r\n',
    'folder/a.txt': 'first',
    'folder/empty.txt': '\n',
    'folder/c.png': 'no text',
    'folder/sub/b.txt': 'deeper',
  });
  for (const [file, ...flags] of [['bom.csv', '-t', '{{a,b}} {{text}}'], ['tabs.tsv', '-t', '{{text}}'], ['separator.jsonl']]) {
    const { code, stderr } = await run('run', file!, ...flags);
    assert.equal(code, 0, stderr);
  }
  assert.deepEqual(await results('bom.results.jsonl'), { 'row-1': 'Answer to 1 x\r\ny.', 'row-2': 'Answer to 2 z.' });
  assert.deepEqual(await results('tabs.results.jsonl'), { k: 'Answer to a, b.' });
  assert.deepEqual(await results('separator.results.jsonl'), { 7: 'Answer to a\u2028b.' });
  const { stderr } = await run('run', 'folder');
  assert.match(stderr, /^folder: not read: c\.png, empty\.txt, sub\/$/m);
  assert.deepEqual(await results('folder.results.jsonl'), { 'a.txt': 'Answer to first.' });
});

test('a batch in which everything failed says why, and the same command runs it again', async (t) => {
  const { run, provider } = await stage(t, { 'p.txt': 'one\ntwo' }, () => (provider.calls.size > 0 ? { status: 400 } : undefined));
  const first = await run('run', 'p.txt');
  assert.equal(first.code, 1);
  assert.match(first.stderr, /^the first failure, line-1: .+\ncompleted: 0 of 2 succeeded, 2 failed; wrote p\.errors\.jsonl$/m);
  await run('run', 'p.txt');
  assert.deepEqual([...provider.calls.values()], [2, 2]);
});

for (const signal of ['SIGINT', 'SIGKILL'] as const) {
  test(`stopped by ${signal}, the same command goes on, and repeats nothing that was done`, async (t) => {
    const prompts = Array.from({ length: 60 }, (_, n) => `p${n}`);
    const { run, start, results, provider, cwd } = await stage(t, { 'prompts.txt': prompts.join('\n') }, () => ({ ms: 60 }));
    const first = start('run', 'prompts.txt');
    t.after(() => first.child.kill('SIGKILL'));
    while (provider.calls.size < 20) await new Promise((resolve) => setTimeout(resolve, 5));
    first.child.kill(signal);
    const code = await first.ended;
    assert.equal(code, signal === 'SIGINT' ? 130 : 'SIGKILL', first.stderr());
    // Reading a batch runs nothing.
    const before = provider.calls.size;
    const status = await run('status');
    assert.match(status.stdout, /in_progress/);
    assert.deepEqual([status.stderr, provider.calls.size], ['', before]);
    if (signal === 'SIGINT') assert.match(first.stderr(), /stopped; the same command resumes it/);
    assert.equal(existsSync(join(cwd, 'prompts.results.jsonl')), false);
    const second = await run('run', 'prompts.txt');
    assert.equal(second.code, 0, second.stderr);
    assert.match(second.stderr, /resuming batch_/);
    assert.equal(Object.keys(await results('prompts.results.jsonl')).length, 60);
    const repeated = [...provider.calls.values()].filter((calls) => calls > 1).length;
    assert.ok(repeated <= (signal === 'SIGINT' ? 0 : 4), `${repeated} were sent twice`);
  });
}

test('a call that is stopped by a second Ctrl-C is made again, however often, and its line says so', async (t) => {
  const { run, start, provider, cwd } = await stage(t, { 'p.txt': 'slow' }, (_, call) => ({ hang: call <= 4 }));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGINT'] as const) {
    const { child, ended, until, stderr } = start('run', 'p.txt');
    t.after(() => child.kill('SIGKILL'));
    while (provider.running() === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    child.kill(signal);
    await until('stderr', /stopping after the running requests; Ctrl-C again stops at once/);
    child.kill('SIGINT');
    assert.equal(await ended, 130, stderr());
    assert.match(stderr(), /stopped; the same command resumes it$/m);
  }
  assert.equal((await run('run', 'p.txt')).code, 0);
  const [line] = readLines(await readFile(join(cwd, 'p.results.jsonl'), 'utf8'));
  assert.deepEqual([line!.response!.status_code, line!.breakwater, provider.calls.get('slow')], [200, { repeated: 1 }, 5]);
});

test('an earlier batch that runs along is saved too by a second Ctrl-C, while the command has nothing else to do', async (t) => {
  const quick = Object.fromEntries([0, 1, 2].map((n) => [`q${n}.txt`, `quick ${n}`]));
  const { run, start, provider, cwd } = await stage(t, { 'slow.txt': 'slow', ...quick }, (prompt, call) => ({
    hang: prompt === 'slow' && call <= 4,
  }));
  for (const file of ['slow.txt', ...Object.keys(quick)]) {
    const calls = provider.calls.get('slow') ?? 0;
    const { child, ended, stderr } = start('run', file);
    t.after(() => child.kill('SIGKILL'));
    while ((provider.calls.get('slow') ?? 0) === calls) await new Promise((resolve) => setTimeout(resolve, 5));
    if (file !== 'slow.txt') while (!provider.calls.has(quick[file]!)) await new Promise((resolve) => setTimeout(resolve, 5));
    await new Promise((resolve) => setTimeout(resolve, 300));
    for (let i = 0; i < 2; i++) {
      child.kill('SIGINT');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.notEqual(await ended, 'SIGKILL', stderr());
  }
  assert.equal((await run('run', 'slow.txt')).code, 0);
  const [line] = readLines(await readFile(join(cwd, 'slow.results.jsonl'), 'utf8'));
  assert.deepEqual([line!.response!.status_code, line!.breakwater], [200, { repeated: 1 }]);
});

test('a terminal that is closed stops once: running calls end, and are not made again', async (t) => {
  const { start, run, provider } = await stage(t, { 'p.txt': 'slow' }, () => ({ ms: 1_500 }));
  const { child, ended } = start('run', 'p.txt');
  t.after(() => child.kill('SIGKILL'));
  while (provider.running() === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  child.stderr!.destroy();
  child.stdout!.destroy();
  child.kill('SIGHUP');
  assert.equal(await ended, 130);
  assert.equal((await run('run', 'p.txt')).code, 0);
  assert.equal(provider.calls.get('slow'), 1);
});

test('a stopped batch can be cancelled: what is done is kept, and the rest is not run', async (t) => {
  const prompts = Array.from({ length: 40 }, (_, n) => `p${n}`);
  const { run, start, provider } = await stage(t, { 'prompts.txt': prompts.join('\n') }, () => ({ ms: 60 }));
  const first = start('run', 'prompts.txt');
  t.after(() => first.child.kill('SIGKILL'));
  while (provider.calls.size < 10) await new Promise((resolve) => setTimeout(resolve, 5));
  first.child.kill('SIGINT');
  await first.ended;
  const sent = provider.calls.size;
  const [id] = /batch_\w+/.exec(first.stderr())!;
  assert.match((await run('cancel', id)).stdout, new RegExp(`^${id}  cancelled  ${sent}/40 done, ${40 - sent} failed`));
  assert.equal(provider.calls.size, sent);
  assert.equal(readLines((await run('results', id)).stdout).length, 40);
});

test('cancelling a batch runs no requests of another open batch', async (t) => {
  const prompts = (name: string): string => Array.from({ length: 200 }, (_, n) => `${name}${n}`).join('\n');
  const { run, start, provider } = await stage(t, { 'one.txt': prompts('a'), 'two.txt': prompts('b') }, () => ({ ms: 60 }));
  const ids: string[] = [];
  for (const file of ['one.txt', 'two.txt']) {
    const before = provider.calls.size;
    const { child, ended, stderr } = start('run', file);
    t.after(() => child.kill('SIGKILL'));
    while (provider.calls.size < before + 8 || !/batch_\w+/.test(stderr())) await new Promise((resolve) => setTimeout(resolve, 5));
    child.kill('SIGINT');
    await ended;
    ids.push(/batch_\w+/.exec(stderr())![0]);
  }
  const sent = provider.calls.size;
  assert.match((await run('cancel', ids[1]!)).stdout, /  cancelled  /);
  assert.equal(provider.calls.size, sent);
  assert.match((await run('status', ids[0]!)).stdout, /  in_progress  /);
});

test('a gateway that runs already is used', async (t) => {
  const { run, cwd } = await stage(t, { 'prompts.txt': 'one' });
  const gateway = startCli(['serve'], { cwd });
  t.after(() => gateway.child.kill('SIGKILL'));
  const [, url] = await gateway.until('stdout', /listening on (\S+)/);
  const { code, stderr } = await run('run', 'prompts.txt', '--url', url!);
  assert.equal(code, 0, stderr);
  assert.ok(stderr.includes(` in ${url}`), stderr);
  assert.match((await run('status', '--url', url!)).stdout, /completed/);
  assert.match((await run('cancel', 'batch_none', '--url', url!)).stderr, /there is no batch "batch_none"/);
});

test('while the gateway is away, a run with --json says which one it waits for, and when it stops, that the batch continues', async (t) => {
  const { start, cwd, provider } = await stage(t, { 'p.txt': 'slow' }, () => ({ hang: true }));
  const gateway = startCli(['serve'], { cwd });
  t.after(() => gateway.child.kill('SIGKILL'));
  const [, url] = await gateway.until('stdout', /listening on (\S+)/);
  const { child, until, ended, stdout } = start('run', 'p.txt', '--url', url!, '--json');
  t.after(() => child.kill('SIGKILL'));
  while (provider.running() === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  gateway.child.kill('SIGKILL');
  const [waiting] = await until('stdout', /^\{"type":"waiting".*$/m);
  const { id, message } = JSON.parse(waiting) as { id: string; message: string };
  assert.equal(message.split(': ')[0], `${url} does not respond`);
  child.kill('SIGINT');
  assert.equal(await ended, 130);
  assert.deepEqual(JSON.parse(stdout().trim().split('\n').at(-1)!), { type: 'stopped', id, continues: true });
});
