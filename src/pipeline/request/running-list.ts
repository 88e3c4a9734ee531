import type { BreakwaterError } from '../../core/errors.ts';

/** A request in progress. */
export interface Running {
  /** Ends it with this error, in whatever form is still possible. */
  stop(error: BreakwaterError): void;
  older: Running | null;
  newer: Running | null;
}

/**
 * The requests in progress, as an intrusive linked list. With a Set under constant insertion and deletion, the dead hash tables of V8
 * point to the live one; once one of them is in the old generation, every element ever added survives all minor collections.
 */
export class RunningList {
  #oldest: Running | null = null;
  #newest: Running | null = null;
  #size = 0;

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
    if (run.older === null) this.#oldest = run.newer;
    else run.older.newer = run.newer;
    if (run.newer === null) this.#newest = run.older;
    else run.newer.older = run.older;
    run.older = run.newer = null;
    this.#size--;
  }

  /** A snapshot, oldest first. A request that ends while it is iterated may be in it. */
  all(): Running[] {
    const all: Running[] = [];
    for (let run = this.#oldest; run !== null; run = run.newer) all.push(run);
    return all;
  }
}
