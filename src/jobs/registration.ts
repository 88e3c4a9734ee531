/** The place of this process among the runners of a store, and the jobs that it holds to receive their items. */
import type { Identity } from '../store/jobs/job-store.ts';
import type { JobHost } from './host.ts';

export class Registration {
  readonly #host: JobHost;
  readonly #identity: Identity;
  #number: number | null = null;
  #registering: Promise<number> | null = null;
  readonly #receiving = new Set<string>(); // as many as there are uploads

  constructor(host: JobHost, identity: Identity) {
    this.#host = host;
    this.#identity = identity;
  }

  /** Null: not registered. */
  get number(): number | null {
    return this.#number;
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

  /** With nothing to do, a runner needs no place: the store can rest, too. */
  async unregister(): Promise<void> {
    const number = this.#number;
    this.#number = null;
    if (number !== null) await this.#host.store.unregister(number, Math.floor(this.#host.clock.epochMs())).catch(() => {});
  }

  /** From now on this process receives the items of a job, until `release`. The number to create the job with. */
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
