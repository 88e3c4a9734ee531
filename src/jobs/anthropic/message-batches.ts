/** Anthropic's message batches: creation, reading, cancelling, deleting, and the batch object. */
import { createHash } from 'node:crypto';
import { BreakwaterError } from '../../core/errors.ts';
import type { SchedulingClass } from '../../core/request.ts';
import { FINAL_STATES, type Job, type ListQuery, type OpenJob, type Page } from '../../store/jobs/job-store.ts';
import type { JobHost } from '../host.ts';
import { createId, keyedId } from '../ids.ts';
import type { JobKind } from '../kinds.ts';
import type { Registration } from '../registration.ts';
import { resultPages } from '../results.ts';
import { extensionsOf } from '../job-extensions.ts';
import { asStoreError, storeErrors, tooManyJobs } from '../store-error.ts';
import { BatchReceiver } from './batch-receiver.ts';
import { CANCELED, EXPIRED, messageResultLine, RESULT_TYPES, resultType, type ResultType } from './result-line.ts';

export const ANTHROPIC_BATCH = 'anthropic-batch';

/** The lifetime of a batch in Anthropic's API, in milliseconds. */
const WINDOW_MS = 86_400_000;

export interface NewMessageBatch {
  readonly client: string;
  readonly priority: SchedulingClass;
  /** Default: 24 hours, in milliseconds. */
  readonly windowMs?: number | undefined;
  /** Headers sent with every request: names alternating with values. */
  readonly forwardHeaders: readonly string[];
  /** Of the path. */
  readonly query: string;
  readonly idempotencyKey: string | null;
}

/** A batch that is being received, or the existing one of its idempotency key. */
export interface Receiving {
  add(bytes: Uint8Array): Promise<void>;
  finish(): Promise<Job>;
  abandon(): Promise<void>;
}

export class MessageBatches {
  readonly kind: JobKind;
  readonly #host: JobHost;
  readonly #registration: Registration;
  readonly #onChange: () => void;

  constructor(host: JobHost, registration: Registration, onChange: () => void) {
    this.#host = host;
    this.#registration = registration;
    this.#onChange = onChange;
    this.kind = {
      async prepare({ client, id }) {
        await host.store.deleteJob(client, id, ['receiving']);
      },
      finish: (job) => this.#finish(job),
      expired: { code: EXPIRED, message: 'the batch expired before this request was completed' },
      cancelled: { code: CANCELED, message: 'the batch was canceled before this request was completed' },
      mayBeHandedOver: true,
      extras: async ({ data }) => ({ forwardHeaders: data['forward'] as readonly string[] }),
    };
  }

