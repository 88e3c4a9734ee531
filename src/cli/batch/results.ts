import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { BatchApi, BatchObject } from './api.ts';
import { OperatorError } from '../fail.ts';
import { batchIn, refuseSpecial, type OutputFiles } from './output.ts';

/**
 * Writes the results and returns the files written. Existing files are replaced once the new ones are complete. `isOwn`: the files have
 * nothing but results of the same input, so that one without new results is deleted.
 */
export async function saveResults(
  api: BatchApi,
  batch: BatchObject,
  { output, errors }: OutputFiles,
  isOwn: boolean = false,
): Promise<string[]> {
  await refuseSpecial({ output, errors });
  if (!isOwn) await assertOf(batch, { output, errors });
  const written: string[] = [];
  for (const [id, path] of [
    [batch.output_file_id, output],
    [batch.error_file_id, errors],
  ] as const) {
    if (id === null) {
      if (isOwn) await rm(path, { force: true });
      continue;
    }
    const part = `${path}.part`;
    const content = await api.content(id);
    try {
      await pipeline(Readable.fromWeb(content as never), createWriteStream(part));
      await rename(part, path);
    } catch (error) {
      await rm(part, { force: true });
      throw error;
    }
    written.push(path);
  }
  return written;
}

/** Only results of the same batch are replaced: a mistyped name may be that of the input. */
async function assertOf({ id, output_file_id, error_file_id }: BatchObject, { output, errors }: OutputFiles): Promise<void> {
  const paths = [...(output_file_id === null ? [] : [output]), ...(error_file_id === null ? [] : [errors])];
  for (const path of paths) {
    const info = await stat(path).catch(() => null);
    if (info === null || info.size === 0 || (await batchIn(path)) === id) continue;
    throw new OperatorError([`${path} exists and has no results of ${id}: delete or rename it, or choose another file with --output`]);
  }
}

/** The first line of a file of failed requests. Null if it is unknown. */
export async function firstFailure(path: string): Promise<{ readonly customId: string; readonly message: string } | null> {
  try {
    for await (const line of createInterface({ input: createReadStream(path) })) {
      const { custom_id: customId, error } = JSON.parse(line) as { custom_id: string; error: { message: string } };
      return { customId, message: error.message };
    }
  } catch {
    // Only a hint.
  }
  return null;
}

/** Prints both files to stdout. */
export async function printResults(api: BatchApi, batch: BatchObject): Promise<void> {
  for (const id of [batch.output_file_id, batch.error_file_id]) {
    if (id === null) continue;
    for await (const piece of Readable.fromWeb((await api.content(id)) as never)) {
      if (!process.stdout.write(piece as Uint8Array)) await new Promise((resolve) => process.stdout.once('drain', resolve));
    }
  }
}
