/** Converts the user's file into lines of a batch file. */
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { OperatorError } from '../fail.ts';
import { CsvReader } from './csv.ts';

export interface InputOptions {
  /** Model of requests that name none; null if every request must name one. */
  readonly model: string | null;
  readonly template: string | null;
  readonly system: string | null;
  readonly maxTokens: number | null;
}

export interface InputLine {
  /** The line's origin, for messages: `line 3`. */
  readonly from: string;
  readonly text: string;
  /** Derived from its URL. */
  readonly endpoint: string;
}

const CHAT = '/v1/chat/completions';
const ENDPOINTS: Readonly<Record<string, string>> = { messages: CHAT, prompt: '/v1/completions', input: '/v1/embeddings' };

type Row = Readonly<Record<string, unknown>>;

export async function* readInput(path: string, options: InputOptions): AsyncGenerator<InputLine> {
  const info = await stat(path).catch(() => null);
  if (info === null) throw new OperatorError([`${path}: no such file`]);
  const writer = new LineWriter(options);
  if (info.isDirectory()) return yield* readFolder(path, writer);
  const kind = extname(path).toLowerCase();
  if (kind === '.csv') return yield* readCsv(path, writer);
  let n = 0;
  for await (const line of createInterface({ input: createReadStream(path, 'utf8'), crlfDelay: Infinity })) {
    n++;
    const text = n === 1 ? line.replace(/^\uFEFF/, '') : line;
    if (text.trim() === '') continue;
    yield kind === '.jsonl' || kind === '.ndjson' || kind === '.json'
      ? readJson(text, n, writer)
      : writer.prompt({ text }, `line-${n}`, `line ${n}`);
  }
}

async function* readFolder(path: string, writer: LineWriter): AsyncGenerator<InputLine> {
  const names = (await readdir(path)).filter((name) => /\.(?:txt|md)$/i.test(name)).toSorted();
  if (names.length === 0) throw new OperatorError([`${path}: contains no .txt or .md file`]);
  for (const name of names) yield writer.prompt({ text: await readFile(join(path, name), 'utf8'), file: name }, basename(name), name);
}

async function* readCsv(path: string, writer: LineWriter): AsyncGenerator<InputLine> {
  if (!writer.hasTemplate) throw new OperatorError([`${path}: a CSV file needs --template, such as --template "Summarize: {{text}}"`]);
  const csv = new CsvReader();
  let columns: string[] | null = null;
  let n = 0;
  const take = function* (rows: Iterable<string[]>): Generator<InputLine> {
    for (const row of rows) {
      n++;
      if (columns === null) columns = row.map((name) => name.replace(/^\uFEFF/, '').trim());
      else yield writer.row(Object.fromEntries(columns.map((name, i) => [name, row[i] ?? ''])), `row-${n - 1}`, `row ${n - 1}`);
    }
  };
  for await (const piece of createReadStream(path, 'utf8')) yield* take(csv.read(piece as string));
  yield* take(csv.end());
}

function readJson(text: string, n: number, writer: LineWriter): InputLine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new OperatorError([`line ${n} is not valid JSON: ${text.slice(0, 80)}`]);
  }
  const from = `line ${n}`;
  if (typeof value === 'string') return writer.prompt({ text: value }, `line-${n}`, from);
  if (typeof value !== 'object' || value === null) throw new OperatorError([`${from} is neither an object nor a string`]);
  const row = value as Row;
  if (typeof row['url'] === 'string' && 'body' in row) return writer.request(row, from);
  if (writer.hasTemplate) return writer.row(row, `line-${n}`, from);
  const kind = Object.keys(ENDPOINTS).find((name) => name in row);
  if (kind === undefined) {
    throw new OperatorError([`${from} is not a request: it has neither url and body, nor messages, prompt or input; or pass a --template`]);
  }
  const { custom_id: id, ...body } = row;
  return writer.request({ custom_id: id ?? `line-${n}`, method: 'POST', url: ENDPOINTS[kind]!, body }, from);
}

class LineWriter {
  readonly #options: InputOptions;

  constructor(options: InputOptions) {
    this.#options = options;
  }

  get hasTemplate(): boolean {
    return this.#options.template !== null;
  }

  request(row: Row, from: string): InputLine {
    const body = row['body'];
    const isObject = typeof body === 'object' && body !== null;
    const whole =
      isObject && !('model' in body) && this.#options.model !== null ? { ...row, body: { model: this.#options.model, ...body } } : row;
    return { from, text: JSON.stringify(whole), endpoint: String(row['url']) };
  }

  /** Formats a row of named columns, one of which may be the request's id. */
  row(values: Row, fallbackId: string, from: string): InputLine {
    const id = values['custom_id'] ?? values['id'];
    return this.prompt(values, typeof id === 'string' && id !== '' ? id : typeof id === 'number' ? String(id) : fallbackId, from);
  }

  prompt(values: Row, id: string, from: string): InputLine {
    const { model, template, system, maxTokens } = this.#options;
    if (model === null) throw new OperatorError(['several models are configured: choose one with --model']);
    const content = template === null ? String(values['text']) : fill(template, values, from);
    const messages = [...(system === null ? [] : [{ role: 'system', content: system }]), { role: 'user', content }];
    const body = { model, messages, ...(maxTokens !== null && { max_tokens: maxTokens }) };
    return { from, text: JSON.stringify({ custom_id: id, method: 'POST', url: CHAT, body }), endpoint: CHAT };
  }
}

function fill(template: string, values: Row, from: string): string {
  return template.replaceAll(/\{\{\s*([^{}]+?)\s*\}\}/g, (_, name: string) => {
    if (!Object.hasOwn(values, name)) {
      throw new OperatorError([
        `${from} has no ${JSON.stringify(name)} for the template; it has ${Object.keys(values).slice(0, 20).join(', ')}`,
      ]);
    }
    const value = values[name];
    return typeof value === 'string' ? value : JSON.stringify(value);
  });
}
