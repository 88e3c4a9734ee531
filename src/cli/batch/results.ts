import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { BatchApi, BatchObject } from './api.ts';
import type { OutputFiles } from './output.ts';

/** Writes the results and returns the files written. Existing files are replaced once the new ones are complete. */
export async function saveResults(api: BatchApi, batch: BatchObject, { output, errors }: OutputFiles): Promise<string[]> {
  const written: string[] = [];
  for (const [id, path] of [
    [batch.output_file_id, output],
    [batch.error_file_id, errors],
  ] as const) {
    if (id === null) {
      await rm(path, { force: true });
      continue;
    }
    const part = `${path}.part`;
    await pipeline(Readable.fromWeb((await api.content(id)) as never), createWriteStream(part));
    await rename(part, path);
    written.push(path);
  }
  return written;
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
