import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { BatchApi, BatchObject } from './api.ts';
import { cutAtWord } from '../../core/cut-at-word.ts';
import { textLines } from './text.ts';
import { checkTarget, type OutputFiles } from './output.ts';

/** The longest message of a failure that is shown, in characters; --json has it whole. */
const MESSAGE_LENGTH_MAX = 300;

/**
 * What may be replaced. `own`: the files have nothing but results of the same input, so that one without new results is deleted. `same`:
 * results of the same batch. `any`: any regular file but the input.
 */
export type Replaces = 'own' | 'same' | 'any';

/** Writes the results and returns the files written. Existing files are replaced once the new ones are complete. */
export async function saveResults(
  api: BatchApi,
  batch: BatchObject,
  { output, errors }: OutputFiles,
  replaces: Replaces = 'same',
): Promise<string[]> {
  const isOwn = replaces === 'own';
  const paths = [...(batch.output_file_id === null ? [] : [output]), ...(batch.error_file_id === null ? [] : [errors])];
  if (!isOwn) await checkTarget(batch, paths, replaces === 'any');
  const written: string[] = [];
  for (const [id, path] of [
    [batch.output_file_id, output],
    [batch.error_file_id, errors],
  ] as const) {
    if (id === null) {
      if (isOwn) await rm(path, { force: true });
      continue;
    }
    const part = partOf(path);
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

/** Where a file is written before it gets its name; another process may write the same results at the same time. */
export function partOf(path: string): string {
  return `${path}.${process.pid}.part`;
}

/** The first line of a file of failed requests. Null if it is unknown. */
export async function firstFailure(path: string): Promise<{ readonly customId: string; readonly message: string } | null> {
  try {
    for await (const { text } of textLines(path)) {
      const { custom_id: customId, error } = JSON.parse(text) as { custom_id: string; error: { message: string } };
      return { customId, message: error.message };
    }
  } catch {
    // Only a hint.
  }
  return null;
}

/** For a terminal: on one line, and not too long. */
export function shortMessage(message: string): string {
  return cutAtWord(message.replaceAll(/[\s\p{Cc}]+/gu, ' ').trim(), MESSAGE_LENGTH_MAX);
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
