/**
 * Durable work in the store: files, jobs and their items. Unlike calls for small state, every call here resolves when it is durable and
 * rejects with a `StoreFailure` if the store is unusable: a checkpoint that may be lost is useless.
 *
 * A job is a batch of items (or a single item). An item is queued, leased by a runner (waiting for a permit), sent (an upstream call may
 * have been made), handed over (to a batch of the provider), or done. A runner is one process. Leases are numbered, and only the holder of
 * an item's latest lease can change it, so a process that resumes after a freeze can't overwrite the work of another.
 */

/** `receiving`: the creator is still adding items; the job is not visible yet. */
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

/** States that never change. */
export const FINAL_STATES: readonly JobState[] = ['completed', 'failed', 'expired', 'cancelled'];

/** JSON specific to the API that created the job. */
export type JobData = Readonly<Record<string, unknown>>;

export interface NewFile {
  readonly id: string;
  readonly client: string;
  readonly createdAtMs: number;
  /** Deleted from then on, complete or not. */
  readonly expiresAtMs: number;
}

export interface FileDetails {
  readonly purpose: string;
  readonly filename: string;
  readonly bytes: number;
  readonly expiresAtMs: number;
}

/** A file that contains the results of a job's items: either the successful or the failed ones. */
export interface ResultFile extends NewFile, FileDetails {
  readonly job: string;
  readonly succeeded: boolean;
}

/** A complete file. */
export interface StoredFile extends NewFile, FileDetails {
  /** The job whose results it contains; null if it was uploaded. */
  readonly results: { readonly job: string; readonly succeeded: boolean } | null;
}

export interface ListQuery {
  readonly client: string;
  /** Purpose of a file or kind of a job; absent for any. */
  readonly kind?: string;
  /** Only entries after the one with this id. */
  readonly after?: string;
  /** Only entries before the one with this id. */
  readonly before?: string;
  /** Files expired by then are left out; absent for none. */
  readonly nowMs?: number;
  readonly limit: number;
  /** By creation time. Default: newest first. */
  readonly oldestFirst?: boolean;
}

export interface Page<T> {
  readonly entries: readonly T[];
  readonly hasMore: boolean;
}

export interface NewJob {
  readonly id: string;
  /** The API that created it: `openai-batch`, `anthropic-batch`, `response`. */
  readonly kind: string;
  readonly client: string;
  /** Dialect and path (below the provider's base URL) of its requests. */
  readonly dialect: string;
  readonly path: string;
  /** Priority class of its requests. */
  readonly priority: string;
  readonly createdAtMs: number;
  /** Items not done by then expire. */
  readonly endsAtMs: number;
  readonly data: JobData;
}

/** How a job starts. Absent: as `validating`, with items added by a runner later. */
export type JobStart =
  /** As `receiving`, claimed by the runner that adds its items. */
  | { readonly receivedBy: number }
  /** In progress, with these items. */
  | readonly NewItem[];

export interface Job extends NewJob {
  readonly state: JobState;
  /** Its state after the last item is done; null for completed. */
  readonly ending: 'expired' | 'cancelled' | null;
  readonly total: number;
  readonly succeeded: number;
  readonly failed: number;
  /** The sum of the items' `facts.costUsd` and of the costs of their rounds without a result. */
  readonly costUsd: number;
  /** How many items have `facts.costUsd`. */
  readonly priced: number;
}

/** A job in a non-final state, for runners. */
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
  /** With a final state: when the job is deleted. */
  readonly keepUntilMs?: number;
  /** Files that become visible together with the change. */
  readonly files?: readonly ResultFile[];
}

export interface NewItem {
  /** Index in the job, from 0. */
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
  /** Limit for all bodies together, in bytes; at least one item is leased whatever its size. */
  readonly bytesMax: number;
  readonly nowMs: number;
  /**
   * Given if the outcome of an earlier lease was lost: the items of this job and model that the runner still has. Others leased to it
   * are requeued first.
   */
  readonly known?: readonly number[];
}

export interface LeasedItem {
  readonly job: string;
  readonly n: number;
  /** The number of the lease, which no item of a later job with the same id has. */
  readonly lease: number;
  readonly customId: string;
  readonly body: Uint8Array;
  /** Rounds whose failure was probably the request's fault. */
  readonly strikes: number;
  /** Rounds without a result. */
  readonly rounds: number;
  /** How often it was sent again after a crash. */
  readonly repeated: number;
}

