/** The files of results. They may be the only copy of what was paid for: those of another input are not replaced. */
import { hash } from 'node:crypto';
import { access, constants, lstat, open, stat } from 'node:fs/promises';
import { basename, dirname, extname, resolve } from 'node:path';
import { OperatorError } from '../fail.ts';
import { messageOf } from '../../core/errors.ts';
import { ApiFault, type BatchApi, type BatchObject } from './api.ts';

export interface OutputFiles {
  /** Of successful requests. */
  readonly output: string;
  /** Of failed ones. */
  readonly errors: string;
  /** Why the files have not their usual names. */
  readonly reason?: string;
}

/** A result line starts with its id, which names its batch. In bytes. */
const HEAD_BYTES = 200;
const HEAD = /^\{"id":"batch_req_(\w+)_\d+",/;
/** Of the hash of a path, in characters. */
const PATH_LENGTH = 16;

/** Metadata of a batch: its input's name, and a hash of its path. */
export function inputData(input: string): { readonly file: string; readonly breakwater_path: string } {
  return { file: basename(input), breakwater_path: hash('sha256', resolve(input)).slice(0, PATH_LENGTH) };
}

/**
 * Where the results of the input are written: to `output`, as given by the user, else to a file named after the input. If that file has the
 * results of another input, the name is the full one (`t.jsonl.results.jsonl`). Throws if the files can't be written, or if one of them has
 * something else than results of this input.
 */
export async function outputFiles(api: BatchApi, input: string, output: string | undefined): Promise<OutputFiles> {
  if (output !== undefined) return writable(api, input, withErrors(output));
  const path = input.replace(/[\\/]+$/, '');
  const short = withErrors(`${path.slice(0, -extname(path).length || undefined)}.results.jsonl`);
  const full = withErrors(`${path}.results.jsonl`);
  if (full.output === short.output) return writable(api, input, short);
  for (const usual of [short.output, short.errors]) {
    const owner = await ownerOf(api, input, usual);
    if (owner !== null) return { ...(await writable(api, input, full)), reason: `${usual} has the results of ${owner}` };
  }
  return writable(api, input, short);
}

export function withErrors(output: string): OutputFiles {
  return { output, errors: output.replace(/(?:\.results)?(\.jsonl)?$/, '.errors.jsonl') };
}

/** The batch whose results the file holds. Null if there is no such file, or none with results. */
export async function batchIn(path: string): Promise<string | null> {
  const info = await stat(path).catch(() => null);
  if (info?.isFile() !== true) return null;
  const batch = HEAD.exec(await headOf(path))?.[1];
  return batch === undefined ? null : `batch_${batch}`;
}

/** A device, a pipe or a link would be replaced by a file. */
export async function refuseSpecial({ output, errors }: OutputFiles): Promise<void> {
  for (const path of [output, errors]) {
    const info = await lstat(path).catch(() => null);
    if (info !== null && !info.isFile() && !info.isDirectory())
      throw new OperatorError([`${path} is not a regular file: choose another file with --output`]);
  }
}

async function writable(api: BatchApi, input: string, files: OutputFiles): Promise<OutputFiles> {
  const { output, errors } = files;
  await refuseSpecial(files);
  await access(dirname(output), constants.W_OK).catch((error: unknown) => {
    throw new OperatorError([`${output}: cannot be written (${messageOf(error)}); choose another file with --output`]);
  });
  for (const path of [output, errors]) {
    const fault = await faultOf(api, input, path);
    if (fault !== null) throw new OperatorError([`${path} ${fault}: delete or rename it, or choose another file with --output`]);
  }
  return files;
}

/** Why a file must not be replaced; null: it may be. */
async function faultOf(api: BatchApi, input: string, path: string): Promise<string | null> {
  if (resolve(path) === resolve(input)) return 'is the input';
  const info = await stat(path).catch(() => null);
  if (info === null || (info.isFile() && info.size === 0)) return null;
  if (!info.isFile()) return info.isDirectory() ? 'is a folder' : null;
  const batch = await batchIn(path);
  if (batch === null) return 'exists and has no results of a batch';
  const found = await find(api, batch);
  // It has expired, or belongs to another store or client: its input is unknown.
  if (found === null) return `has the results of ${batch}, which is not in this store`;
  return isOf(found, input) ? null : `has the results of ${nameOf(found, input)}`;
}

/** The other input whose results the file holds. Null if it has none, or of an unknown one. */
async function ownerOf(api: BatchApi, input: string, path: string): Promise<string | null> {
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

function isOf({ metadata }: BatchObject, input: string): boolean {
  const { file, breakwater_path: path } = inputData(input);
  return metadata?.['file'] === file && (metadata['breakwater_path'] ?? path) === path;
}

function nameOf({ id, metadata }: BatchObject, input: string): string {
  const name = metadata?.['file'] ?? id;
  return name === basename(input) ? `another ${name}` : name;
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
