/** Files, jobs and items in Redis or Valkey, which all instances of a fleet work on. Each change is one atomic script. */
import type { Clock } from '../../../core/clock.ts';
import { StoreFailure } from '../../backend.ts';
import { fullStore } from '../../jobs/full-store.ts';
import {
  costOf,
  FINAL_STATES,
  type Beat,
  type EventGroup,
  type EventPage,
  type FileDetails,
  type HandoverEnd,
  type Identity,
  type ItemError,
  type ItemKey,
  type ItemResult,
  type Job,
  type JobChange,
  type JobLimits,
  type JobStart,
  type JobState,
  type JobStore,
  type Lease,
  type LeasedItem,
  type LeaseQuery,
  type ListQuery,
  type NewFile,
  type NewItem,
  type NewJob,
  type OpenJob,
  type Page,
  type Requeue,
  type ResultFile,
  type StoredFile,
} from '../../jobs/job-store.ts';
import type { RedisAddress } from '../address.ts';
import type { RedisArgument } from '../redis-client.ts';
import { JobLink } from './job-link.ts';
import { listRecords } from './list-records.ts';
import { dataFields, jobFields, toDoneItems, toFields, toFile, toJob, toLeasedItems, toOpenJob, type Reply } from './records.ts';

export interface RedisJobsOptions {
  readonly address: RedisAddress;
  readonly clock: Clock;
  /** True if no process has this id on this machine. */
  readonly isProcessGone: (pid: number) => boolean;
  /** Heartbeats are timed by the server's clock; false: by the `nowMs` of each call. */
  readonly usesServerTime?: boolean;
}

export function createRedisJobs(options: RedisJobsOptions): JobStore {
  return new RedisJobs(options);
}

type Other = readonly [Buffer, Buffer, Buffer, Buffer, Buffer, number];
type Look = readonly [garbage: number, open: readonly Reply[]];

class RedisJobs implements JobStore {
  readonly #link: JobLink;
  readonly #isProcessGone: RedisJobsOptions['isProcessGone'];
  readonly #usesServerTime: boolean;
  /** There may be something to sweep up. */
  #hasGarbage = true;

  constructor({ address, clock, isProcessGone, usesServerTime = true }: RedisJobsOptions) {
    this.#link = new JobLink(address, clock);
    this.#isProcessGone = isProcessGone;
    this.#usesServerTime = usesServerTime;
  }

