import assert from 'node:assert/strict';
import { appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { readInput, type InputOptions } from './input.ts';
import type { InputLine } from './line-writer.ts';
import { delimiterOf } from './table.ts';

const options: InputOptions = { model: 'm', template: null, system: null, maxTokens: null, delimiter: null, onSkipped: () => {} };

async function fileOf(t: TestContext, name: string, text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-input-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, name), text);
  return join(folder, name);
}

async function linesOf(path: string, more: Partial<InputOptions> = {}): Promise<InputLine[]> {
  const lines: InputLine[] = [];
  for await (const line of readInput(path, { ...options, ...more })) lines.push(line);
  return lines;
}

function promptOf({ text }: InputLine): string {
  return (JSON.parse(text) as { body: { messages: { content: string }[] } }).body.messages[0]!.content;
}

test('a template inserts the numbers of a JSONL file with their digits, and null as an empty text', async (t) => {
  const path = await fileOf(
    t,
    'rows.jsonl',
    '{"id":12345678901234567890,"a":9007199254740993,"b":1e400,"c":0.10,"d":null,"e":-0,"f":{"x":[1.50, null]},"g":true,"h":2}\n',
  );
  const [line] = await linesOf(path, { template: '{{a}}|{{b}}|{{c}}|{{d}}|{{e}}|{{f}}|{{g}}|{{h}}' });
  assert.equal(promptOf(line!), '9007199254740993|1e400|0.10||-0|{"x":[1.50,null]}|true|2');
  assert.equal(line!.customId, '12345678901234567890');
});

test('requests keep the digits of their numbers', async (t) => {
  const body = '{"model":"m","seed":12345678901234567890,"top_p":0.10,"messages":[]}';
  const whole = `{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":${body}}`;
  const path = await fileOf(t, 'in.jsonl', `${whole}\n${body}\n`);
  const [first, second] = await linesOf(path);
  assert.equal(first!.text, whole);
  assert.equal(second!.text, `{"custom_id":"line-2","method":"POST","url":"/v1/chat/completions","body":${body}}`);
});

test('a number of many digits is no request', async (t) => {
  const path = await fileOf(t, 'in.jsonl', '12345678901234567890\n');
  await assert.rejects(linesOf(path), /line 1 is neither an object nor a string/);
});

test('the lines of rows count the line breaks of quoted fields', async (t) => {
  const path = await fileOf(t, 'rows.csv', 'id,text\r\nx,"a\r\nb\r\nc"\r\n\r\ny,d\r\n"z","e\nf"');
  const lines = await linesOf(path, { template: '{{text}}' });
  assert.deepEqual(
    lines.map(({ from, line }) => [from, line]),
    [
      ['row 1', 2],
      ['row 2', 6],
      ['row 3', 7],
    ],
  );
  const short = await fileOf(t, 'short.csv', 'id,text\nx,"a\nb"\ny\n');
  await assert.rejects(linesOf(short, { template: '{{text}}' }), /row 2 has 1 fields, the header 2; .* must be quoted \(line 4\)$/);
});

test('another delimiter is recognized in the header, and --delimiter sets it', async (t) => {
  const semicolons = await fileOf(t, 'rows.csv', 'id;text\nx;1,5\n');
  await assert.rejects(
    linesOf(semicolons, { template: '{{text}}' }),
    /rows\.csv: the file seems to be separated by semicolons; use --delimiter ';'$/,
  );
  const [line] = await linesOf(semicolons, { template: '{{text}}', delimiter: ';' });
  assert.deepEqual([line!.customId, promptOf(line!)], ['x', '1,5']);
  const tabs = await fileOf(t, 'tabs.csv', 'id\ttext\nx\ta\n');
  await assert.rejects(linesOf(tabs, { template: '{{text}}' }), /separated by tabs; use --delimiter tab$/);
  assert.equal((await linesOf(tabs, { template: '{{text}}', delimiter: 'tab' })).length, 1);
  const single = await fileOf(t, 'single.csv', 'a;b\nx\n');
  assert.equal(promptOf((await linesOf(single, { template: '{{a;b}}' }))[0]!), 'x');
  await assert.rejects(linesOf(await fileOf(t, 'p.txt', 'x'), { delimiter: ';' }), /--delimiter: .*p\.txt is not a \.csv or \.tsv file/);
  assert.equal(delimiterOf('\\t'), '\t');
  for (const text of ['', ';;', '"', '\n']) assert.throws(() => delimiterOf(text), /--delimiter: must be one character, or tab/);
});

test('a file that is changed or deleted while it is read is refused', async (t) => {
  const cases: readonly (readonly [string, (path: string) => Promise<void>])[] = [
    ['changed', (path) => appendFile(path, 'three\n')],
    ['deleted', (path) => rm(path)],
  ];
  for (const [how, change] of cases) {
    const path = await fileOf(t, 'p.txt', 'one\ntwo\n');
    const reading = readInput(path, options);
    assert.equal((await reading.next()).value?.customId, 'line-1');
    await change(path);
    await assert.rejects(
      async () => {
        for await (const _ of reading);
      },
      { message: `${path} was ${how} while it was read, so nothing was run` },
    );
  }
});

test('a folder that gets or loses a file while it is read is refused', async (t) => {
  const folder = join(await fileOf(t, 'x.txt', ''), '..', 'folder');
  await mkdir(folder);
  for (const name of ['a.txt', 'b.txt']) await writeFile(join(folder, name), name);
  for (const change of [() => writeFile(join(folder, 'c.txt'), 'c'), () => rm(join(folder, 'b.txt'))]) {
    const reading = readInput(folder, options);
    await reading.next();
    await change();
    await assert.rejects(async () => {
      for await (const _ of reading);
    }, /folder was changed while it was read, so nothing was run$/);
  }
  const reading = readInput(folder, options);
  await reading.next();
  await writeFile(join(folder, 'breakwater.db-wal'), '');
  assert.equal((await reading.next()).value?.customId, 'c.txt');
  assert.equal((await reading.next()).done, true);
});
