/** Batches and files of one gateway: the store, the runner, and the APIs by which jobs are created. */
import { ANTHROPIC_BATCH, MessageBatches } from './anthropic/message-batches.ts';
import { Files } from './files.ts';
import type { JobHost } from './host.ts';
import type { JobKind } from './kinds.ts';
import { OPENAI_BATCH, OpenaiBatches } from './openai/batches.ts';
import { finishBatch } from './openai/finish-batch.ts';
import { prepareBatch } from './openai/prepare-batch.ts';
import type { Identity, Job } from '../store/jobs/job-store.ts';
import { Registration } from './registration.ts';
import { BACKGROUND_RESPONSE, BackgroundResponses } from './responses/background.ts';
import { JobRunner } from './runner.ts';

export class Jobs {
  readonly files: Files;
  readonly batches: OpenaiBatches;
  readonly messageBatches: MessageBatches;
  readonly responses: BackgroundResponses;
  readonly #runner: JobRunner;

  constructor(host: JobHost, identity: Identity) {
    const wake = (): void => this.#runner.wake();
    const registration = new Registration(host, identity);
    this.files = new Files(host, wake);
    const openaiBatch: JobKind = {
      prepare: (job, runner, signal) => prepareBatch(host, this.files, job, runner, signal),
      finish: (job) => finishBatch(host, job),
      expired: { code: 'batch_expired', message: 'the completion window of the batch ended before this request could be completed' },
      cancelled: { code: 'batch_cancelled', message: 'the batch was cancelled before this request was completed' },
    };
    this.messageBatches = new MessageBatches(host, registration, wake);
    this.responses = new BackgroundResponses(host, wake);
    const kinds = new Map([
      [OPENAI_BATCH, openaiBatch],
      [ANTHROPIC_BATCH, this.messageBatches.kind],
      [BACKGROUND_RESPONSE, this.responses.kind],
    ]);
    this.#runner = new JobRunner(host, kinds, identity, registration);
    this.batches = new OpenaiBatches(host, this.files, wake);
  }

  /** Those that are not final; a few seconds old. */
  get open(): readonly Job[] {
    return this.#runner.open;
  }

  /** Goes on with what an earlier process has left. */
  start(): void {
    this.#runner.start();
  }

  /** Looks at once for jobs to run. */
  wake(): void {
    this.#runner.wake();
  }

  /** Starts nothing new. Resolves when nothing runs any more. */
  stop(): Promise<void> {
    this.responses.close();
    return this.#runner.stop();
  }

  close(): Promise<void> {
    this.responses.close();
    return this.#runner.close();
  }
}
