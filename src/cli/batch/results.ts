import { Readable } from 'node:stream';
import type { BatchApi, BatchObject } from './api.ts';
import { cutAtWord } from '../../core/cut-at-word.ts';
import { textLines } from './text.ts';
import { checkTarget, type OutputFiles } from './output.ts';
import { replaceFiles, type NewFile, type ReplaceOptions } from './replace-files.ts';
import { Stop } from './stop.ts';

/** The longest message of a failure that is shown, in characters; --json has it whole. */
const MESSAGE_LENGTH_MAX = 300;

/** `same`: only results of the same batch are replaced. `any`: any regular file but the input. */
export type Replaces = 'same' | 'any';

/** Writes the results and returns the files written. Existing files are replaced once the new ones are complete. */
export async function saveResults(api: BatchApi, batch: BatchObject, target: OutputFiles, replaces: Replaces = 'same'): Promise<string[]> {
  const files = filesOf(api, batch, target).filter(({ content }) => content !== null);
  const paths = files.map(({ path }) => path);
  await checkTarget(batch, paths, replaces === 'any');
  return (await replaceFiles(files, { stop: new Stop(), isCurrent: async () => true })) ?? [];
}

/**
 * The same for files that have nothing but results of the same input: one without new results is deleted. Null, and nothing is replaced, if
 * the results are not current any more.
 */
export async function saveOwn(api: BatchApi, batch: BatchObject, target: OutputFiles, options: ReplaceOptions): Promise<string[] | null> {
  return replaceFiles(filesOf(api, batch, target), options);
}

function filesOf(api: BatchApi, batch: BatchObject, { output, errors }: OutputFiles): NewFile[] {
  const fileOf = (path: string, id: string | null): NewFile => ({
    path,
    content: id === null ? null : async () => Readable.fromWeb((await api.content(id)) as never),
  });
  return [fileOf(output, batch.output_file_id), fileOf(errors, batch.error_file_id)];
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