export interface Lease {
  readonly items: readonly LeasedItem[];
  /** When the model's next queued item is due; null if none is delayed. */
  readonly nextAtMs: number | null;
  /** More items are due than were leased. */
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

/** Outcome of an item. */
export interface ItemResult {
  readonly succeeded: boolean;
  /** HTTP status of the response; null if there was none. */
  readonly status: number | null;
  /** Facts besides the body: request id, target, usage, `costUsd`. */
  readonly facts: JobData;
  /** One line of JSON; null if there was no response. */
  readonly body: Uint8Array | null;
  /** Null if it succeeded, or if the body contains the error. */
  readonly error: ItemError | null;
}

/** In US dollars; null: not known. */
export function costOf({ facts }: Pick<ItemResult, 'facts'>): number | null {
  const cost = facts['costUsd'] === undefined ? NaN : Number(facts['costUsd']);
  return Number.isFinite(cost) ? cost : null;
}

export interface DoneItem extends ItemResult {
  readonly n: number;
  readonly customId: string;
  readonly repeated: number;
}

export interface Requeue {
  readonly notBeforeMs: number;
  /** False if it was released before an upstream call was made. */
  readonly round: boolean;
  /** This round counts as a failure of the request itself. */
  readonly strike: boolean;
  /** A call was cut off, and the provider may have processed it: marked as sent again, which does not count as a crash. Default: false. */
  readonly wasCut?: boolean;
  /** Why there is no result yet. */
  readonly note: string;
  /** Of the round's calls, in US dollars; absent: none, or not known. */
  readonly costUsd?: number;
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
  /** Whether this was a round of theirs. False if they were never sent: they may be handed over again. */
  readonly round: boolean;
  /** Why they have no result yet. */
  readonly note: string;
}

export interface JobLimits {
  /** Files, requests and results together, in bytes; beyond it, new ones are rejected. */
  readonly bytesMax: number;
  /** Non-final jobs of all clients. */
  readonly openJobsMax: number;
  /** The same for one client. Default: the overall limits. */
  readonly clientBytesMax?: number;
  readonly clientOpenJobsMax?: number;
}

/** Events of one job's stream, in order. */
export interface EventGroup {
  /** Number of the first event. */
  readonly first: number;
  readonly count: number;
  /** Their text; each event ends with an empty line. */
  readonly bytes: Uint8Array;
}

export interface EventPage {
  /** Empty if there are no more yet. */
  readonly groups: readonly EventGroup[];
  /** The number after the last stored event. */
  readonly end: number;
}

export interface JobStore {
  /** False if the id exists. Rejects with `full` at the limit. */
  createFile(file: NewFile, limits: JobLimits): Promise<boolean>;
  /** `index` counts from 0. False if the file no longer exists. Rejects with `full` at the limit. */
  appendFile(id: string, index: number, bytes: Uint8Array, limits: JobLimits): Promise<boolean>;
  /** Makes the file complete and visible. */
  finishFile(id: string, details: FileDetails): Promise<boolean>;
  /** Deletes an incomplete upload. */
  abandonFile(id: string): Promise<void>;
  getFile(client: string, id: string): Promise<StoredFile | null>;
  /** Null if there is no entry `after`. */
  listFiles(query: ListQuery): Promise<Page<StoredFile> | null>;
  /** False if there is no such file. A job that reads it continues. */
  deleteFile(client: string, id: string): Promise<boolean>;
  /** One chunk of an uploaded file; null after the last. */
  readFile(id: string, index: number): Promise<Uint8Array | null>;

