/** From a file to a config. */
import { access, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { LineCounter, parseDocument, type YAMLError } from 'yaml';
import type { ConfigFault } from './faults.ts';
import type { Environment } from './interpolate.ts';
import { parseConfig, type ConfigResult, type ParseOptions } from './parse-config.ts';

/** The names that are looked for, in this order. */
export const configFileNames = ['breakwater.yaml', 'breakwater.yml', 'breakwater.json'] as const;

/** A larger file is no config. */
const fileBytesMax = 16 * 1024 * 1024;

/**
 * The config file to use where the command line names none: `$BREAKWATER_CONFIG` (whether it exists or not: one that was asked for and
 * is missing must not go unnoticed), else the first of `configFileNames` in the folder; null if there is none.
 */
export async function findConfigFile(directory: string, env: Environment): Promise<string | null> {
  const named = env['BREAKWATER_CONFIG'];
  if (named !== undefined && named !== '') return resolve(directory, named);
  for (const name of configFileNames) {
    const path = join(directory, name);
    if (await exists(path)) return path;
  }
  return null;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Reads and checks a config file (YAML, or JSON as a part of it). A file that can't be read is a fault like any other. */
export async function loadConfigFile(path: string, env: Environment, overrides: ParseOptions['overrides'] = {}): Promise<ConfigResult> {
  const full = resolve(path);
  let text: string;
  try {
    if ((await stat(full)).size > fileBytesMax) return failed(path, `is larger than ${fileBytesMax} bytes`);
    text = await readFile(full, 'utf8');
  } catch (error) {
    return failed(path, `can't be read (got ${(error as NodeJS.ErrnoException).code ?? 'an error'})`);
  }
  const parsed = parseYaml(text, basename(path));
  if (!parsed.ok) return parsed;
  if (!holdsSettings(parsed.value)) return failed(path, 'must hold settings in YAML or JSON, such as "providers: ..."');
  return parseConfig(parsed.value, { env, source: 'file', directory: dirname(full), overrides });
}

/** Content that is none of it, such as one word or a list, is not shown: the file may be one of secrets. An empty file holds defaults. */
function holdsSettings(value: unknown): boolean {
  return value === null || (typeof value === 'object' && !Array.isArray(value));
}

/** The value of a YAML text, or a fault with line and column for everything that is wrong with it. */
export function parseYaml(
  text: string,
  name: string,
): { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly faults: readonly ConfigFault[] } {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, merge: true, prettyErrors: false });
  const problems = [...document.errors, ...document.warnings];
  if (problems.length > 0) return { ok: false, faults: problems.map((problem) => describe(problem, name, lineCounter)) };
  try {
    return { ok: true, value: document.toJS() };
  } catch {
    return failed(name, 'has aliases that are not defined, or that unfold to too much');
  }
}

/** Without a quotation of the text: the line that is wrong may hold a key. */
function describe(problem: YAMLError, name: string, lineCounter: LineCounter): ConfigFault {
  const { line, col } = lineCounter.linePos(problem.pos[0]);
  const what =
    problem.code === 'UNEXPECTED_TOKEN' || problem.code === 'IMPOSSIBLE' ? 'Unexpected text' : problem.message.replace(/: .*$/s, '');
  return { path: '', message: `${name}: line ${line}, column ${col}: ${what}` };
}

function failed(name: string, what: string): { readonly ok: false; readonly faults: readonly ConfigFault[] } {
  return { ok: false, faults: [{ path: '', message: `${name}: ${what}` }] };
}
