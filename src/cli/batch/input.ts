/** Converts the user's file into lines of a batch file. */
import { readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { parseExact } from '../../wire/json-exact.ts';
import { OperatorError } from '../fail.ts';
import { CHAT, idText, isObject, LineWriter, type InputLine, type LineOptions } from './line-writer.ts';
import { delimiterOf, readTable } from './table.ts';
import { cannotRead, changed, textLines, wholeText } from './text.ts';

export interface InputOptions extends LineOptions {
  /** Of a table, as the user names it; null: that of the file's type. */
  readonly delimiter: string | null;
  /** Called with what a folder contains and is not read: other files, subfolders (with a slash), empty files. */
  readonly onSkipped: (names: readonly string[]) => void;
}

const ENDPOINTS: Readonly<Record<string, string>> = { messages: CHAT, prompt: '/v1/completions', input: '/v1/embeddings' };
const TEXT_FILE = /\.(?:txt|md)$/i;
/** The start of a faulty line that is shown. */
const SHOWN_LENGTH = 80;

export async function* readInput(path: string, options: InputOptions): AsyncGenerator<InputLine> {
  if (path === '-')
    throw new OperatorError(['-: standard input is not read, since it cannot be read again to resume the batch: save it to a file']);
  const info = await stat(path).catch(() => null);
  if (info === null) throw new OperatorError([`${path}: no such file`]);
  const writer = new LineWriter(options);
  const kind = extname(path).toLowerCase();
  const isTable = !info.isDirectory() && (kind === '.csv' || kind === '.tsv');
  const delimiter = options.delimiter === null ? null : delimiterOf(options.delimiter);
  if (delimiter !== null && !isTable) throw new OperatorError([`--delimiter: ${path} is not a .csv or .tsv file`]);
  if (info.isDirectory()) return yield* readFolder(path, writer, options);
  if (isTable) return yield* readTable(path, delimiter ?? (kind === '.tsv' ? '\t' : ','), writer);
  const isJson = kind === '.jsonl' || kind === '.ndjson' || kind === '.json';
  for await (const { number: n, text } of textLines(path))
    yield isJson ? readJson(text, n, writer) : writer.prompt({ text }, `line-${n}`, { from: `line ${n}`, line: n });
}

async function* readFolder(path: string, writer: LineWriter, { onSkipped }: InputOptions): AsyncGenerator<InputLine> {
  const names = await readdir(path).catch((error: unknown) => {
    throw cannotRead(path, error);
  });
  names.sort();
  const skipped: string[] = [];
  for (const name of names) {
    const info = await stat(join(path, name)).catch(() => null);
    if (info?.isDirectory() === true) skipped.push(`${name}/`);
    else if (info?.isFile() !== true || !TEXT_FILE.test(name)) skipped.push(name);
    else {
      const text = await wholeText(join(path, name));
      if (text.trim() === '') skipped.push(name);
      else yield writer.prompt({ text, file: name }, name, { from: name, line: null });
    }
  }
  if (skipped.length === names.length) throw new OperatorError([`${path}: contains no .txt or .md file with text`]);
  const after = await readdir(path).catch(() => null);
  if (after === null || textFiles(after) !== textFiles(names)) throw changed(path, after === null ? 'deleted' : 'changed');
  if (skipped.length > 0) onSkipped(skipped);
}

/** Other files may come and go, such as those of the store. */
function textFiles(names: readonly string[]): string {
  return names
    .filter((name) => TEXT_FILE.test(name))
    .toSorted()
    .join('/');
}

function readJson(text: string, n: number, writer: LineWriter): InputLine {
  const place = { from: `line ${n}`, line: n };
  let value: unknown;
  try {
    value = parseExact(text);
  } catch {
    throw new OperatorError([`line ${n} is not valid JSON: ${text.slice(0, SHOWN_LENGTH)} (each line must be one JSON object)`]);
  }
  if (typeof value === 'string') return writer.prompt({ text: value }, `line-${n}`, place);
  if (!isObject(value)) throw new OperatorError([`${place.from} is neither an object nor a string: each line must be one request`]);
  if (typeof value['url'] === 'string' && 'body' in value) return writer.request(value, place);
  if (writer.hasTemplate) return writer.row(value, `line-${n}`, place);
  const kind = Object.keys(ENDPOINTS).find((name) => name in value);
  if (kind === undefined) {
    throw new OperatorError([
      `${place.from} is not a request: it has neither url and body, nor messages, prompt or input; or pass a --template`,
    ]);
  }
  const { custom_id: id, ...body } = value;
  return writer.request({ custom_id: idText(id ?? `line-${n}`), method: 'POST', url: ENDPOINTS[kind]!, body }, place);
}
