/** The files of results. They may be the only copy of what was paid for: those of another input are not replaced. */
import { access, constants, open, stat } from 'node:fs/promises';
import { basename, dirname, extname, resolve } from 'node:path';
import { OperatorError } from '../fail.ts';
import { messageOf } from '../../core/errors.ts';
import type { BatchApi } from './api.ts';

export interface OutputFiles {
  /** Of successful requests. */
  readonly output: string;
  /** Of failed ones. */
  readonly errors: string;
}

/** A result line starts with its id, which names its batch. In bytes. */
const HEAD_BYTES = 200;
const HEAD = /^\{"id":"batch_req_(\w+)_\d+",/;

/** `output`: as given by the user, else it is named after the input. */
export function outputFiles(input: string, output: string | undefined): OutputFiles {
  const path = input.replace(/[\\/]+$/, '');
  return withErrors(output ?? `${path.slice(0, -extname(path).length || undefined)}.results.jsonl`);
}

export function withErrors(output: string): OutputFiles {
  return { output, errors: output.replace(/(?:\.results)?(\.jsonl)?$/, '.errors.jsonl') };
}

/** Throws if the files can't be written, or if one of them has something else than results of this input. */
export async function assertWritable(api: BatchApi, input: string, { output, errors }: OutputFiles): Promise<void> {
  await access(dirname(output), constants.W_OK).catch((error: unknown) => {
    throw new OperatorError([`${output}: cannot be written (${messageOf(error)}); choose another file with --output`]);
  });
  for (const path of [output, errors]) {
    const fault = await faultOf(api, input, path);
    if (fault !== null) throw new OperatorError([`${path} ${fault}: delete or rename it, or choose another file with --output`]);
  }
}

/** Why a file must not be replaced; null: it may be. */
async function faultOf(api: BatchApi, input: string, path: string): Promise<string | null> {
  if (resolve(path) === resolve(input)) return 'is the input';
  const info = await stat(path).catch(() => null);
  if (info === null || (info.isFile() && info.size === 0)) return null;
  if (!info.isFile()) return info.isDirectory() ? 'is a folder' : null;
  const batch = HEAD.exec(await headOf(path))?.[1];
  if (batch === undefined) return 'exists and has no results of a batch';
  // Unknown: it has expired, or belongs to another store.
  const found = await api.get(`batch_${batch}`).catch(() => null);
  if (found === null || found.metadata?.['file'] === basename(input)) return null;
  return `has the results of ${found.metadata?.['file'] ?? found.id}`;
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
