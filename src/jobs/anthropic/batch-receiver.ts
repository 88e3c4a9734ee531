/** Receives the requests of a message batch: each is saved as it arrives, and the batch appears once all are saved. */
import { createHash } from 'node:crypto';
import { BreakwaterError } from '../../core/errors.ts';
import type { Job, NewItem, NewJob } from '../../store/jobs/job-store.ts';
import type { JobHost } from '../host.ts';
import type { Registration } from '../registration.ts';
import { asStoreError } from '../store-error.ts';
import { unavailableModels } from '../unavailable-models.ts';
import { readBatchRequest } from './batch-request.ts';

const REQUESTS_MAX = 100_000;
const MODELS_MAX = 200;
/** Items saved in one call, and the size of their bodies in bytes. */
const GROUP_MAX = 500;
const GROUP_BYTES_MAX = 1024 * 1024;

export class BatchReceiver {
  readonly #host: JobHost;
  readonly #registration: Registration;
  readonly #job: NewJob;
  readonly #runner: number;
  readonly #onEnd: () => void;
  readonly #ids = new Map<string, number>(); // at most REQUESTS_MAX
  readonly #models = new Set<string>();
  /** Of the requests, to compare a repeat with them. */
  readonly #hash = createHash('sha256');
  #count = 0;
  #group: NewItem[] = [];
  #groupBytes = 0;

  constructor(host: JobHost, registration: Registration, job: NewJob, runner: number, onEnd: () => void) {
    this.#host = host;
    this.#registration = registration;
    this.#job = job;
    this.#runner = runner;
    this.#onEnd = onEnd;
  }

  /** Adds one request, as its bytes in the body. Throws `invalid_request`, `store_unavailable`. */
  async add(bytes: Uint8Array): Promise<void> {
    const n = this.#count++;
    if (n === REQUESTS_MAX) throw bad(`requests: a batch may hold ${REQUESTS_MAX} requests`);
    this.#hash.update(bytes);
    const read = await readBatchRequest(this.#job, bytes, this.#host.slices);
    if ('fault' in read) throw bad(`requests.${n}${read.fault}`);
    const { customId, model, body } = read;
    const before = this.#ids.get(customId);
    if (before !== undefined) throw bad(`requests.${n}.custom_id: ${customId} is also the custom_id of requests.${before}`);
    this.#ids.set(customId, n);
    this.#models.add(model);
    if (this.#models.size > MODELS_MAX) throw bad(`requests.${n}.params.model: a batch may name ${MODELS_MAX} models`);
    this.#group.push({ n, customId, model, body });
    this.#groupBytes += body.byteLength;
    if (this.#group.length >= GROUP_MAX || this.#groupBytes >= GROUP_BYTES_MAX) await this.#save();
  }

  /** Starts the batch. */
  async finish(): Promise<Job> {
    if (this.#count === 0) throw bad('requests: at least one request is required');
    await this.#save();
    const unavailable = await unavailableModels(this.#host, this.#job.client, this.#models);
    const data = { in_progress_at: this.#host.clock.epochMs(), asked: this.#hash.digest('hex'), unavailable };
    const change = { state: 'in_progress', data } as const;
    const job = await asStoreError(this.#host.store.changeJob(this.#job.id, ['receiving'], change));
    if (job === null) throw lost();
    this.#end();
    return job;
  }

  /** Deletes what was received. */
  async abandon(): Promise<void> {
    // If the deletion fails, it is repeated once this process has ended.
    await this.#host.store.deleteJob(this.#job.client, this.#job.id, ['receiving']).catch(() => {});
    this.#end();
  }

  #end(): void {
    this.#registration.release(this.#job.id);
    this.#onEnd();
  }

  async #save(): Promise<void> {
    const group = this.#group.splice(0);
    this.#groupBytes = 0;
    if (group.length === 0) return;
    const { store, settings } = this.#host;
    if (!(await asStoreError(store.addItems(this.#job.id, this.#runner, group, settings())))) throw lost();
  }
}

/** Another process considered this one dead, and deleted what it had received. */
function lost(): BreakwaterError {
  return new BreakwaterError('store_unavailable', 'the upload of the batch was aborted: the store was unreachable for too long');
}

function bad(message: string): BreakwaterError {
  return new BreakwaterError('invalid_request', message);
}
