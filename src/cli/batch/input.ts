/** Converts the user's file into lines of a batch file. */
import { readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { OperatorError } from '../fail.ts';
import { CsvReader } from './csv.ts';
import { textChunks, textLines, wholeText } from './text.ts';

export interface InputOptions {
  /** Model of requests that name none; null if every request must name one. */
  readonly model: string | null;
  readonly template: string | null;
  readonly system: string | null;
  readonly maxTokens: number | null;
  /** Called with what a folder contains and is not read: other files, subfolders (with a slash), empty files. */
  readonly onSkipped: (names: readonly string[]) => void;
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

/** A placeholder of a template. */
const PLACE = /\{\{\s*([^{}]+?)\s*\}\}/;

type Row = Readonly<Record<string, unknown>>;

export async function* readInput(path: string, options: InputOptions): AsyncGenerator<InputLine> {
  const info = await stat(path).catch(() => null);
  if (info === null) throw new OperatorError([`${path}: no such file`]);
  if (options.template !== null && !PLACE.test(options.template))
    throw new OperatorError(['--template: contains no {{COLUMN}}, so all prompts would be the same']);
  const writer = new LineWriter(options);
  if (info.isDirectory()) return yield* readFolder(path, writer, options);
  const kind = extname(path).toLowerCase();
  if (kind === '.csv' || kind === '.tsv') return yield* readTable(path, kind === '.tsv' ? '\t' : ',', writer);
  const isJson = kind === '.jsonl' || kind === '.ndjson' || kind === '.json';
  for await (const { number: n, text } of textLines(path))
    yield isJson ? readJson(text, n, writer) : writer.prompt({ text }, `line-${n}`, `line ${n}`);
}

async function* readFolder(path: string, writer: LineWriter, { onSkipped }: InputOptions): AsyncGenerator<InputLine> {
  const names = (await readdir(path)).toSorted();
  const skipped: string[] = [];
  for (const name of names) {
    const info = await stat(join(path, name)).catch(() => null);
    if (info?.isDirectory() === true) skipped.push(`${name}/`);
    else if (info?.isFile() !== true || !/\.(?:txt|md)$/i.test(name)) skipped.push(name);
    else {
      const text = await wholeText(join(path, name));
      if (text.trim() === '') skipped.push(name);
      else yield writer.prompt({ text, file: name }, name, name);
    }
  }
  if (skipped.length === names.length) throw new OperatorError([`${path}: contains no .txt or .md file with text`]);
  if (skipped.length > 0) onSkipped(skipped);
}

/** Rows of named columns. Every row must have all of them: one comma too many or too few shifts or cuts off what is sent. */
async function* readTable(path: string, delimiter: string, writer: LineWriter): AsyncGenerator<InputLine> {
  const kind = delimiter === ',' ? 'CSV' : 'TSV';
  if (!writer.hasTemplate) throw new OperatorError([`${path}: a ${kind} file needs --template, such as --template "Summarize: {{text}}"`]);
  const table = new CsvReader(delimiter);
  let columns: string[] | null = null;
  let n = 0;
  const take = function* (rows: Iterable<string[]>): Generator<InputLine> {
    for (const row of rows) {
      if (columns === null) {
        columns = row.map((name) => name.trim());
        assertDistinct(path, columns);
        continue;
      }
      const fields = withoutEmptyEnd(row, columns.length);
      n++;
      if (fields.length !== columns.length)
        throw new OperatorError([
          `${path}: row ${n} has ${fields.length} fields, the header ${columns.length}; a field with ${delimiter === ',' ? 'a comma' : 'a tab'} must be quoted`,
        ]);
      yield writer.row(Object.fromEntries(columns.map((name, i) => [name, fields[i]])), `row-${n}`, `row ${n}`);
    }
  };
  for await (const text of textChunks(path)) yield* take(table.read(text));
  const rest = [...table.end()];
  if (table.isCut) throw new OperatorError([`${path}: a quoted field in row ${n + 1} is not closed`]);
  yield* take(rest);
}

function assertDistinct(path: string, columns: readonly string[]): void {
  const twice = columns.find((name, i) => name !== '' && columns.indexOf(name) < i);
  if (twice !== undefined) throw new OperatorError([`${path}: the column ${JSON.stringify(twice)} occurs twice in the header`]);
}

/** Spreadsheets append empty columns. */
function withoutEmptyEnd(row: readonly string[], count: number): readonly string[] {
  return row.length > count && row.slice(count).every((field) => field === '') ? row.slice(0, count) : row;
}

function readJson(text: string, n: number, writer: LineWriter): InputLine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new OperatorError([`line ${n} is not valid JSON: ${text.slice(0, 80)} (each line must be one JSON object)`]);
  }
  const from = `line ${n}`;
  if (typeof value === 'string') return writer.prompt({ text: value }, `line-${n}`, from);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new OperatorError([`${from} is neither an object nor a string: each line must be one request`]);
  const row = value as Row;
  if (typeof row['url'] === 'string' && 'body' in row) return writer.request(row, from);
  if (writer.hasTemplate) return writer.row(row, `line-${n}`, from);
  const kind = Object.keys(ENDPOINTS).find((name) => name in row);
  if (kind === undefined) {
    throw new OperatorError([`${from} is not a request: it has neither url and body, nor messages, prompt or input; or pass a --template`]);
  }
  const { custom_id: id, ...body } = row;
  return writer.request(
    { custom_id: typeof id === 'number' ? String(id) : (id ?? `line-${n}`), method: 'POST', url: ENDPOINTS[kind]!, body },
    from,
  );
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
  return template.replaceAll(new RegExp(PLACE, 'g'), (_, name: string) => {
    if (!Object.hasOwn(values, name)) {
      throw new OperatorError([
        `${from} has no ${JSON.stringify(name)} for the template; it has ${Object.keys(values).slice(0, 20).join(', ')}`,
      ]);
    }
    const value = values[name];
    return typeof value === 'string' ? value : JSON.stringify(value);
  });
}
