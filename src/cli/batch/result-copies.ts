/** Result files of ended batches, which no longer change: each is downloaded once, into one temporary file. */
import { open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { BatchApi } from './api.ts';
import { ResultScanner, type ScannedLine } from './result-scanner.ts';
import { temporaryFolder } from './temporary-folder.ts';

export class ResultCopies {
  readonly #api: BatchApi;
  readonly #lines = new Map<string, readonly ScannedLine[]>();
  #copy: { readonly file: FileHandle; readonly folder: string } | null = null;
  /** Of complete files, in bytes. */
  #size = 0;

  constructor(api: BatchApi) {
    this.#api = api;
  }

  /** The lines of a result file, with their places in the copy. One file at a time. */
  async linesOf(fileId: string): Promise<readonly ScannedLine[]> {
    const known = this.#lines.get(fileId);
    if (known !== undefined) return known;
    const file = await this.#file();
    const start = this.#size;
    const scanner = new ResultScanner();
    const lines: ScannedLine[] = [];
    let end = start;
    for await (const chunk of Readable.fromWeb((await this.#api.content(fileId)) as never) as AsyncIterable<Uint8Array>) {
      for (const line of scanner.read(chunk)) lines.push({ ...line, start: start + line.start });
      await writeAt(file, chunk, end);
      end += chunk.byteLength;
    }
    this.#size = end;
    this.#lines.set(fileId, lines);
    return lines;
  }

  async read(start: number, length: number): Promise<Uint8Array> {
    const { buffer, bytesRead } = await (await this.#file()).read(Buffer.alloc(length), 0, length, start);
    if (bytesRead < length) throw new Error('a temporary file with results was cut off');
    return buffer;
  }

  async close(): Promise<void> {
    const copy = this.#copy;
    if (copy === null) return;
    this.#copy = null;
    this.#size = 0;
    this.#lines.clear();
    await copy.file.close();
    await rm(copy.folder, { recursive: true, force: true }).catch(() => {});
  }

  /** Its name is deleted at once, so that nothing stays behind when the process ends in any way. Where the system refuses that, `close` does it. */
  async #file(): Promise<FileHandle> {
    if (this.#copy !== null) return this.#copy.file;
    const folder = temporaryFolder('breakwater-results-');
    try {
      this.#copy = { file: await open(join(folder, 'results'), 'wx+', 0o600), folder };
      return this.#copy.file;
    } finally {
      await rm(folder, { recursive: true, force: true }).catch(() => {});
    }
  }
}

async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.byteLength;) at += (await file.write(bytes, at, bytes.byteLength - at, position + at)).bytesWritten;
}