  /** Throws `queue_full`, `store_unavailable`, `idempotency_conflict`. */
  async begin(wish: NewMessageBatch): Promise<Receiving> {
    const { clock, random, store, settings } = this.#host;
    const { client, priority, windowMs = WINDOW_MS, forwardHeaders, query, idempotencyKey } = wish;
    const createdAtMs = Math.floor(clock.epochMs());
    for (;;) {
      const id = idempotencyKey === null ? createId(random, 'msgbatch_') : keyedId('msgbatch_', client, idempotencyKey);
      const before = idempotencyKey === null ? null : await asStoreError(store.getJob(client, id));
      if (before !== null) return new RepeatedBatch(before);
      const job = {
        id,
        kind: ANTHROPIC_BATCH,
        client,
        dialect: 'anthropic-messages',
        path: `/messages${query}`,
        priority,
        createdAtMs,
        endsAtMs: createdAtMs + windowMs,
        data: { forward: forwardHeaders },
      };
      const isOurs = !this.#registration.receives(id);
      const runner = await asStoreError(this.#registration.receive(id));
      let created: 'created' | 'taken' | 'too_many' | null = null;
      try {
        created = await asStoreError(store.createJob(job, settings(), { receivedBy: runner }));
      } finally {
        if (created !== 'created' && isOurs) this.#registration.release(id);
        this.#onChange(); // a call whose outcome is lost may have created a job, which is then deleted
      }
      if (created === 'created') return new BatchReceiver(this.#host, this.#registration, job, runner, this.#onChange);
      if (created === 'too_many') throw tooManyJobs(settings());
      if (idempotencyKey !== null && (await asStoreError(store.getJob(client, id))) === null)
        throw new BreakwaterError('idempotency_conflict', 'a batch with this idempotency key is being received', {
          param: 'idempotency-key',
        });
    }
  }

  async get(client: string, id: string): Promise<Job> {
    const job = await asStoreError(this.#host.store.getJob(client, id));
    if (job === null || job.kind !== ANTHROPIC_BATCH)
      throw new BreakwaterError('not_found', `there is no message batch ${JSON.stringify(id.slice(0, 100))}`);
    return job;
  }

  async list(query: Omit<ListQuery, 'kind'>): Promise<Page<Job>> {
    const page = await asStoreError(this.#host.store.listJobs({ ...query, kind: ANTHROPIC_BATCH }));
    if (page !== null) return page;
    const cursor = JSON.stringify((query.after ?? query.before ?? '').slice(0, 100));
    throw new BreakwaterError('not_found', `there is no message batch ${cursor}`);
  }

  /** No effect on a batch that is already being canceled. */
  async cancel(client: string, id: string): Promise<Job> {
    const { store, clock } = this.#host;
    const data = { cancel_initiated_at: Math.floor(clock.epochMs()) };
    await this.get(client, id);
    const changed = await asStoreError(store.changeJob(id, ['in_progress'], { state: 'cancelling', ending: 'cancelled', data }));
    if (changed !== null) {
      this.#onChange();
      return changed;
    }
    const job = await this.get(client, id);
    if (FINAL_STATES.includes(job.state)) throw new BreakwaterError('invalid_request', `the batch ${id} has ended and cannot be canceled`);
    return job;
  }

  async delete(client: string, id: string): Promise<void> {
    await this.get(client, id);
    if (await asStoreError(this.#host.store.deleteJob(client, id, FINAL_STATES))) this.#onChange();
    else {
      await this.get(client, id); // or it was deleted meanwhile
      throw new BreakwaterError('invalid_request', `the batch ${id} has not ended: cancel it before deleting it`);
    }
  }

  /** The lines of the results, in chunks. Throws `invalid_request` if it has not ended. */
  async results(client: string, id: string): Promise<AsyncGenerator<Uint8Array>> {
    const job = await this.get(client, id);
    if (!FINAL_STATES.includes(job.state))
      throw new BreakwaterError('invalid_request', `the batch ${id} has not ended: its results are not available yet`);
    return this.#lines(id);
  }

  async *#lines(id: string): AsyncGenerator<Uint8Array> {
    for await (const items of storeErrors(resultPages(this.#host.store, id, null))) yield Buffer.concat(items.map(messageResultLine));
  }

  async #finish(job: OpenJob): Promise<void> {
    const { store, clock, settings } = this.#host;
    const counts = noCounts();
    for await (const items of resultPages(store, job.id, null)) for (const item of items) counts[resultType(item)]++;
    const nowMs = Math.floor(clock.epochMs());
    await store.changeJob(job.id, ['finalizing'], {
      state: job.ending ?? 'completed',
      keepUntilMs: nowMs + settings().retentionMs,
      data: { counts, ended_at: nowMs },
    });
  }
}

/** An existing batch: the requests are only compared. */
class RepeatedBatch implements Receiving {
  readonly #job: Job;
  readonly #hash = createHash('sha256');

  constructor(job: Job) {
    this.#job = job;
  }

  async add(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
  }

  async finish(): Promise<Job> {
    if (this.#hash.digest('hex') === this.#job.data['asked']) return this.#job;
    throw new BreakwaterError('idempotency_conflict', 'this idempotency key was used for another batch', { param: 'idempotency-key' });
  }

  async abandon(): Promise<void> {}
}

function noCounts(): Record<ResultType, number> {
  return Object.fromEntries(RESULT_TYPES.map((type) => [type, 0])) as Record<ResultType, number>;
}

/** `resultsUrl`: shown once the batch has ended. */
export function messageBatchObject(job: Job, resultsUrl: string): { readonly id: string } & Readonly<Record<string, unknown>> {
  const { data } = job;
  const time = (value: unknown): string | null => (typeof value === 'number' ? new Date(value).toISOString() : null);
  const hasEnded = FINAL_STATES.includes(job.state);
  const counts = hasEnded ? (data['counts'] as Record<ResultType, number>) : noCounts();
  return {
    id: job.id,
    type: 'message_batch',
    processing_status: hasEnded ? 'ended' : data['cancel_initiated_at'] === undefined ? 'in_progress' : 'canceling',
    // As in Anthropic's API, all requests count as processing until the batch has ended.
    request_counts: { processing: hasEnded ? 0 : job.total, ...counts },
    created_at: time(job.createdAtMs),
    expires_at: time(job.endsAtMs),
    ended_at: time(data['ended_at']),
    cancel_initiated_at: time(data['cancel_initiated_at']),
    archived_at: null,
    results_url: hasEnded ? resultsUrl : null,
    breakwater: extensionsOf(job),
  };
}
