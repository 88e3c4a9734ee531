/** The results of a run of several batches: of each request the success, else the last failure, in the order of the file. */
import type { BatchObject } from './api.ts';
import type { Run } from './earlier.ts';
import type { OutputFiles } from './output.ts';
import { replaceFiles, type NewFile, type ReplaceOptions } from './replace-files.ts';
import type { ResultCopies } from './result-copies.ts';
import type { ScannedLine } from './result-scanner.ts';

/** Lines that are next to each other are read in pieces of about this size, in bytes. */
const READ_BYTES = 256 * 1024;

export interface MergedFiles {
  readonly files: string[];
  readonly completed: number;
}

/** Where the result of a request is. */
interface Found extends ScannedLine {
  readonly succeeded: boolean;
}

/** The ids of the requests that have succeeded. */
export async function succeededIn(copies: ResultCopies, { first, retries }: Run): Promise<Set<string>> {
  const ids = new Set<string>();
  for (const { output_file_id: id } of [first, ...retries])
    if (id !== null) for (const { customId } of await copies.linesOf(id)) ids.add(customId);
  return ids;
}

/**
 * `ids`: of all requests, in the order of the file. The files have nothing but results of the same input. Null, and nothing is replaced, if
 * the results are not current any more.
 */
export async function saveMerged(
  copies: ResultCopies,
  { first, retries }: Run,
  ids: readonly string[],
  { output, errors }: OutputFiles,
  options: ReplaceOptions,
): Promise<MergedFiles | null> {
  const results = new Map<string, Found>();
  for (const batch of [first, ...retries]) {
    for (const [id, succeeded] of filesOf(batch)) {
      for (const line of await copies.linesOf(id))
        if (results.get(line.customId)?.succeeded !== true) results.set(line.customId, { ...line, succeeded });
    }
  }
  const found = ids.flatMap((id) => results.get(id) ?? []);
  const [good, bad] = [true, false].map((wanted) => found.filter(({ succeeded }) => succeeded === wanted));
  const fileOf = (path: string, lines: readonly Found[]): NewFile => ({
    path,
    content: lines.length === 0 ? null : () => contentOf(copies, lines),
  });
  const files = await replaceFiles([fileOf(output, good!), fileOf(errors, bad!)], options);
  return files === null ? null : { files, completed: good!.length };
}

function filesOf(batch: BatchObject): (readonly [string, boolean])[] {
  const { output_file_id: output, error_file_id: errors } = batch;
  return [...(output === null ? [] : [[output, true] as const]), ...(errors === null ? [] : [[errors, false] as const])];
}

async function* contentOf(copies: ResultCopies, lines: readonly Found[]): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < lines.length;) {
    const { start } = lines[at]!;
    let end = start;
    // Neighbours are read at once.
    do end += lines[at++]!.length;
    while (end - start < READ_BYTES && lines[at]?.start === end);
    yield await copies.read(start, end - start);
  }
}
