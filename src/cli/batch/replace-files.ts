/** Replaces files with results, once all new ones are complete. */
import { createWriteStream } from 'node:fs';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { systemClock } from '../../gateway/system-clock.ts';
import { isProcessGone } from '../../store/machine.ts';
import type { Stop } from './stop.ts';

/** A part that was written within this time may belong to a process of another container, where its id means another one. In milliseconds. */
const STALE_MS = 60_000;

export interface NewFile {
  readonly path: string;
  /** Null: the file is deleted. */
  readonly content: (() => AsyncIterable<Uint8Array> | Promise<AsyncIterable<Uint8Array>>) | null;
}

export interface ReplaceOptions {
  readonly stop: Stop;
  /** Called when the new files are complete: whether they still have the latest results. */
  readonly isCurrent: () => Promise<boolean>;
}

/** The files written. Null, and nothing is replaced, if the results are not current any more. */
export async function replaceFiles(files: readonly NewFile[], { stop, isCurrent }: ReplaceOptions): Promise<string[] | null> {
  const parts: string[] = [];
  try {
    for (const { path, content } of files) {
      if (content === null) continue;
      await deleteStaleParts(path);
      const part = partOf(path);
      parts.push(part);
      stop.temporary.add(part);
      await pipeline(await content(), createWriteStream(part));
    }
    if (!(await isCurrent())) return null;
    for (const { path, content } of files) {
      if (content === null) await rm(path, { force: true });
      else await rename(partOf(path), path);
    }
    return files.flatMap(({ path, content }) => (content === null ? [] : [path]));
  } finally {
    for (const part of parts) {
      await rm(part, { force: true });
      stop.temporary.delete(part);
    }
  }
}

/** Where a file is written before it gets its name; another process may write the same results at the same time. */
function partOf(path: string): string {
  return `${path}.${process.pid}.part`;
}

/** Those of processes that were killed. */
async function deleteStaleParts(path: string): Promise<void> {
  const [folder, start] = [dirname(path), `${basename(path)}.`];
  for (const name of await readdir(folder).catch(() => [])) {
    const pid = name.startsWith(start) ? /^(\d+)\.part$/.exec(name.slice(start.length))?.[1] : undefined;
    if (pid === undefined || !isProcessGone(Number(pid))) continue;
    const info = await stat(join(folder, name)).catch(() => null);
    if (info?.isFile() === true && systemClock.epochMs() - info.mtimeMs >= STALE_MS) await rm(join(folder, name), { force: true });
  }
}
