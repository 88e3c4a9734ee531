/** The running items by their request, whose events they receive. */
import type { JobHost } from './host.ts';
import type { ItemRun } from './item-run.ts';

export class RequestsOfItems {
  readonly #host: JobHost;
  readonly #runs = new Map<string, ItemRun>();
  #stopListening: (() => void) | null = null;

  constructor(host: JobHost) {
    this.#host = host;
  }

  get size(): number {
    return this.#runs.size;
  }

  add(run: ItemRun): void {
    this.#runs.set(run.requestId, run);
    this.#stopListening ??= this.#host.onRequests({
      begun: (id) => this.#runs.get(id)?.callBegan(),
      rejected: (id, error) => this.#runs.get(id)?.rejected(error),
      ended: (id, end) => this.#runs.get(id)?.callEnded(end),
      finished: (id, end) => this.#runs.get(id)?.finished(end),
    });
  }

  delete(run: ItemRun): void {
    this.#runs.delete(run.requestId);
    if (this.#runs.size > 0) return;
    this.#stopListening?.();
    this.#stopListening = null;
  }
}
