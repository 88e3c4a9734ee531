/** What the batches of all jobs share, and need from the runner. */
import type { DeliveredResponse } from '../../pipeline/request/gateway-request.ts';
import type { LeasedItem } from '../../store/jobs/job-store.ts';

/** Encoded input in memory, over all jobs, in bytes. */
const INPUT_MAX = 64 * 1024 * 1024;
/** Ids that are kept. */
const REMOTES_MAX = 1_000;

/** What a job's batches need from the runner. */
export interface NativeRunner {
  /** This process's number among the runners; null if it is not registered. */
  readonly number: number | null;
  /** Runs a leased item to the end of its round. */
  run(job: string, model: string, item: LeasedItem, delivered: DeliveredResponse | null): Promise<void>;
  /** The items of a model that are running here. */
  known(job: string, model: string): readonly number[];
  /** Whether the configuration allows items of the model now. */
  allows(job: string, model: string): Promise<boolean>;
  /** Items of the job may be queued that were not before. */
  onQueued(job: string): void;
}

export interface NativeScope {
  /** Aborted: nothing new may start. */
  readonly stopping: AbortSignal;
  /** Aborted: nothing may be waited for. */
  readonly closing: AbortSignal;
  readonly shared: NativeShared;
}

export class NativeShared {
  readonly inputs = new InputBudget(INPUT_MAX);
  readonly remotes = new KnownRemotes(REMOTES_MAX);
}

/** Providers' ids of batches that belong to a record. The oldest ones are dropped. */
export class KnownRemotes {
  readonly #ids = new Set<string>();
  readonly #countMax: number;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  add(id: string): void {
    this.#ids.delete(id);
    this.#ids.add(id);
    for (const oldest of this.#ids) {
      if (this.#ids.size <= this.#countMax) return;
      this.#ids.delete(oldest);
    }
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }
}

interface Waiter {
  readonly bytes: number;
  readonly take: () => void;
}

/** A number of bytes that several jobs divide, in the order in which they ask. */
export class InputBudget {
  #free: number;
  readonly #waiting: Waiter[] = []; // at most one per job

  constructor(bytes: number) {
    this.#free = bytes;
  }

  /** Resolves once the bytes are free, which `give` returns. False if the signal is aborted first: nothing was taken. */
  take(bytes: number, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    return new Promise((resolve) => {
      const end = (isTaken: boolean): void => {
        signal.removeEventListener('abort', leave);
        resolve(isTaken);
      };
      const waiter: Waiter = { bytes, take: () => end(true) };
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        end(false);
        this.#serve();
      };
      signal.addEventListener('abort', leave);
      this.#waiting.push(waiter);
      this.#serve();
    });
  }

  give(bytes: number): void {
    this.#free += bytes;
    this.#serve();
  }

  #serve(): void {
    for (let next = this.#waiting[0]; next !== undefined && next.bytes <= this.#free; next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#free -= next.bytes;
      next.take();
    }
  }
}
