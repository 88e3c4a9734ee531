/** OpenAI's batches: creation, reading, cancelling, and the batch object. */
import { hash } from 'node:crypto';
import { BreakwaterError } from '../../core/errors.ts';
import { isRecord } from '../../core/json.ts';
import type { SchedulingClass } from '../../core/request.ts';
import type { Job, ListQuery, Page } from '../../store/jobs/job-store.ts';
import { EXPIRY_RULE, expirySeconds } from '../expiry.ts';
import type { Files } from '../files.ts';
import type { JobHost } from '../host.ts';
import { createId, keyedId } from '../ids.ts';
import { requestKindOf } from '../kinds.ts';
import { extensionsOf } from '../job-extensions.ts';
import { asStoreError, tooManyJobs } from '../store-error.ts';
import { WINDOW_RULE, windowMs } from '../window.ts';

export const OPENAI_BATCH = 'openai-batch';

const METADATA_MAX = 16;
/** Digits of a sum of costs. */
const COST_DIGITS = 12;

export class OpenaiBatches {
  readonly #host: JobHost;
  readonly #files: Files;
  readonly #onChange: () => void;

  constructor(host: JobHost, files: Files, onChange: () => void) {
    this.#host = host;
    this.#files = files;
    this.#onChange = onChange;
  }

