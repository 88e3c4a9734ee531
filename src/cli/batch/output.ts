/** The files of results. They may be the only copy of what was paid for: those of another input are not replaced. */
import { hash } from 'node:crypto';
import { access, constants, lstat, open, realpath, stat } from 'node:fs/promises';
import { basename, dirname, extname, resolve } from 'node:path';
import { OperatorError } from '../fail.ts';
import { writeFault } from '../file-fault.ts';
import { RETRY_SOURCE, SOURCE } from './earlier.ts';
import { ApiFault, type BatchApi, type BatchObject } from './api.ts';

export interface OutputFiles {
  /** Of successful requests. */
  readonly output: string;
  /** Of failed ones. */
  readonly errors: string;
  /** Why the files do not have their usual names. */
  readonly reason?: string;
}

interface Input {
  readonly path: string;
  /** The hash of its requests. */
  readonly source: string;
}

const IS_INPUT = 'is the input';

/** A result line starts with its id, which names its batch. In bytes. */
const HEAD_BYTES = 200;
const HEAD = /^\{"id":"batch_req_(\w+)_\d+",/;
/** Of the hash of a path, in characters. */
const PATH_LENGTH = 16;

/** Metadata of a batch: its input's name, and a hash of its path. */
export function inputData(input: string): { readonly file: string; readonly breakwater_path: string } {
  return { file: basename(resolve(input)), breakwater_path: hash('sha256', resolve(input)).slice(0, PATH_LENGTH) };
}

/**
 * Where the results of the input are written: to `output`, as given by the user, else to a file named after the input. If that file has the
 * results of another input, the name is the full one (`t.jsonl.results.jsonl`). Throws if the files can't be written, or if one of them has
 * something else than results of this input.
 */
export async function outputFiles(api: BatchApi, file: string, source: string, output: string | undefined): Promise<OutputFiles> {
  const input = { path: file, source };
  if (output !== undefined) return writable(api, input, withErrors(output));
  const path = isDots(file) ? resolve(file) : file.replace(/[\\/]+$/, '');
  const short = withErrors(`${path.slice(0, -extname(path).length || undefined)}.results.jsonl`);
  const full = withErrors(`${path}.results.jsonl`);
  if (full.output === short.output) return writable(api, input, short);
  for (const usual of [short.output, short.errors]) {
    const owner = await ownerOf(api, input, usual);
    if (owner !== null) return { ...(await writable(api, input, full)), reason: `${usual} has the results of ${owner}` };
  }
  return writable(api, input, short);
}

/** `.` and `..` name no file. */
function isDots(path: string): boolean {
  return /^\.{1,2}$/.test(basename(path));
}

export function withErrors(output: string): OutputFiles {
  return { output, errors: output.replace(/(?:\.results)?(\.jsonl)?$/, '.errors.jsonl') };
}

/** The batch whose results the file holds. Null if there is no such file, or none with results. */
async function batchIn(path: string): Promise<string | null> {
  const info = await stat(path).catch(() => null);
  if (info?.isFile() !== true) return null;
  const batch = HEAD.exec(await headOf(path))?.[1];
  return batch === undefined ? null : `batch_${batch}`;
}

/**
 * Throws if the results of a batch must not be written to these paths. Only results of the same batch are replaced: a mistyped name may be
 * that of any file. `isForced`: any regular file but the input.
 */
export async function checkTarget(batch: BatchObject, paths: readonly string[], isForced: boolean): Promise<void> {
  await checkPlace(paths);
  for (const path of paths) {
    const fault = (await isInputOf(batch, path)) ? `${IS_INPUT} of ${batch.id}` : await kindFault(path);
    if (fault !== null) throw refusal(path, fault);
    if (isForced || (await isEmpty(path)) || (await batchIn(path)) === batch.id) continue;
    throw new OperatorError([
      `${path} exists and has no results of ${batch.id}: delete or rename it, choose another file with --output, or replace it with --force`,
    ]);
  }
}

async function writable(api: BatchApi, input: Input, files: OutputFiles): Promise<OutputFiles> {
  const paths = [files.output, files.errors];
  await checkPlace(paths);
  for (const path of paths) {
    const fault = await faultOf(api, input, path);
    if (fault !== null) throw refusal(path, fault);
  }
  return files;
}

function refusal(path: string, fault: string): OperatorError {
  if (fault.startsWith(IS_INPUT)) return new OperatorError([`${path} ${fault}: choose another file with --output`]);
  return new OperatorError([`${path} ${fault}: delete or rename it, or choose another file with --output`]);
}

/** A device, a pipe or a link would be replaced by a file. */
async function checkPlace(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const info = await lstat(path).catch(() => null);
    if (info !== null && !info.isFile() && !info.isDirectory())
      throw new OperatorError([`${path} is not a regular file: choose another file with --output`]);
    await access(dirname(path), constants.W_OK).catch((error: unknown) => {
      throw new OperatorError([`${path}: cannot be written (${writeFault(error)}); choose another file with --output`]);
    });
  }
}

