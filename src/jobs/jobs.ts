/** Batches and files of one gateway: the store, the runner, and the APIs by which jobs are created. */
import { Files } from './files.ts';
import type { JobHost } from './host.ts';
import type { JobKind } from './kinds.ts';
import { OPENAI_BATCH, OpenaiBatches } from './openai/batches.ts';
import { finishBatch } from './openai/finish-batch.ts';
import { prepareBatch } from './openai/prepare-batch.ts';
import type { Identity, Job } from '../store/jobs/job-store.ts';
import { JobRunner } from './runner.ts';

export class Jobs {
  readonly files: Files;
  readonly batches: OpenaiBatches;
  readonly #runner: JobRunner;

  constructor(host: JobHost, identity: Identity) {
    this.files = new Files(host);
    const openaiBatch: JobKind = {
      prepare: (job, runner, signal) => prepareBatch(host, this.files, job, runner, signal),
      finish: (job) => finishBatch(host, job),
      expiredCode: 'batch_expired',
      cancelledCode: 'batch_cancelled',
    };
    this.#runner = new JobRunner(host, new Map([[OPENAI_BATCH, openaiBatch]]), identity);
    this.batches = new OpenaiBatches(host, this.files, () => this.#runner.wake());
  }

  /** Those that are not final; a few seconds old. */
  get open(): readonly Job[] {
    return this.#runner.open;
  }

  /** Goes on with what an earlier process has left. */
  start(): void {
    this.#runner.start();
  }

  /** Starts nothing new. Resolves when nothing runs any more. */
  stop(): Promise<void> {
    return this.#runner.stop();
  }

  close(): Promise<void> {
    return this.#runner.close();
  }
}
