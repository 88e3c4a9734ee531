/** The results of a run of several batches: of each request the success, else the last failure, in the order of the file. */
import { createWriteStream } from 'node:fs';
import { mkdtemp, open, rename, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { BatchApi, BatchObject } from './api.ts';
import type { Run } from './earlier.ts';
import type { OutputFiles } from './output.ts';
import { partOf } from './results.ts';
import { ResultScanner, type ScannedLine } from './result-scanner.ts';

/** Lines that are next to each other are read in pieces of about this size, in bytes. */
const READ_BYTES = 256 * 1024;

export interface MergedFiles {
  readonly files: string[];
  readonly completed: number;
}

/** Where the result of a request is. */
interface Found extends ScannedLine {
  readonly succeeded: boolean;
  readonly file: FileHandle;
}

/** The ids of the requests that have succeeded. */
export async function succeededIn(api: BatchApi, { first, retries }: Run): Promise<Set<string>> {
  const ids = new Set<string>();
  for (const { output_file_id: id } of [first, ...retries]) {
    if (id === null) continue;
    const scanner = new ResultScanner();
    for await (const bytes of Readable.fromWeb((await api.content(id)) as never))
      for (const { customId } of scanner.read(bytes as Uint8Array)) ids.add(customId);
  }
  return ids;
}

/** `ids`: of all requests, in the order of the file. The files have nothing but results of the same input. */
export async function saveMerged(
  api: BatchApi,
  { first, retries }: Run,
  ids: readonly string[],
  target: OutputFiles,
): Promise<MergedFiles> {
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-results-'));
  const handles: FileHandle[] = [];
  try {
    const results = new Map<string, Found>();
    for (const batch of [first, ...retries]) {
      for (const [id, succeeded] of filesOf(batch)) {
        const path = join(folder, String(handles.length));
        const lines = await download(api, id, path);
        const file = await open(path);
        handles.push(file);
        for (const line of lines)
          if (results.get(line.customId)?.succeeded !== true) results.set(line.customId, { ...line, succeeded, file });
      }
    }
    const found = ids.flatMap((id) => results.get(id) ?? []);
    const [good, bad] = [true, false].map((wanted) => found.filter(({ succeeded }) => succeeded === wanted));
    return { files: await replace(target, good!, bad!), completed: good!.length };
  } finally {
    for (const handle of handles) await handle.close();
    await rm(folder, { recursive: true, force: true });
  }
}

function filesOf(batch: BatchObject): (readonly [string, boolean])[] {
  const { output_file_id: output, error_file_id: errors } = batch;
  return [...(output === null ? [] : [[output, true] as const]), ...(errors === null ? [] : [[errors, false] as const])];
}

async function download(api: BatchApi, id: string, path: string): Promise<ScannedLine[]> {
  const scanner = new ResultScanner();
  const lines: ScannedLine[] = [];
  const scan = async function* (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const bytes of chunks) {
      lines.push(...scanner.read(bytes));
      yield bytes;
    }
  };
  await pipeline(Readable.fromWeb((await api.content(id)) as never), scan, createWriteStream(path, { mode: 0o600 }));
  return lines;
}

/** Both files are complete before the first one is replaced. */
async function replace({ output, errors }: OutputFiles, good: readonly Found[], bad: readonly Found[]): Promise<string[]> {
  const files = [
    [output, good],
    [errors, bad],
  ] as const;
  const parts: string[] = [];
  try {
    for (const [path, lines] of files) {
      if (lines.length === 0) continue;
      parts.push(partOf(path));
      await pipeline(contentOf(lines), createWriteStream(partOf(path)));
    }
    for (const [path, lines] of files) {
      if (lines.length === 0) await rm(path, { force: true });
      else await rename(partOf(path), path);
    }
  } catch (error) {
    for (const part of parts) await rm(part, { force: true });
    throw error;
  }
  return files.flatMap(([path, lines]) => (lines.length === 0 ? [] : [path]));
}

async function* contentOf(lines: readonly Found[]): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < lines.length;) {
    const { file, start } = lines[at]!;
    let end = start;
    // Neighbours are read at once.
    do end += lines[at++]!.length;
    while (end - start < READ_BYTES && lines[at]?.file === file && lines[at]?.start === end);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(end - start), 0, end - start, start);
    if (bytesRead < end - start) throw new Error('a temporary file with results was cut off');
    yield buffer;
  }
}
