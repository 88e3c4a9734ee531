/** CSV and TSV files: rows of named columns. */
import { OperatorError } from '../fail.ts';
import { CsvReader } from './csv.ts';
import type { InputLine, LineWriter } from './line-writer.ts';
import { LINE_BYTES_MAX, textChunks } from './text.ts';

/** Characters that separate fields, and their names in messages. */
const NAMES: Readonly<Record<string, string>> = { ',': 'comma', ';': 'semicolon', '\t': 'tab', '|': 'vertical bar' };

/** The delimiter that `--delimiter` means. */
export function delimiterOf(text: string): string {
  const delimiter = text === 'tab' || text === '\\t' ? '\t' : text;
  if (/^[^"\r\n]$/u.test(delimiter)) return delimiter;
  throw new OperatorError([`--delimiter: must be one character, or tab (got ${JSON.stringify(text)})`]);
}

/** Every row must have all columns: one delimiter too many or too few shifts or cuts off what is sent. */
export async function* readTable(path: string, delimiter: string, writer: LineWriter): AsyncGenerator<InputLine> {
  if (!writer.hasTemplate) {
    const kind = path.toLowerCase().endsWith('.tsv') ? 'TSV' : 'CSV';
    throw new OperatorError([`${path}: a ${kind} file needs --template, such as --template "Summarize: {{text}}"`]);
  }
  const table = new CsvReader(delimiter);
  let columns: string[] | null = null;
  let n = 0;
  const take = function* (rows: Iterable<string[]>): Generator<InputLine> {
    for (const row of rows) {
      if (columns === null) {
        if (row[0] === 'sep=' && row.length === 2) continue; // how Excel declares the delimiter
        columns = row.map((name) => name.trim());
        assertColumns(path, columns, delimiter, writer);
        continue;
      }
      const fields = withoutEmptyEnd(row, columns.length);
      n++;
      if (fields.length !== columns.length) {
        const hint = `a field with a ${NAMES[delimiter] ?? delimiter} must be quoted`;
        throw new OperatorError([
          `${path}: row ${n} has ${fields.length} fields, the header ${columns.length}; ${hint} (line ${table.line})`,
        ]);
      }
      const values = Object.fromEntries(columns.map((name, i) => [name, fields[i]]));
      yield writer.row(values, `row-${n}`, { from: `row ${n}`, line: table.line });
    }
  };
  for await (const text of textChunks(path)) {
    yield* take(table.read(text));
    if (table.openLength > LINE_BYTES_MAX)
      throw new OperatorError([`${path}: the row on line ${table.openLine} is longer than ${LINE_BYTES_MAX / 1024 / 1024} MB`]);
  }
  const openLine = table.openLine;
  const rest = [...table.end()];
  if (table.isCut) throw new OperatorError([`${path}: a quoted field in row ${n + 1} is not closed (line ${openLine})`]);
  yield* take(rest);
}

function assertColumns(path: string, columns: readonly string[], delimiter: string, writer: LineWriter): void {
  const [only] = columns;
  if (columns.length === 1 && !writer.places.includes(only!)) {
    const other = Object.keys(NAMES).find((one) => one !== delimiter && only!.includes(one));
    if (other !== undefined) {
      const option = other === '\t' ? 'tab' : `'${other}'`;
      throw new OperatorError([`${path}: the file seems to be separated by ${NAMES[other]!}s; use --delimiter ${option}`]);
    }
  }
  const twice = columns.find((name, i) => name !== '' && columns.indexOf(name) < i);
  if (twice !== undefined) throw new OperatorError([`${path}: the column ${JSON.stringify(twice)} occurs twice in the header`]);
}

/** Spreadsheets append empty columns. */
function withoutEmptyEnd(row: readonly string[], count: number): readonly string[] {
  return row.length > count && row.slice(count).every((field) => field === '') ? row.slice(0, count) : row;
}
