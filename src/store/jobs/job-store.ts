/**
 * Work that outlives a connection, in the store: files, jobs and their items. Unlike the small state beside it, every call here resolves
 * when it is durable, and rejects with a `StoreFailure` where the store can't be used: a checkpoint that may be lost is none.
 *
 * A job is a batch of items (or one item). An item is queued, leased by a runner (it waits for a permit), sent (an upstream call may have
 * been made), handed over (to a batch of a provider's own), or done. A runner is one process; each of its leases has a number, and only the holder of the latest lease of an item can
 * change it. So a process that was frozen and comes back late can't overwrite what another one has done since.
 */

/** `receiving`: its items are still being sent by its creator; it is not shown yet. */
export const JOB_STATES = [
  'receiving',
  'validating',
  'in_progress',
  'cancelling',
  'finalizing',
  'completed',
  'failed',
  'expired',
  'cancelled',
] as const;
export type JobState = (typeof JOB_STATES)[number];

/** Nothing changes any more. */
export const FINAL_STATES: readonly JobState[] = ['completed', 'failed', 'expired', 'cancelled'];

/** JSON that belongs to the API by which the job was created. */
export type JobData = Readonly<Record<string, unknown>>;

export interface NewFile {
  readonly id: string;
  readonly client: string;
  readonly createdAtMs: number;
  /** From when on it is gone, complete or not. */
  readonly expiresAtMs: number;
}

export interface FileDetails {
  readonly purpose: string;
  readonly filename: string;
  readonly bytes: number;
  readonly expiresAtMs: number;
}

/** A file whose content is the results of a job's items: those that succeeded, or the others. */
export interface ResultFile extends NewFile, FileDetails {
  readonly job: string;
  readonly succeeded: boolean;
}

/** A complete file. */
export interface StoredFile extends NewFile, FileDetails {
  /** Its content is made from a job's results; null: it was uploaded. */
  readonly results: { readonly job: string; readonly succeeded: boolean } | null;
}

export interface ListQuery {
  readonly client: string;
  /** The purpose of a file, or the kind of a job; absent: any. */
  readonly kind?: string;
  /** Only what comes after the entry of this id. */
  readonly after?: string;
  /** Only what comes before it. */
  readonly before?: string;
  /** Files that have expired by then are left out; absent: none are. */
  readonly nowMs?: number;
  readonly limit: number;
  /** By creation. Default: the newest first. */
  readonly oldestFirst?: boolean;
}

export interface Page<T> {
  readonly entries: readonly T[];
  readonly hasMore: boolean;
}

export interface NewJob {
  readonly id: string;
  /** Which API it belongs to: `openai-batch`, `anthropic-batch`, `response`. */
  readonly kind: string;
  readonly client: string;
  /** Of the requests: their dialect, and the path below the provider's base URL. */
  readonly dialect: string;
  readonly path: string;
  /** The scheduling class of its requests. */
  readonly priority: string;
  readonly createdAtMs: number;
  /** When what is not done by then expires. */
  readonly endsAtMs: number;
  readonly data: JobData;
}

/** How a job begins: absent, it is `validating`, and its items are added by a runner. */
export type JobStart =
  /** Its items are added by the runner that receives them, and holds the job from the beginning. */
  | { readonly receivedBy: number }
  /** It is in progress at once. */
  | readonly NewItem[];

export interface Job extends NewJob {
  readonly state: JobState;
  /** What it will be once its last item is done; null: completed. */
  readonly ending: 'expired' | 'cancelled' | null;
  readonly total: number;
  readonly succeeded: number;
  readonly failed: number;
}

/** A job that is not final, for its runner. */
export interface OpenJob extends Job {
  /** The models of its items. */
  readonly models: readonly string[];
}

export interface JobChange {
  /** Only if this runner holds the job. */
  readonly heldBy?: number;
  readonly state?: JobState;
  readonly ending?: Job['ending'];
  /** Merged into the job's data. */
  readonly data?: JobData;
  /** With a final state: until when the job is kept. */
  readonly keepUntilMs?: number;
  /** Files that appear together with the change. */
  readonly files?: readonly ResultFile[];
}

export interface NewItem {
  /** Its place in the job, from 0. */
  readonly n: number;
  readonly customId: string;
  readonly model: string;
  readonly body: Uint8Array;
}

