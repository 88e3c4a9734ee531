/** Registers this process as a runner in the store, and tracks the jobs whose items it is receiving. */
import type { Identity, OpenJob } from '../store/jobs/job-store.ts';
import type { JobHost } from './host.ts';

export class Registration {
  readonly #host: JobHost;
  readonly #identity: Identity;
  #number: number | null = null;
  #registering: Promise<number> | null = null;
  readonly #receiving = new Set<string>(); // one per upload

  constructor(host: JobHost, identity: Identity) {
    this.#host = host;
    this.#identity = identity;
  }

  /** Null: not registered. */
  get number(): number | null {
    return this.#number;
  }

  get #isAbsent(): boolean {
    return this.#number === null && this.#registering === null;
  }

  get isReceiving(): boolean {
    return this.#receiving.size > 0;
  }

  receives(job: string): boolean {
    return this.#receiving.has(job);
  }

  async register(): Promise<number> {
    if (this.#number !== null) return this.#number;
    const { store, clock } = this.#host;
    this.#registering ??= store
      .register(this.#identity, clock.epochMs())
      .then((number) => (this.#number = number))
      .finally(() => (this.#registering = null));
    return this.#registering;
  }

  /** A heartbeat: returns the open jobs. Without any jobs it leaves the store closed. */
  async beat(silenceMaxMs: number): Promise<readonly OpenJob[]> {
    const { store, clock } = this.#host;
    if (this.#isAbsent && !(await this.#host.hasJobs()) && this.#isAbsent) return [];
    const runner = await this.register();
    return store.beat({ runner, nowMs: clock.epochMs(), silenceMaxMs, ...this.#identity });
  }

  /** An idle runner is unregistered, so that the store can close its connection. */
  async unregister(): Promise<void> {
    const number = this.#number;
    this.#number = null;
    if (number !== null) await this.#host.store.unregister(number, Math.floor(this.#host.clock.epochMs())).catch(() => {});
  }

  /** Marks a job as received by this process until `release`. Returns the runner's number to create the job with. */
  async receive(job: string): Promise<number> {
    this.#receiving.add(job);
    try {
      return await this.register();
    } catch (error) {
      this.#receiving.delete(job);
      throw error;
    }
  }

  release(job: string): void {
    this.#receiving.delete(job);
  }
}
