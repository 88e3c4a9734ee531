/** Loads a config from a file. */
import { access, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { LineCounter, parseDocument, type YAMLError } from 'yaml';
import type { ConfigFault } from './faults.ts';
import type { Environment } from './interpolate.ts';
import { parseConfig, type ConfigResult, type ParseOptions } from './parse-config.ts';

/** The default names, in order of precedence. */
export const configFileNames = ['breakwater.yaml', 'breakwater.yml', 'breakwater.json'] as const;

/** The largest config file. */
const fileBytesMax = 16 * 1024 * 1024;

/**
 * The config file to use without an argument: `$BREAKWATER_CONFIG` (even if it does not exist, so that a missing file is reported), else
 * the first of `configFileNames` in the folder; null: none.
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

/**
 * Reads and validates a config file (YAML, which includes JSON). A file that can't be read is reported as a fault. `partOf`: the part of its
 * settings to use; the rest is not validated, and its variables need not be set.
 */
export async function loadConfigFile(
  path: string,
  env: Environment,
  overrides: ParseOptions['overrides'] = {},
  partOf: (settings: unknown) => unknown = (settings) => settings,
): Promise<ConfigResult> {
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
  if (!holdsSettings(parsed.value)) return failed(path, 'must contain settings in YAML or JSON, such as "providers: ..."');
  return parseConfig(partOf(parsed.value), { env, source: 'file', directory: dirname(full), overrides });
}

/** Other content, such as one word or a list, is not shown, as it may be secret. An empty file means all defaults. */
function holdsSettings(value: unknown): boolean {
  return value === null || (typeof value === 'object' && !Array.isArray(value));
}

/** The value of a YAML text, or its faults, each with line and column. */
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
    return failed(name, 'has undefined aliases, or aliases that expand to too much');
  }
}

/** Does not quote the text, as the line may contain a key. */
function describe(problem: YAMLError, name: string, lineCounter: LineCounter): ConfigFault {
  const { line, col } = lineCounter.linePos(problem.pos[0]);
  const what =
    problem.code === 'UNEXPECTED_TOKEN' || problem.code === 'IMPOSSIBLE' ? 'Unexpected text' : problem.message.replace(/: .*$/s, '');
  return { path: '', message: `${name}: line ${line}, column ${col}: ${what}` };
}

function failed(name: string, what: string): { readonly ok: false; readonly faults: readonly ConfigFault[] } {
  return { ok: false, faults: [{ path: '', message: `${name}: ${what}` }] };
}