export interface LeaseQuery {
  readonly runner: number;
  readonly job: string;
  readonly model: string;
  readonly countMax: number;
  /** Bodies together, in bytes; at least one item is given whatever its size. */
  readonly bytesMax: number;
  readonly nowMs: number;
  /**
   * Where the outcome of an earlier lease was lost: the items of the job and model that the runner has. Others that were leased to it are
   * queued again first.
   */
  readonly known?: readonly number[];
}

export interface LeasedItem {
  readonly job: string;
  readonly n: number;
  readonly lease: number;
  readonly customId: string;
  readonly body: Uint8Array;
  /** Rounds that failed for good reason to blame the request itself. */
  readonly strikes: number;
  /** Rounds that ended without a result. */
  readonly rounds: number;
  /** How often it was sent again after a crash. */
  readonly repeated: number;
}

export interface Lease {
  readonly items: readonly LeasedItem[];
  /** When the next queued item of the model is due; null: none waits for a time. */
  readonly nextAtMs: number | null;
  /** More are due now than were given. */
  readonly hasMore: boolean;
}

export interface ItemKey {
  readonly job: string;
  readonly n: number;
  readonly lease: number;
}

export interface ItemError {
  readonly code: string;
  readonly message: string;
}

/** How an item ended. */
export interface ItemResult {
  readonly succeeded: boolean;
  /** Of the response; null: there was none. */
  readonly status: number | null;
  /** Facts beside the body: request id, target, usage. */
  readonly facts: JobData;
  /** One line of JSON; null: there was no response. */
  readonly body: Uint8Array | null;
  /** Null: it succeeded, or the body says what went wrong. */
  readonly error: ItemError | null;
}

export interface DoneItem extends ItemResult {
  readonly n: number;
  readonly customId: string;
  readonly repeated: number;
}

export interface Requeue {
  readonly notBeforeMs: number;
  /** It was asked and answered; false: it gave up its place before. */
  readonly round: boolean;
  /** This round counts against the request itself. */
  readonly strike: boolean;
  /** Why it has no result yet. */
  readonly note: string;
}

export interface TakeBack {
  readonly job: string;
  readonly n: number;
  readonly batch: string;
  readonly runner: number;
}

export interface HandoverEnd {
  readonly job: string;
  readonly batch: string;
  /** The provider may have processed them: each counts as sent again after a crash (`REPEATS_MAX`). */
  readonly repeated: boolean;
  /** Why they have no result yet. */
  readonly note: string;
}

export interface JobLimits {
  /** Files, requests and results together, in bytes; beyond it nothing new is taken. */
  readonly bytesMax: number;
  /** Jobs of all clients that are not final. */
  readonly openJobsMax: number;
  /** The same for one client. Default: the limits of all. */
  readonly clientBytesMax?: number;
  readonly clientOpenJobsMax?: number;
}

/** Events of one job's stream, in order. */
export interface EventGroup {
  /** The number of the first one. */
  readonly first: number;
  readonly count: number;
  /** Their text, each ended by an empty line. */
  readonly bytes: Uint8Array;
}

export interface EventPage {
  /** Empty: there are none yet. */
  readonly groups: readonly EventGroup[];
  /** The number behind the last event there is. */
  readonly end: number;
}

export interface JobStore {
  /** False: the id is taken. Rejects with `full` at the limit. */
  createFile(file: NewFile, limits: JobLimits): Promise<boolean>;
  /** Pieces count from 0. False: the file is gone. Rejects with `full` at the limit. */
  appendFile(id: string, index: number, bytes: Uint8Array, limits: JobLimits): Promise<boolean>;
  /** From now on it is complete and can be found. */
  finishFile(id: string, details: FileDetails): Promise<boolean>;
  /** Drops an upload that failed. */
  abandonFile(id: string): Promise<void>;
  getFile(client: string, id: string): Promise<StoredFile | null>;
  /** Null: there is no entry `after`. */
  listFiles(query: ListQuery): Promise<Page<StoredFile> | null>;
  /** False: there is no such file. A job that reads it goes on. */
  deleteFile(client: string, id: string): Promise<boolean>;
  /** One piece of an uploaded file; null: there are no more. */
  readFile(id: string, index: number): Promise<Uint8Array | null>;