  /** `start` defaults to state `validating`. Rejects with `full` at the limit. */
  createJob(job: NewJob, limits: JobLimits, start?: JobStart): Promise<'created' | 'taken' | 'too_many'>;
  getJob(client: string, id: string): Promise<Job | null>;
  listJobs(query: ListQuery): Promise<Page<Job> | null>;
  /** Changes the job only if it is in one of the states. Returns the new job; null if it was not changed. */
  changeJob(id: string, from: readonly JobState[], change: JobChange): Promise<Job | null>;
  /** Deletes a job in one of the states, with its items and result files. False if there is none. */
  deleteJob(client: string, id: string, from: readonly JobState[]): Promise<boolean>;
  /**
   * Claims the job itself (for validation, finalization, batches of providers). False if another live runner has it. A change of state,
   * except to `cancelling`, releases it.
   */
  claimJob(id: string, runner: number): Promise<boolean>;
  /** Deletes some items of an earlier validation, for the runner that claimed the job. Returns their number; 0 when none are left. */
  clearItems(job: string, runner: number): Promise<number>;
  /** The job must be validating or receiving, and claimed by the runner; otherwise nothing is added and the result is false. */
  addItems(job: string, runner: number, items: readonly NewItem[], limits: JobLimits): Promise<boolean>;
  /** Ends some queued items of the job, or of this model in it. Returns their number; 0 when none are queued. */
  endQueued(job: string, error: ItemError, model?: string): Promise<number>;
  /** Done items in order, after number `after` (-1 for the first), about `bytesMax` per call. Empty after the last. */
  readResults(job: string, succeeded: boolean | null, after: number, bytesMax: number): Promise<readonly DoneItem[]>;

  /** Registers this process as a new runner. */
  register(identity: Identity, nowMs: number): Promise<number>;
  /**
   * Heartbeat: marks the runner alive, requeues items of dead runners (`REPEATS_MAX`), deletes expired entries, and returns the open
   * jobs.
   */
  beat(beat: Beat): Promise<readonly OpenJob[]>;
  lease(query: LeaseQuery): Promise<Lease>;
  /** Deletes some unreferenced rows. True if there may be more. */
  sweep(): Promise<boolean>;
  /** Called before an upstream call. False if the runner no longer holds the item. */
  markSent(key: ItemKey): Promise<boolean>;
  /** `last`: all items of the job are now done; `lost`: the runner no longer holds the item, which is unchanged. */
  completeItem(key: ItemKey, result: ItemResult): Promise<'done' | 'last' | 'lost'>;
  requeueItem(key: ItemKey, requeue: Requeue): Promise<boolean>;
  /**
   * Hands leased items over to a batch of a provider: no runner holds them until they are taken back. Returns the numbers of the items that
   * the batch holds now; the others are no longer this runner's. Idempotent.
   */
  handOver(keys: readonly ItemKey[], batch: string): Promise<readonly number[]>;
  /**
   * Leases an item that the batch holds, to end it with its result. If the runner dies before the item is marked as sent, completed or
   * requeued, the batch holds it again. Null if the batch does not hold it.
   */
  takeBack(query: TakeBack): Promise<LeasedItem | null>;
  /** Queues some of the items that the batch holds. Returns their number; 0 if it holds none. */
  endHandover(end: HandoverEnd): Promise<number>;
  /** Restarts the item's stream and drops its earlier events. Returns the next event number; null if the runner no longer holds the item. */
  restartEvents(key: ItemKey): Promise<number | null>;
  /** False if the runner no longer holds the item. */
  appendEvents(key: ItemKey, events: EventGroup): Promise<boolean>;
  /** Events after number `after` (-1 for the first), about `bytesMax` per call. */
  readEvents(job: string, after: number, bytesMax: number): Promise<EventPage>;
  /** Clean end of the runner: its items are requeued. */
  unregister(runner: number, nowMs: number): Promise<void>;
  /** Never rejects. */
  close(): Promise<void>;
}

/** Identifies a process to others. */
export interface Identity {
  /** The scope in which process ids are unique. */
  readonly machine: string;
  readonly pid: number;
  /** Start time of the process: distinguishes it from an earlier one with the same process id. */
  readonly startedAtMs: number;
}

export interface Beat extends Identity {
  readonly runner: number;
  readonly nowMs: number;
  /** A runner silent for longer counts as dead, in milliseconds. */
  readonly silenceMaxMs: number;
}

/** Leases of one item. They are numbered from the number of its job times this, so that a job that uses the id again has other leases. */
export const LEASES_MAX = 2 ** 20;

/** An item that was sent when its process died is resent this many times; then it fails as `interrupted`. */
export const REPEATS_MAX = 2;