  /** With a key, a repeated request returns the same batch. Throws `invalid_request`, `not_found`, `idempotency_conflict`. */
  async create(client: string, body: unknown, priority: SchedulingClass, idempotencyKey: string | null = null): Promise<object> {
    const asked = idempotencyKey === null ? null : hash('sha256', JSON.stringify(body));
    const ownId = idempotencyKey === null ? null : keyedId('batch_', client, idempotencyKey);
    const before = ownId === null ? null : await asStoreError(this.#host.store.getJob(client, ownId));
    if (before !== null) return toObject(sameAs(before, asked));
    const params = readParams(body);
    const file = await this.#files.get(client, params.inputFileId).catch((error: unknown) => {
      if (!(error instanceof BreakwaterError) || error.code !== 'not_found') throw error;
      throw new BreakwaterError('not_found', error.message, { param: 'input_file_id' });
    });
    if (file.purpose !== 'batch') throw bad(`the file ${file.id} has the purpose ${file.purpose} instead of batch`, 'input_file_id');
    const { clock, random, store, settings } = this.#host;
    const createdAtMs = Math.floor(clock.epochMs());
    for (;;) {
      const job = {
        id: ownId ?? createId(random, 'batch_'),
        kind: OPENAI_BATCH,
        client,
        dialect: params.dialect,
        path: params.path,
        priority,
        createdAtMs,
        endsAtMs: createdAtMs + params.windowMs,
        data: {
          input_file_id: file.id,
          completion_window: params.window,
          metadata: params.metadata,
          output_expires_after: params.outputExpiresAfter,
          ...(asked !== null && { asked }),
        },
      };
      const created = await asStoreError(store.createJob(job, settings())).finally(this.#onChange); // a call whose outcome is lost may have created a job
      if (created === 'too_many') throw tooManyJobs(settings());
      if (created === 'taken' && ownId !== null) return toObject(sameAs(await this.#find(client, ownId), asked));
      if (created === 'taken') continue;
      return toObject({ ...job, state: 'validating', ending: null, total: 0, succeeded: 0, failed: 0, costUsd: 0, priced: 0 });
    }
  }

  async get(client: string, id: string): Promise<object> {
    return toObject(await this.#find(client, id));
  }

  async list(query: Omit<ListQuery, 'kind'>): Promise<Page<object>> {
    const page = await asStoreError(this.#host.store.listJobs({ ...query, kind: OPENAI_BATCH }));
    if (page === null) throw noSuchBatch(query.after ?? '');
    return { entries: page.entries.map(toObject), hasMore: page.hasMore };
  }

  /** No effect on a batch that has ended or is already being cancelled. */
  async cancel(client: string, id: string): Promise<object> {
    const { store, clock, settings } = this.#host;
    const job = await this.#find(client, id);
    const nowMs = Math.floor(clock.epochMs());
    const cancelling = { state: 'cancelling', ending: 'cancelled', data: { cancelling_at: nowMs } } as const;
    const changed =
      // Nothing has run yet, so it is cancelled at once. This comes first: validation may end between the two.
      (await asStoreError(
        store.changeJob(id, ['validating'], {
          ...cancelling,
          state: 'cancelled',
          keepUntilMs: nowMs + settings().retentionMs,
          data: { cancelling_at: nowMs, cancelled_at: nowMs },
        }),
      )) ?? (await asStoreError(store.changeJob(id, ['in_progress'], cancelling)));
    if (changed === null) {
      if (job.state === 'completed' || job.state === 'failed' || job.state === 'expired')
        throw new BreakwaterError('invalid_request', `the batch ${id} is ${job.state} and cannot be cancelled`, { status: 409 });
      return toObject(await this.#find(client, id));
    }
    this.#onChange();
    return toObject(changed);
  }

  async #find(client: string, id: string): Promise<Job> {
    const job = await asStoreError(this.#host.store.getJob(client, id));
    if (job === null || job.kind !== OPENAI_BATCH) throw noSuchBatch(id);
    return job;
  }
}

/** The batch created earlier with the key. Throws if the request differs. */
function sameAs(job: Job, asked: string | null): Job {
  if (job.data['asked'] === asked) return job;
  throw new BreakwaterError('idempotency_conflict', 'this idempotency key was used for another batch', { param: 'idempotency-key' });
}

interface BatchParams {
  readonly inputFileId: string;
  readonly dialect: string;
  readonly path: string;
  readonly window: string;
  readonly windowMs: number;
  readonly metadata: Readonly<Record<string, string>> | null;
  readonly outputExpiresAfter: { readonly anchor: 'created_at'; readonly seconds: number } | null;
}

function readParams(body: unknown): BatchParams {
  if (!isRecord(body)) throw bad('the body must be a JSON object', null);
  const { input_file_id: inputFileId, endpoint, completion_window: window } = body;
  if (typeof inputFileId !== 'string') throw bad('input_file_id must be the id of an uploaded file', 'input_file_id');
  const path = typeof endpoint === 'string' && endpoint.startsWith('/v1/') ? endpoint.slice('/v1'.length) : '';
  const dialect = path === '/responses' ? 'openai-responses' : 'openai-chat';
  if (requestKindOf({ dialect, path }) === null) {
    const got = typeof endpoint === 'string' ? ` (got ${JSON.stringify(endpoint.slice(0, 100))})` : '';
    throw bad(`endpoint must be /v1/chat/completions, /v1/completions, /v1/embeddings or /v1/responses${got}`, 'endpoint');
  }
  const ms = windowMs(window);
  if (ms === null) throw bad(`completion_window must be ${WINDOW_RULE}`, 'completion_window');
  const metadata = readMetadata(body['metadata']);
  return {
    inputFileId,
    dialect,
    path,
    window: String(window),
    windowMs: ms,
    metadata,
    outputExpiresAfter: readExpiry(body['output_expires_after']),
  };
}

function readMetadata(value: unknown): BatchParams['metadata'] {
  if (value === undefined || value === null) return null;
  const entries = isRecord(value) ? Object.entries(value) : null;
  const isFine = entries?.every(([key, text]) => key.length <= 64 && typeof text === 'string' && text.length <= 512);
  if (entries === null || isFine !== true || entries.length > METADATA_MAX)
    throw bad(
      `metadata must be an object of at most ${METADATA_MAX} strings, with keys of at most 64 and values of at most 512 characters`,
      'metadata',
    );
  return Object.fromEntries(entries) as Record<string, string>;
}

function readExpiry(value: unknown): BatchParams['outputExpiresAfter'] {
  if (value === undefined || value === null) return null;
  const seconds = isRecord(value) ? expirySeconds(value['anchor'], value['seconds']) : null;
  if (seconds === null) throw bad(`output_expires_after must be ${EXPIRY_RULE}`, 'output_expires_after');
  return { anchor: 'created_at', seconds };
}

function toObject(job: Job): object {
  const { data } = job;
  const seconds = (value: unknown): number | null => (typeof value === 'number' ? Math.floor(value / 1000) : null);
  const isValidated = typeof data['in_progress_at'] === 'number';
  const errors = Array.isArray(data['errors']) ? { object: 'list', data: data['errors'] as unknown[] } : null;
  return {
    id: job.id,
    object: 'batch',
    endpoint: `/v1${job.path}`,
    model: data['model'] ?? null,
    errors,
    input_file_id: data['input_file_id'],
    completion_window: data['completion_window'],
    status: job.state,
    output_file_id: data['output_file_id'] ?? null,
    error_file_id: data['error_file_id'] ?? null,
    created_at: seconds(job.createdAtMs),
    in_progress_at: seconds(data['in_progress_at']),
    expires_at: seconds(job.endsAtMs),
    finalizing_at: seconds(data['finalizingAtMs']),
    completed_at: seconds(data['completed_at']),
    failed_at: seconds(data['failed_at']),
    expired_at: seconds(data['expired_at']),
    cancelling_at: seconds(data['cancelling_at']),
    cancelled_at: seconds(data['cancelled_at']),
    // During validation, and if it was cancelled then, some of the lines have been read.
    request_counts: isValidated
      ? { total: job.total, completed: job.succeeded, failed: job.failed }
      : { total: 0, completed: 0, failed: 0 },
    usage: data['usage'] ?? undefined,
    metadata: data['metadata'] ?? null,
    breakwater: withCosts(job),
  };
}

/** Members that OpenAI's batch object lacks; undefined: none. */
function withCosts(job: Job): object | undefined {
  const { costUsd, priced } = job;
  const extensions = extensionsOf(job);
  if (priced === 0 && costUsd === 0) return extensions;
  return { ...extensions, cost_usd: Number(costUsd.toPrecision(COST_DIGITS)), priced_requests: priced };
}

function bad(message: string, param: string | null): BreakwaterError {
  return new BreakwaterError('invalid_request', message, param === null ? {} : { param });
}

function noSuchBatch(id: string): BreakwaterError {
  return new BreakwaterError('not_found', `there is no batch ${JSON.stringify(id.slice(0, 100))}`, { param: 'batch_id' });
}
