/** Runs work on jobs, a few at the same time. Further work waits until a slot is free. */

/** Resolves to true if the work was done. Never rejects. */
type Work = () => Promise<boolean>;

export class WorkSlots {
  readonly #max: number;
  readonly #onDone: () => void;
  readonly #running = new Map<string, Promise<void>>(); // at most `max`
  readonly #waiting = new Map<string, Work>(); // as many as there are open jobs

  constructor(max: number, onDone: () => void) {
    this.#max = max;
    this.#onDone = onDone;
  }

  get isIdle(): boolean {
    return this.#running.size === 0;
  }

  /** No effect if work on the job is running. */
  run(job: string, work: Work): void {
    if (this.#running.has(job)) return;
    if (this.#running.size >= this.#max) this.#waiting.set(job, work);
    else this.#running.set(job, this.#start(job, work));
  }

  forgetWaiting(): void {
    this.#waiting.clear();
  }

  /** Resolves once nothing is running. */
  async stop(): Promise<void> {
    this.#waiting.clear();
    await Promise.all(this.#running.values());
  }

  async #start(job: string, work: Work): Promise<void> {
    const isDone = await work();
    this.#running.delete(job);
    const next = this.#waiting.entries().next().value;
    if (next !== undefined) {
      this.#waiting.delete(next[0]);
      this.run(...next);
    }
    if (isDone) this.#onDone();
  }
}
