/** Background responses: jobs of one item, with their states, results and streams. */
import { hash } from 'node:crypto';
import { BreakwaterError } from '../../core/errors.ts';
import type { SchedulingClass } from '../../core/request.ts';
import { FINAL_STATES, type DoneItem, type EventGroup, type Job, type OpenJob } from '../../store/jobs/job-store.ts';
import type { GatewayRequest } from '../../pipeline/request/gateway-request.ts';
import type { Fields } from '../../wire/loose-values.ts';
import type { JobHost } from '../host.ts';
import { createId, keyedId } from '../ids.ts';
import { ItemSink } from '../item-sink.ts';
import type { JobKind } from '../kinds.ts';
import { asStoreError, tooManyJobs } from '../store-error.ts';
import { unavailableModels } from '../unavailable-models.ts';
import { EventSink, FIRST_EVENTS, namedEvent } from './event-sink.ts';
import { FINAL_STATUSES, responseObject } from './response-object.ts';
import { StreamWaiters } from './stream-waiters.ts';

export const BACKGROUND_RESPONSE = 'response';

/** Distinguishes their ids from those of other responses. */
const PREFIX = 'resp_bg_';
/** The size of one read of events, in bytes. */
const EVENTS_BYTES = 256 * 1024;
/** How often a reader polls for events saved by another process, in milliseconds. */
const LOOK_MS = 500;
const BLANK_LINE = '\n\n';

export interface NewResponse {
  readonly client: string;
  readonly priority: SchedulingClass;
  /** How long it may take, in milliseconds. */
  readonly windowMs: number;
  readonly stream: boolean;
  readonly model: string;
  /** Fields of its request that the response repeats. */
  readonly echo: Fields;
  /** The body of the request, without the fields for background mode. */
  readonly body: Uint8Array;
  readonly forwardHeaders: readonly string[];
  /** Settings of its request: fallback and cache. */
  readonly settings: Pick<GatewayRequest, 'fallback' | 'cache'>;
  readonly idempotencyKey: string | null;
}

export function isBackgroundId(id: string): boolean {
  return id.startsWith(PREFIX);
}

export class BackgroundResponses {
  readonly kind: JobKind;
  readonly #host: JobHost;
  readonly #onChange: () => void;
  readonly #waiters: StreamWaiters;

