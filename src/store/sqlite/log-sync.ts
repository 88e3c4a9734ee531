/**
 * Makes commits safe from a power cut, beside the database's own thread. In a write-ahead log a commit is durable once the log is synced; SQLite
 * can do that itself (`synchronous = FULL`), but holds its only writer's lock meanwhile, and all who wait for a quick commit wait for the disk.
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

  /** Resolves when all that was committed before the call is on disk. Calls meanwhile share the next sync. */
  sync(): Promise<void> {
    if (this.#running === null) return this.#start();
    this.#next ??= this.#running.catch(() => {}).then(() => {
      this.#next = null;
      return this.#start();
    }); // prettier-ignore
    return this.#next;
  }

  /** The log may be another file after this. */
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
