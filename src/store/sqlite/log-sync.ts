/**
 * Makes commits survive a power failure, outside of the database's thread. With a write-ahead log a commit is durable once the log is
 * synced; SQLite can do that itself (`synchronous = FULL`), but holds the write lock meanwhile, so every commit would wait for the disk.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { StoreFailure } from '../backend.ts';

export class LogSync {
  readonly #path: string;
  #file: FileHandle | null = null;
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  /** Resolves when all commits before the call are on disk. Calls during a sync share the next one. */
  sync(): Promise<void> {
    if (this.#running === null) return this.#start();
    this.#next ??= this.#running.catch(() => {}).then(() => {
      this.#next = null;
      return this.#start();
    }); // prettier-ignore
    return this.#next;
  }

  /** The file is reopened next time: SQLite may have replaced the log. */
  async close(): Promise<void> {
    await this.#running?.catch(() => {});
    const file = this.#file;
    this.#file = null;
    await file?.close();
  }

  #start(): Promise<void> {
    const running = this.#sync().finally(() => (this.#running = null));
    this.#running = running;
    return running;
  }

  async #sync(): Promise<void> {
    try {
      this.#file ??= await open(this.#path, 'r+');
      await this.#file.datasync();
    } catch (error) {
      throw new StoreFailure('io_error', `the log of the database can not be synced: ${String(error)}`, { cause: error });
    }
  }
}
