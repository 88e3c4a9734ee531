/** `breakwater import`: converts the config of another gateway. */
import { readFile, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { parse } from 'yaml';
import { isRecord } from '../core/json.ts';
import { OperatorError } from './fail.ts';
import type { Draft } from './import/draft.ts';
import { importLitellm } from './import/litellm.ts';
import { importOpenrouter } from './import/openrouter.ts';
import { importPortkey } from './import/portkey.ts';

export const IMPORT_SOURCES = ['litellm', 'portkey', 'openrouter'] as const;
export type ImportSource = (typeof IMPORT_SOURCES)[number];

/** Larger files are not configs. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;

export async function importConfig(source: ImportSource, file: string, { out }: { readonly out?: string }): Promise<void> {
  const text = await textOf(file);
  const draft = source === 'openrouter' ? importOpenrouter(listIn(text)) : convert(source, valueOf(text, file), file);
  if (draft.routes.size === 0) throw new OperatorError([`${file}: no model can be imported`, ...draft.notes]);
  const yaml = draft.text(`${source} ${basename(file)}`);
  if (out === undefined) return void process.stdout.write(yaml);
  await writeFile(out, yaml, { flag: 'wx' }).catch((error: unknown) => {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new OperatorError([
      code === 'EEXIST' ? `${out}: exists already, and is not overwritten` : `${out}: can't be written (got ${code ?? message})`,
    ]);
  });
  process.stderr.write(`breakwater: written to ${out}; its comments name the variables to set and what was not carried over\n`);
}

function convert(source: Exclude<ImportSource, 'openrouter'>, value: unknown, file: string): Draft {
  if (!isRecord(value))
    throw new OperatorError([`${file}: must be ${source === 'litellm' ? 'a YAML file with model_list' : 'a JSON object'}`]);
  return source === 'litellm' ? importLitellm(value) : importPortkey(value);
}

/** JSON, YAML, or names, one per line. */
function listIn(text: string): unknown {
  try {
    const value = parse(text) as unknown;
    return typeof value === 'object' && value !== null ? value : text;
  } catch {
    return text;
  }
}

async function textOf(file: string): Promise<string> {
  const bytes = await readFile(file).catch((error: unknown) => {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new OperatorError([`${file}: can't be read (got ${code ?? message})`]);
  });
  if (bytes.byteLength > FILE_BYTES_MAX) throw new OperatorError([`${file}: is larger than ${FILE_BYTES_MAX} bytes`]);
  return bytes.toString().replace(/^\uFEFF/, '');
}

/** YAML includes JSON. The text is not quoted in errors: it may hold keys. */
function valueOf(text: string, file: string): unknown {
  try {
    return parse(text, { maxAliasCount: 1000 }) as unknown;
  } catch (error) {
    const { code = 'syntax error', linePos } = error as { code?: string; linePos?: readonly { readonly line: number }[] };
    throw new OperatorError([
      `${file}: is neither YAML nor JSON (${code}${linePos?.[0] === undefined ? '' : `, line ${linePos[0].line}`})`,
    ]);
  }
}