/** The file that exists with nothing in it, or the one that does not exist. */
async function isEmpty(path: string): Promise<boolean> {
  const info = await stat(path).catch(() => null);
  return info === null || (info.isFile() && info.size === 0);
}

async function kindFault(path: string): Promise<string | null> {
  return (await stat(path).catch(() => null))?.isDirectory() === true ? 'is a folder' : null;
}

/** Why a file must not be replaced; null: it may be. */
async function faultOf(api: BatchApi, input: Input, path: string): Promise<string | null> {
  if (await isSameFile(path, input.path)) return IS_INPUT;
  const fault = await kindFault(path);
  if (fault !== null || (await isEmpty(path))) return fault;
  const batch = await batchIn(path);
  if (batch === null) return 'exists and has no results of a batch';
  const found = await find(api, batch);
  // It has expired, or belongs to another store or client: its input is unknown.
  if (found === null) return `has the results of ${batch}, which is not in this store`;
  return isOf(found, input) ? null : `has the results of ${nameOf(found, input)}`;
}

/** The other input whose results the file holds. Null if it has none, or of an unknown one. */
async function ownerOf(api: BatchApi, input: Input, path: string): Promise<string | null> {
  const batch = await batchIn(path);
  const found = batch === null ? null : await find(api, batch);
  return found === null || isOf(found, input) ? null : nameOf(found, input);
}

/** Null if there is no such batch. Any other fault is thrown. */
async function find(api: BatchApi, id: string): Promise<BatchObject | null> {
  try {
    return await api.get(id);
  } catch (error) {
    if (error instanceof ApiFault && error.status === 404) return null;
    throw error;
  }
}

/** Also by another name: a folder may be a link. */
async function isSameFile(path: string, other: string): Promise<boolean> {
  if (resolve(path) === resolve(other)) return true;
  const [one, two] = await Promise.all([path, other].map((name) => stat(name, { bigint: true }).catch(() => null)));
  return one != null && two != null && one.ino === two.ino && one.dev === two.dev;
}

async function isInputOf({ metadata }: BatchObject, path: string): Promise<boolean> {
  const names = [path, await realpath(path).catch(() => path)];
  return names.some((name) => inputData(name).breakwater_path === metadata?.['breakwater_path']);
}

/** Results of the same requests are the same, whatever the name of the file. */
function isOf({ metadata }: BatchObject, input: Input): boolean {
  const { file, breakwater_path: path } = inputData(input.path);
  if (metadata?.[SOURCE] === input.source || metadata?.[RETRY_SOURCE] === input.source) return true;
  return metadata?.['file'] === file && (metadata['breakwater_path'] ?? path) === path;
}

function nameOf({ id, metadata }: BatchObject, input: Input): string {
  const name = metadata?.['file'] ?? id;
  return name === basename(resolve(input.path)) ? `another ${name}` : name;
}

async function headOf(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}