  /** `start` default: in state `validating`. Rejects with `full` at the limit. */
  createJob(job: NewJob, limits: JobLimits, start?: JobStart): Promise<'created' | 'taken' | 'too_many'>;
  getJob(client: string, id: string): Promise<Job | null>;
  listJobs(query: ListQuery): Promise<Page<Job> | null>;
  /** Only while it is in one of the states. The job as it is now; null: it was not changed. */
  changeJob(id: string, from: readonly JobState[], change: JobChange): Promise<Job | null>;
  /** Deletes a job in one of the states, with its items and result files. False: there is none. */
  deleteJob(client: string, id: string, from: readonly JobState[]): Promise<boolean>;
  /**
   * For work on the job itself: validation, finalization, batches of providers. False: another live runner has it. A change of its state,
   * except to `cancelling`, gives it back.
   */
  claimJob(id: string, runner: number): Promise<boolean>;
  /** Takes some of what an earlier validation has added, by a runner that holds the job. How many; 0: all are gone. */
  clearItems(job: string, runner: number): Promise<number>;
  /** The job must be validating or being received, and held by the runner; false: it is not, and nothing was added. */
  addItems(job: string, runner: number, items: readonly NewItem[], limits: JobLimits): Promise<boolean>;
  /** Ends some queued items of the job. How many; 0: none is queued any more. */
  endQueued(job: string, error: ItemError): Promise<number>;
  /** Done items in order, after number `after` (-1: from the first), about `bytesMax` at once. Empty: there are no more. */
  readResults(job: string, succeeded: boolean | null, after: number, bytesMax: number): Promise<readonly DoneItem[]>;

  /** A new runner: this process. */
  register(identity: Identity, nowMs: number): Promise<number>;
  /**
   * Says that the runner lives, returns the items of runners that don't to the queue (`REPEATS_MAX`), deletes what has expired, and gives
   * the jobs that are not final.
   */
  beat(beat: Beat): Promise<readonly OpenJob[]>;
  lease(query: LeaseQuery): Promise<Lease>;
  /** Deletes some rows that nothing refers to any more. True: there may be more. */
  sweep(): Promise<boolean>;
  /** An upstream call is about to be made. False: the item is no longer this runner's. */
  markSent(key: ItemKey): Promise<boolean>;
  /** `last`: every item of the job is done now; `lost`: the item is no longer this runner's, and keeps what it has. */
  completeItem(key: ItemKey, result: ItemResult): Promise<'done' | 'last' | 'lost'>;
  requeueItem(key: ItemKey, requeue: Requeue): Promise<boolean>;
  /**
   * Hands leased items over to a batch of a provider's own: no runner holds them until they are taken back, and none is lost with a runner.
   * The numbers of those that the batch holds now; the others are no longer this runner's. Repeated, it has the same outcome.
   */
  handOver(keys: readonly ItemKey[], batch: string): Promise<readonly number[]>;
  /**
   * Leases an item that the batch holds, to end it with its result. If the runner dies before the item is marked as sent, completed or
   * requeued, the batch holds it again. Null: the batch does not hold it.
   */
  takeBack(query: TakeBack): Promise<LeasedItem | null>;
  /** Queues some of the items that the batch holds, after a round without a result. How many; 0: it holds none. */
  endHandover(end: HandoverEnd): Promise<number>;
  /** The item's stream begins anew: earlier events are dropped. The number of its next event; null: the item is no longer this runner's. */
  restartEvents(key: ItemKey): Promise<number | null>;
  /** False: the item is no longer this runner's. */
  appendEvents(key: ItemKey, events: EventGroup): Promise<boolean>;
  /** Events after number `after` (-1: from the first), about `bytesMax` at once. */
  readEvents(job: string, after: number, bytesMax: number): Promise<EventPage>;
  /** The runner ends in good order: what it has leased is queued again. */
  unregister(runner: number, nowMs: number): Promise<void>;
  /** Never rejects. */
  close(): Promise<void>;
}

/** What identifies a process to the others. */
export interface Identity {
  /** Where processes can be told apart by their number. */
  readonly machine: string;
  readonly pid: number;
  /** When the process began: an earlier one may have had the same number. */
  readonly startedAtMs: number;
}

export interface Beat extends Identity {
  readonly runner: number;
  readonly nowMs: number;
  /** A runner that was silent for longer is taken for dead, in milliseconds. */
  readonly silenceMaxMs: number;
}

/** An item that was sent when its process died is sent again so often; the next time it ends as `interrupted`. */
export const REPEATS_MAX = 2;