  async createFile({ id, client, createdAtMs, expiresAtMs }: NewFile, limits: JobLimits): Promise<boolean> {
    return (await this.#grow(limits, 'createFile', [id, client, createdAtMs, expiresAtMs])) === 'created';
  }

  async appendFile(id: string, index: number, bytes: Uint8Array, limits: JobLimits): Promise<boolean> {
    return (await this.#grow(limits, 'appendFile', [id, index, toBuffer(bytes)])) === 'written';
  }

  async finishFile(id: string, { purpose, filename, bytes, expiresAtMs }: FileDetails): Promise<boolean> {
    return (await this.#link.run('finishFile', id, purpose, filename, bytes, expiresAtMs)) === 1;
  }

  async abandonFile(id: string): Promise<void> {
    this.#hasGarbage = true;
    await this.#link.run('abandonFile', id);
  }

  async getFile(client: string, id: string): Promise<StoredFile | null> {
    const fields = toFields(await this.#link.record('file', id));
    return fields?.get('client') === client && fields.get('complete') === '1' ? toFile(id, fields) : null;
  }

  listFiles(query: ListQuery): Promise<Page<StoredFile> | null> {
    const nowMs = query.nowMs ?? -Infinity;
    const isShown = (file: StoredFile): boolean => file.expiresAtMs > nowMs && (query.kind === undefined || file.purpose === query.kind);
    return listRecords({ link: this.#link, kind: 'file', toEntry: toFile, isShown }, query);
  }

  async deleteFile(client: string, id: string): Promise<boolean> {
    this.#hasGarbage = true;
    return (await this.#link.run('deleteFile', client, id)) === 1;
  }

  async readFile(id: string, index: number): Promise<Uint8Array | null> {
    return (await this.#link.run('readFile', id, index)) as Buffer | null;
  }

  async createJob(job: NewJob, limits: JobLimits, start?: JobStart): Promise<'created' | 'taken' | 'too_many'> {
    const { openJobsMax, clientOpenJobsMax = openJobsMax } = limits;
    const runner = start !== undefined && 'receivedBy' in start ? start.receivedBy : '';
    const items = start === undefined || 'receivedBy' in start ? [] : start;
    const state: JobState = start === undefined ? 'validating' : runner === '' ? 'in_progress' : 'receiving';
    const fields = jobFields(job, state);
    const rest = [openJobsMax, clientOpenJobsMax, runner, fields.length / 2, items.length, ...fields, ...itemArguments(items)];
    return (await this.#grow(limits, 'createJob', [job.id, job.client], rest)) as 'created' | 'taken' | 'too_many';
  }

  async getJob(client: string, id: string): Promise<Job | null> {
    const fields = toFields(await this.#link.record('job', id));
    return fields?.get('client') === client && fields.get('state') !== 'receiving' ? toJob(id, fields) : null;
  }

  listJobs(query: ListQuery): Promise<Page<Job> | null> {
    const isShown = (job: Job): boolean => job.state !== 'receiving' && (query.kind === undefined || job.kind === query.kind);
    return listRecords({ link: this.#link, kind: 'job', toEntry: toJob, isShown }, query);
  }

  async changeJob(
    id: string,
    from: readonly JobState[],
    { state, ending, data, keepUntilMs, files = [], ...rest }: JobChange & { readonly heldBy?: number },
  ): Promise<Job | null> {
    const fields = dataFields(data ?? {});
    const isFinal = state !== undefined && FINAL_STATES.includes(state);
    const changes = [state ?? '', ending === undefined ? '' : (ending ?? 'none'), keepUntilMs ?? '', isFinal ? 1 : 0, rest.heldBy ?? ''];
    const lengths = [fields.length / 2, files.length];
    const reply = await this.#link.run('changeJob', id, from.join(' '), ...changes, ...lengths, ...fields, ...files.flatMap(fileArguments));
    const changed = toFields(reply);
    return changed === null ? null : toJob(id, changed);
  }

  async deleteJob(client: string, id: string, from: readonly JobState[]): Promise<boolean> {
    this.#hasGarbage = true;
    return (await this.#link.run('deleteJob', client, id, from.join(' '))) === 1;
  }

  async claimJob(id: string, runner: number): Promise<boolean> {
    return (await this.#link.run('claimJob', id, runner)) === 1;
  }

  async clearItems(job: string, runner: number): Promise<number> {
    return Number(await this.#link.run('clearItems', job, runner));
  }

  async addItems(job: string, runner: number, items: readonly NewItem[], limits: JobLimits): Promise<boolean> {
    return (await this.#grow(limits, 'addItems', [job, runner], [items.length, ...itemArguments(items)])) === 'added';
  }

  async endQueued(job: string, { code, message }: ItemError, model?: string): Promise<number> {
    return Number(await this.#link.run('endQueued', job, code, message, ...(model === undefined ? [] : [model])));
  }

  async readResults(job: string, succeeded: boolean | null, after: number, bytesMax: number): ReturnType<JobStore['readResults']> {
    const wanted = succeeded === null ? '' : succeeded ? 1 : 0;
    return toDoneItems((await this.#link.run('readResults', job, wanted, after, bytesMax)) as Reply[]);
  }

  async register({ machine, pid, startedAtMs }: Identity, nowMs: number): Promise<number> {
    return Number(String(await this.#link.run('register', machine, pid, startedAtMs, this.#signedAt(nowMs))));
  }

  async beat({ runner, nowMs, silenceMaxMs, machine, pid, startedAtMs }: Beat): Promise<readonly OpenJob[]> {
    const signed = this.#signedAt(nowMs);
    const reply = await this.#link.run('beat', runner, machine, pid, startedAtMs, signed, silenceMaxMs, Math.floor(nowMs));
    const [others, seenNow] = reply as readonly [readonly Other[], Look];
    let hasReleased = false;
    for (const other of others) {
      const [name, where, process, begun, seen] = other.slice(0, 5).map(String) as [string, string, string, string, string];
      const isSame = Number(process) === pid;
      const isGone = where === machine && (isSame ? Number(begun) !== startedAtMs : this.#isProcessGone(Number(process)));
      if (!isGone && other[5] !== 1) continue;
      hasReleased = true;
      await this.#release(name, seen, nowMs);
    }
    const [garbage, open] = hasReleased ? ((await this.#link.run('look', Math.floor(nowMs))) as Look) : seenNow;
    this.#hasGarbage = garbage === 1;
    return open.map(toOpenJob);
  }

  async lease({ runner, job, model, countMax, bytesMax, nowMs, known }: LeaseQuery): Promise<Lease> {
    const has = known === undefined ? '' : JSON.stringify(known);
    const reply = await this.#link.run('lease', runner, job, model, countMax, bytesMax, Math.floor(nowMs), has);
    const [hasMore, nextAt, ...values] = reply as readonly Reply[];
    const next = String(nextAt);
    return { items: toLeasedItems(job, values), nextAtMs: next === '' ? null : Number(next), hasMore: hasMore === 1 };
  }

  async sweep(): Promise<boolean> {
    if (!this.#hasGarbage) return false;
    this.#hasGarbage = (await this.#link.run('sweep')) === 1;
    return this.#hasGarbage;
  }

  async markSent({ job, n, lease }: ItemKey): Promise<boolean> {
    return (await this.#link.run('markSent', job, n, lease)) === 1;
  }

  async completeItem({ job, n, lease }: ItemKey, { succeeded, status, facts, error, body }: ItemResult): Promise<'done' | 'last' | 'lost'> {
    const result = [
      succeeded ? 1 : 0,
      status ?? '',
      JSON.stringify(facts),
      error === null ? '' : JSON.stringify(error),
      costOf({ facts }) ?? '',
    ];
    const bytes = body === null ? [0, ''] : [1, toBuffer(body)];
    const reply = await this.#link.run('completeItem', job, n, lease, ...result, ...bytes);
    return reply === 0 ? 'lost' : reply === 2 ? 'last' : 'done';
  }

  async requeueItem({ job, n, lease }: ItemKey, { notBeforeMs, round, strike, wasCut, note, costUsd }: Requeue): Promise<boolean> {
    const change = [Math.ceil(notBeforeMs), round ? 1 : 0, strike ? 1 : 0, wasCut === true ? 1 : 0, note, costUsd ?? ''];
    return (await this.#link.run('requeueItem', job, n, lease, ...change)) === 1;
  }

  /** The numbers of those that the provider's batch holds from now on. */
  async handOver(keys: readonly ItemKey[], batch: string): Promise<readonly number[]> {
    const numbers: number[] = [];
    for (const job of new Set(keys.map((key) => key.job))) {
      const given = keys.filter((key) => key.job === job).flatMap(({ n, lease }) => [n, lease]);
      numbers.push(...((await this.#link.run('handOver', job, batch, ...given)) as readonly number[]).map(Number));
    }
    return numbers;
  }

  /** Leases an item that a provider's batch holds; null: it does not. */
  async takeBack(query: {
    readonly job: string;
    readonly n: number;
    readonly batch: string;
    readonly runner: number;
  }): Promise<LeasedItem | null> {
    const { job, n, batch, runner } = query;
    const values = (await this.#link.run('takeBack', job, n, batch, runner)) as readonly Reply[];
    return toLeasedItems(job, values)[0] ?? null;
  }

  /** Queues some of the items that a provider's batch holds. How many; 0: it holds none. */
  async endHandover({ job, batch, repeated, round, note }: HandoverEnd): Promise<number> {
    return Number(await this.#link.run('endHandover', job, batch, repeated ? 1 : 0, round ? 1 : 0, note));
  }

  async restartEvents({ job, n, lease }: ItemKey): Promise<number | null> {
    return (await this.#link.run('restartEvents', job, n, lease)) as number | null;
  }

  async appendEvents({ job, n, lease }: ItemKey, { first, count, bytes }: EventGroup): Promise<boolean> {
    return (await this.#link.run('appendEvents', job, n, lease, first, count, toBuffer(bytes))) === 1;
  }

  async readEvents(job: string, after: number, bytesMax: number): Promise<EventPage> {
    const [end, ...values] = (await this.#link.run('readEvents', job, after, bytesMax)) as readonly Reply[];
    const groups: EventGroup[] = [];
    for (let i = 0; i + 2 < values.length; i += 3)
      groups.push({ first: Number(values[i]), count: Number(values[i + 1]), bytes: values[i + 2] as Buffer });
    return { groups, end: Number(end) };
  }

  unregister(runner: number, nowMs: number): Promise<void> {
    return this.#release(String(runner), '', nowMs);
  }

  close(): Promise<void> {
    return this.#link.close();
  }

  /** A call that needs room: two limits follow `args`, then `rest`. What it says of the outcome. */
  async #grow(limits: JobLimits, method: string, args: readonly RedisArgument[], rest: readonly RedisArgument[] = []): Promise<string> {
    const bytesMax = await this.#link.bytesMax(limits.bytesMax);
    const clientBytesMax = Math.min(limits.clientBytesMax ?? bytesMax, bytesMax);
    const outcome = String(await this.#link.run(method, ...args, bytesMax, clientBytesMax, ...rest));
    if (outcome === 'all') throw new StoreFailure('full', fullStore(bytesMax, false));
    if (outcome === 'client') throw new StoreFailure('full', fullStore(clientBytesMax, true));
    return outcome;
  }

  /** `seen`: its last heartbeat; empty: the runner unregisters. */
  async #release(runner: string, seen: string, nowMs: number): Promise<void> {
    while ((await this.#link.run('release', runner, seen, Math.floor(nowMs))) === 1);
  }

  #signedAt(nowMs: number): number | string {
    return this.#usesServerTime ? '' : Math.floor(nowMs);
  }
}

function itemArguments(items: readonly NewItem[]): RedisArgument[] {
  return items.flatMap(({ n, customId, model, body }) => [n, customId, model, toBuffer(body)]);
}

function fileArguments(file: ResultFile): RedisArgument[] {
  const { id, client, createdAtMs, expiresAtMs, purpose, filename, bytes, succeeded } = file;
  return [id, client, createdAtMs, expiresAtMs, purpose, filename, bytes, succeeded ? 1 : 0];
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
