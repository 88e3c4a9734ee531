import { assert } from '../../core/assert.ts';
import type { BreakwaterError } from '../../core/errors.ts';

/** A request in progress. */
export interface Running {
  /** Ends it with this error, in whatever form is still possible. */
  stop(error: BreakwaterError): void;
  older: Running | null;
  newer: Running | null;
}

/**
 * The requests in progress, as an intrusive linked list. In a Set with constant changes V8 keeps removed entries alive (see `IdTable`): a
 * request of 3 KB costs 3.2 µs in a Set and 0.7 µs here.
 */
export class RunningList {
  #oldest: Running | null = null;
  #newest: Running | null = null;
  #size = 0;
  #whenIdle: (() => void)[] = [];

  get size(): number {
    return this.#size;
  }

  add(run: Running): void {
    run.older = this.#newest;
    if (this.#newest === null) this.#oldest = run;
    else this.#newest.newer = run;
    this.#newest = run;
    this.#size++;
  }

  remove(run: Running): void {
    assert(run.older !== null || this.#oldest === run, 'a request is removed once');
    if (run.older === null) this.#oldest = run.newer;
    else run.older.newer = run.newer;
    if (run.newer === null) this.#newest = run.older;
    else run.newer.older = run.older;
    run.older = run.newer = null;
    this.#size--;
  }

  /** Resolves once it is empty; `notifyIdle` is called after each request. */
  idle(): Promise<void> {
    return this.#size === 0 ? Promise.resolve() : new Promise((resolve) => this.#whenIdle.push(resolve));
  }

  readonly notifyIdle = (): void => {
    if (this.#size === 0 && this.#whenIdle.length > 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
  };

  /** A snapshot, oldest first. A request that ends while it is iterated may be in it. */
  all(): Running[] {
    const all: Running[] = [];
    for (let run = this.#oldest; run !== null; run = run.newer) all.push(run);
    return all;
  }
}
