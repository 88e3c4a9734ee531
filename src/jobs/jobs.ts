/** The batches and files of one gateway: the runner, and the APIs that create jobs. */
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
      mayBeHandedOver: true,
      prepare: (job, runner, signal) => prepareBatch(host, this.files, job, runner, signal),
      finish: (job) => finishBatch(host, job),
      expired: { code: 'batch_expired', message: 'the completion window of the batch ended before this request was completed' },
      cancelled: { code: 'batch_cancelled', message: 'the batch was cancelled before this request was completed' },
    };
    this.messageBatches = new MessageBatches(host, registration, wake);
    this.responses = new BackgroundResponses(host, wake);
    const kinds = new Map([
      [OPENAI_BATCH, openaiBatch],
      [ANTHROPIC_BATCH, this.messageBatches.kind],
      [BACKGROUND_RESPONSE, this.responses.kind],
    ]);
    this.#runner = new JobRunner(host, kinds, registration);
    this.batches = new OpenaiBatches(host, this.files, wake);
  }

  /** Jobs that are not final, as of a few seconds ago. */
  get open(): readonly Job[] {
    return this.#runner.open.all;
  }

  /** Milliseconds since the epoch; null: unknown. */
  probableEndMs(id: string): number | null {
    return this.#runner.open.probableEndMs(id);
  }

  /** Continues the jobs of earlier processes. */
  start(): void {
    this.#runner.start();
  }

  /** Instead of `start`, before anything is changed: ends this job if it is cancelled, and runs no others. */
  endOnly(id: string): void {
    this.#runner.endOnly(id);
  }

  /** Looks for jobs to run now. */
  wake(): void {
    this.#runner.wake();
  }

  /** The configuration has changed. */
  configChanged(): void {
    this.#runner.configChanged();
  }

  /** Starts nothing new. Resolves once nothing is running. */
  stop(): Promise<void> {
    this.responses.close();
    return this.#runner.stop();
  }

  close(): Promise<void> {
    this.responses.close();
    return this.#runner.close();
  }
}
