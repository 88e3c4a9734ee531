/** The options of a run that change its requests, in the metadata of its batch: with others, a file is another run. */
import { hash } from 'node:crypto';
import { isRecord, parseOrUndefined } from '../../core/json.ts';
import type { BatchApi, BatchObject } from './api.ts';
import { SOURCE } from './earlier.ts';
import type { RunFlags } from './flags.ts';
import { inputData } from './output.ts';

const OPTIONS = 'breakwater_options';
/** Of a value of metadata, in characters. */
const VALUE_LENGTH_MAX = 512;
/** A longer option is saved as its start and a hash, in characters. */
const [OPTION_LENGTH_MAX, START_LENGTH, HASH_LENGTH] = [80, 60, 8];

const NAMES = ['model', 'template', 'system', 'delimiter', 'max-tokens'] as const;
export type Options = Readonly<Partial<Record<(typeof NAMES)[number], string>>>;

/** `model`: of requests that name none. */
export function optionsOf({ template, system, delimiter, maxTokens }: RunFlags, model: string | null): Options {
  const given = { model: model ?? undefined, template, system, delimiter, 'max-tokens': maxTokens };
  return Object.fromEntries(NAMES.flatMap((name) => (given[name] === undefined ? [] : [[name, shortened(given[name])]])));
}

function shortened(text: string): string {
  return text.length <= OPTION_LENGTH_MAX ? text : `${text.slice(0, START_LENGTH)}… (${hash('sha256', text).slice(0, HASH_LENGTH)})`;
}

export function optionsData(options: Options): Readonly<Record<string, string>> {
  const text = JSON.stringify(options);
  return text.length <= VALUE_LENGTH_MAX ? { [OPTIONS]: text } : {};
}

/** Why there is no earlier run to retry. */
export async function noRunText(api: BatchApi, file: string, options: Options, place: string): Promise<string> {
  const last = await lastOfFile(api, file);
  const earlier = last === null ? null : readOptions(last);
  if (earlier === null)
    return `${file} was not run before with the same content and options (--template, --model, …), in ${place}: run it without --retry-failed`;
  const other = NAMES.filter((name) => earlier[name] !== options[name]);
  if (other.length === 0) return `${file} has changed since its last run, ${last!.id}, in ${place}: run it without --retry-failed`;
  const used = other.map((name) => (earlier[name] === undefined ? `no --${name}` : `--${name} ${quoted(earlier[name])}`));
  return `${file} was not run before with these options, in ${place}: its last run, ${last!.id}, used ${used.join(' and ')}; use the same, or run it without --retry-failed`;
}

async function lastOfFile(api: BatchApi, path: string): Promise<BatchObject | null> {
  const { file, breakwater_path: of } = inputData(path);
  for await (const batch of api.list()) {
    const { metadata, status } = batch;
    if (status === 'failed') continue; // nothing was run
    if (metadata?.[SOURCE] !== undefined && metadata['file'] === file && metadata['breakwater_path'] === of) return batch;
  }
  return null;
}

/** Null if they are unknown. */
function readOptions({ metadata }: BatchObject): Options | null {
  const value = parseOrUndefined(metadata?.[OPTIONS] ?? '');
  return isRecord(value)
    ? Object.fromEntries(NAMES.flatMap((name) => (typeof value[name] === 'string' ? [[name, value[name]]] : [])))
    : null;
}

function quoted(text: string): string {
  return /^[\w./:@-]+$/.test(text) ? text : JSON.stringify(text);
}
