import type { JobStore } from '../store/jobs/job-store.ts';

/** Deletes the remains of deleted files and jobs, to reclaim their space. */
export class Sweeper {
  readonly #store: Pick<JobStore, 'sweep'>;
  readonly #stopping: AbortSignal;
  #sweeping: Promise<void> | null = null;

  constructor(store: Pick<JobStore, 'sweep'>, stopping: AbortSignal) {
    this.#store = store;
    this.#stopping = stopping;
  }

  /** No effect while it is running. */
  sweep(): void {
    this.#sweeping ??= this.#run().finally(() => (this.#sweeping = null));
  }

  async idle(): Promise<void> {
    await this.#sweeping;
  }

  async #run(): Promise<void> {
    // A failing store is retried at the next heartbeat, which warns.
    while (!this.#stopping.aborted && (await this.#store.sweep().catch(() => false)));
  }
}