  constructor(host: JobHost, onChange: () => void) {
    this.#host = host;
    this.#onChange = onChange;
    this.#waiters = new StreamWaiters(host.clock);
    this.kind = {
      prepare: async () => {}, // it is created with its item
      finish: (job) => this.#finish(job),
      expired: { code: 'deadline_exceeded', message: 'the deadline passed before the response was completed' },
      cancelled: { code: 'cancelled', message: 'the response was cancelled' },
      streams: true,
      isSingle: true,
      onSent: (job) => this.#begun(job),
      createSink: (job, item, closing) =>
        job.data['stream'] === true ? new EventSink(host, job, item, closing, () => this.#waiters.wake(job.id)) : new ItemSink(),
      extras: async ({ id, client, data }, body, hold) => {
        await this.#restore(client, id, body);
        return {
          history: await host.history.of(client, body, hold),
          forwardHeaders: data['forward'] as readonly string[],
          ...(data['settings'] as NewResponse['settings']),
        };
      },
    };
  }

  /** Throws `queue_full`, `store_unavailable`, `idempotency_conflict`. */
  async create(wish: NewResponse): Promise<Job> {
    const { clock, random, store, settings, history } = this.#host;
    const { client, idempotencyKey, model, body, stream } = wish;
    const asked = idempotencyKey === null ? null : hash('sha256', body);
    const createdAtMs = Math.floor(clock.epochMs());
    const unavailable = await unavailableModels(this.#host, client, [model]);
    for (;;) {
      const id = idempotencyKey === null ? createId(random, PREFIX) : keyedId(PREFIX, client, idempotencyKey);
      const job = {
        id,
        kind: BACKGROUND_RESPONSE,
        client,
        dialect: 'openai-responses',
        path: '/responses',
        priority: wish.priority,
        createdAtMs,
        endsAtMs: createdAtMs + wish.windowMs,
        data: { model, echo: wish.echo, stream, forward: wish.forwardHeaders, settings: wish.settings, asked, unavailable },
      };
      const item = { n: 0, customId: '', model, body };
      // A call whose outcome is lost may have created a job.
      const created = await asStoreError(store.createJob(job, settings(), [item])).finally(this.#onChange);
      if (created === 'too_many') throw tooManyJobs(settings());
      if (created === 'taken' && idempotencyKey === null) continue;
      if (created === 'taken') return this.#same(client, id, asked);
      history.begin(client, id, body);
      return { ...job, state: 'in_progress', ending: null, total: 1, succeeded: 0, failed: 0, costUsd: 0, priced: 0 };
    }
  }

  /** Its current state. */
  object(job: Job): Fields {
    return responseObject(job, null);
  }

  async get(client: string, id: string): Promise<Fields> {
    const job = await this.#find(client, id);
    return responseObject(job, await this.#result(job));
  }

  /** No effect on a response that has ended. */
  async cancel(client: string, id: string): Promise<Fields> {
    const { store, clock, settings } = this.#host;
    const job = await this.#find(client, id);
    const nowMs = Math.floor(clock.epochMs());
    if ((await this.#done(job)) === null) {
      const change = {
        state: 'cancelled',
        ending: 'cancelled',
        keepUntilMs: nowMs + settings().retentionMs,
        data: { cancelled_at: nowMs },
      } as const;
      if ((await asStoreError(store.changeJob(id, ['in_progress'], change))) !== null) {
        this.#onChange();
        this.#waiters.wake(id);
      }
    }
    return this.get(client, id);
  }

  async delete(client: string, id: string): Promise<void> {
    const job = await this.#find(client, id);
    await asStoreError(this.#host.store.deleteJob(client, id, [job.state, 'in_progress', 'finalizing', ...FINAL_STATES]));
    this.#host.history.delete(client, id);
    this.#onChange();
    this.#waiters.wake(id);
  }

  /**
   * Streams the events after number `after` (-1: from the first) as they arrive, to the end. Yields null if there is nothing new for a while.
   * Throws `not_found` and `invalid_request`, and during the stream the error that ends it.
   */
  async stream(client: string, id: string, after: number): Promise<AsyncGenerator<string | null>> {
    const job = await this.#find(client, id);
    if (job.data['stream'] !== true)
      throw new BreakwaterError('invalid_request', 'only a response that was created with stream: true can be streamed', {
        param: 'stream',
      });
    return this.#events(job, after);
  }

  /** Ends all streams. Readers can resume them elsewhere. */
  close(): void {
    this.#waiters.close();
  }

  async *#events(job: Job, after: number): AsyncGenerator<string | null> {
    const queued = { ...responseObject(job, null), status: 'queued' };
    if (after < 0) yield namedEvent({ type: 'response.created', response: queued, sequence_number: 0 });
    if (after < 1) yield namedEvent({ type: 'response.queued', response: queued, sequence_number: 1 });
    const { store } = this.#host;
    for (let last = Math.max(after, FIRST_EVENTS - 1); ;) {
      if (this.#waiters.isClosed) throw new BreakwaterError('shutting_down', 'the stream of the response can be resumed elsewhere');
      const change = this.#waiters.next(job.id, LOOK_MS);
      try {
        const current = await asStoreError(store.getJob(job.client, job.id));
        if (current === null) throw new BreakwaterError('not_found', `the response ${job.id} was deleted`);
        const done = await this.#result(current);
        // All events are saved before the item is done, so this read is complete.
        const { groups, end } = await asStoreError(store.readEvents(job.id, last, EVENTS_BYTES));
        for (const group of groups) {
          yield textAfter(group, last);
          last = group.first + group.count - 1;
        }
        if (groups.length > 0) continue;
        const object = responseObject(current, done);
        if (FINAL_STATUSES.has(object['status'])) {
          const number = Math.max(end, FIRST_EVENTS);
          if (last < number) yield namedEvent({ type: `response.${String(object['status'])}`, response: object, sequence_number: number });
          return;
        }
        if (!(await change.came)) yield null;
      } finally {
        change.end();
      }
    }
  }

  async #same(client: string, id: string, asked: string | null): Promise<Job> {
    const job = await this.#find(client, id);
    if (job.data['asked'] === asked) return job;
    throw new BreakwaterError('idempotency_conflict', 'this idempotency key was used for another request', { param: 'idempotency-key' });
  }

  async #find(client: string, id: string): Promise<Job> {
    const job = await asStoreError(this.#host.store.getJob(client, id));
    if (job === null || job.kind !== BACKGROUND_RESPONSE)
      throw new BreakwaterError('not_found', `there is no response ${JSON.stringify(id.slice(0, 200))} here`, { param: 'id' });
    return job;
  }

  /** The outcome of its item; null if it has not ended. */
  async #done({ id, succeeded, failed }: Job): Promise<DoneItem | null> {
    if (succeeded + failed === 0) return null;
    return (await asStoreError(this.#host.store.readResults(id, null, -1, 1)))[0] ?? null;
  }

  /** The same, once everything that belongs to it is saved, so that later requests can refer to it. */
  async #result(job: Job): Promise<DoneItem | null> {
    return FINAL_STATES.includes(job.state) ? this.#done(job) : null;
  }

  /** The input is saved later than the job, so that a crash may have lost it. */
  async #restore(client: string, id: string, body: Uint8Array): Promise<void> {
    const { history, store } = this.#host;
    try {
      if (!(await history.restore(client, id, body))) return;
      // The response was deleted meanwhile.
      if ((await store.getJob(client, id)) === null) history.delete(client, id);
    } catch {
      // The store fails: the request does not depend on its own input in the history.
    }
  }

  /** It stays in progress from now on, whatever the outcome of this attempt. */
  #begun(job: Job): void {
    if (typeof job.data['in_progress_at'] === 'number') return;
    const data = { in_progress_at: Math.floor(this.#host.clock.epochMs()) };
    // If it can't be saved, the next attempt saves it.
    this.#host.store.changeJob(job.id, ['in_progress'], { data }).catch(() => {});
  }

  async #finish(job: OpenJob): Promise<void> {
    const { store, clock, settings, history } = this.#host;
    const nowMs = Math.floor(clock.epochMs());
    const done = await this.#done((await store.getJob(job.client, job.id)) ?? job);
    const maker = done?.facts['target'];
    const object = responseObject(job, done);
    if (done?.succeeded === true && typeof maker === 'string') await history.end(job.client, job.id, object, maker);
    await store.changeJob(job.id, ['finalizing'], { state: job.ending ?? 'completed', keepUntilMs: nowMs + settings().retentionMs });
    this.#waiters.wake(job.id);
  }
}

/** The text of a group's events after number `last`. */
function textAfter({ first, bytes }: EventGroup, last: number): string {
  const text = Buffer.from(bytes).toString('utf8');
  let at = 0;
  for (let number = first; number <= last; number++) at = text.indexOf(BLANK_LINE, at) + BLANK_LINE.length;
  return text.slice(at);
}
