/** Uploaded files and result files. Every operation is limited to the files of one client. */
import { BreakwaterError } from '../core/errors.ts';
import type { FileDetails, ListQuery, Page, StoredFile } from '../store/jobs/job-store.ts';
import type { JobHost } from './host.ts';
import { createId } from './ids.ts';
import { resultLine } from './openai/result-line.ts';
import { resultPages } from './results.ts';
import { asStoreError, storeErrors } from './store-error.ts';

/** The size of one write or read, in bytes. */
export const PIECE_BYTES = 256 * 1024;
/** The longest that an upload may take, in milliseconds; it is dropped after that. */
const UPLOAD_MAX_MS = 3_600_000;

/** A file that is being received. */
export interface Upload {
  readonly id: string;
  readonly createdAtMs: number;
  /** Resolves once the bytes are on disk. */
  write(bytes: Uint8Array): Promise<void>;
  finish(details: Omit<FileDetails, 'bytes'>): Promise<StoredFile>;
  abandon(): Promise<void>;
}

export class Files {
  readonly #host: JobHost;
  readonly #onFreed: () => void;

  /** `onFreed` is called after a deletion, so that the space is reclaimed. */
  constructor(host: JobHost, onFreed: () => void) {
    this.#host = host;
    this.#onFreed = onFreed;
  }

  async begin(client: string): Promise<Upload> {
    const { clock, random, store, settings } = this.#host;
    const createdAtMs = Math.floor(clock.epochMs());
    for (;;) {
      const file = { id: createId(random, 'file-'), client, createdAtMs, expiresAtMs: createdAtMs + UPLOAD_MAX_MS };
      if (await asStoreError(store.createFile(file, settings())))
        return new RunningUpload(this.#host, file.id, client, createdAtMs, this.#onFreed);
    }
  }

  async get(client: string, id: string): Promise<StoredFile> {
    const found = await asStoreError(this.#host.store.getFile(client, id));
    if (found === null || found.expiresAtMs <= this.#host.clock.epochMs()) throw noSuchFile(id);
    return found;
  }

  async list(query: ListQuery): Promise<Page<StoredFile>> {
    const page = await asStoreError(this.#host.store.listFiles({ ...query, nowMs: this.#host.clock.epochMs() }));
    if (page === null) throw noSuchFile(query.after ?? query.before ?? '');
    return page;
  }

  async delete(client: string, id: string): Promise<void> {
    if (!(await asStoreError(this.#host.store.deleteFile(client, id)))) throw noSuchFile(id);
    this.#onFreed();
  }

  /** Its content in chunks. Ends early if the file is deleted meanwhile. */
  async *read(file: StoredFile): AsyncGenerator<Uint8Array> {
    const { store } = this.#host;
    if (file.results !== null) {
      yield* this.#readResults(file.results.job, file.results.succeeded);
      return;
    }
    for (let index = 0; ; index++) {
      const piece = await asStoreError(store.readFile(file.id, index));
      if (piece === null) return;
      yield piece;
    }
  }

  async *#readResults(job: string, succeeded: boolean): AsyncGenerator<Uint8Array> {
    for await (const items of storeErrors(resultPages(this.#host.store, job, succeeded)))
      yield Buffer.concat(items.map((item) => resultLine(job, item)));
  }
}

class RunningUpload implements Upload {
  readonly id: string;
  readonly createdAtMs: number;
  readonly #host: JobHost;
  readonly #client: string;
  readonly #onFreed: () => void;
  #pieces = 0;
  #bytes = 0;

  constructor(host: JobHost, id: string, client: string, createdAtMs: number, onFreed: () => void) {
    this.#host = host;
    this.id = id;
    this.#client = client;
    this.#onFreed = onFreed;
    this.createdAtMs = createdAtMs;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const { store, settings } = this.#host;
    const written = await asStoreError(store.appendFile(this.id, this.#pieces++, bytes, settings()));
    if (!written) throw tooSlow();
    this.#bytes += bytes.byteLength;
  }

  async finish(details: Omit<FileDetails, 'bytes'>): Promise<StoredFile> {
    const isFinished = await asStoreError(this.#host.store.finishFile(this.id, { ...details, bytes: this.#bytes }));
    if (!isFinished) throw tooSlow();
    const { id, createdAtMs } = this;
    return { id, createdAtMs, client: this.#client, ...details, bytes: this.#bytes, results: null };
  }

  async abandon(): Promise<void> {
    await this.#host.store.abandonFile(this.id).catch(() => {}); // it expires anyway
    this.#onFreed();
  }
}

/** The file has expired while it was received. */
function tooSlow(): BreakwaterError {
  return new BreakwaterError('invalid_request', 'the upload took too long', { status: 408 });
}

function noSuchFile(id: string): BreakwaterError {
  return new BreakwaterError('not_found', `there is no file ${JSON.stringify(id.slice(0, 100))}`, { param: 'id' });
}
