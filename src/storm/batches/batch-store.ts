/** Batches of both APIs: what became of each request, by the clock and by the fault that is set. */
import type { Received } from '../dialect.ts';
import type { BatchFault, StormBatchOptions, StormBatchStats } from './options.ts';
import { promptOf, type ItemRequest, type ItemResponse, type ProcessItem } from './process-item.ts';

/** `failed`: its validation failed. */
export type BatchState = 'running' | 'cancelling' | 'completed' | 'failed' | 'expired' | 'cancelled';

export interface StormBatch {
  readonly id: string;
  /** Whose it is. */
  readonly key: string;
  readonly items: readonly ItemRequest[];
  /** The rest of what its creation said. */
  readonly asked: Readonly<Record<string, unknown>>;
  readonly headers: Received['headers'];
  readonly createdAtMs: number;
  readonly fault: BatchFault | null;
  readonly endsAtMs: number;
  state: BatchState;
  endedAtMs: number | null;
  cancelledAtMs: number | null;
  /** Polls since it has completed. */
  looks: number;
  readonly results: Map<string, ItemResponse>;
}

const PROMPTS_MAX = 10_000;

export class BatchStore {
  readonly #process: ProcessItem;
  readonly #epochMs: () => number;
  readonly #batches = new Map<string, StormBatch>();
  #options: StormBatchOptions;
  #next = 1;
  #refusals = 0;
  #lost = 0;
  #counts = { created: 0, cancelled: 0, processed: 0, polls: 0 };
  #byPrompt = new Map<string, number>();

  constructor(options: StormBatchOptions, process: ProcessItem, epochMs: () => number) {
    this.#options = options;
    this.#process = process;
    this.#epochMs = epochMs;
  }

  get fault(): BatchFault | null {
    return this.#options.fault ?? null;
  }

  /** For batches that are created from now on, and for calls. */
  set(options: StormBatchOptions): void {
    this.#options = options;
    this.#refusals = this.#lost = 0;
  }

  /** True: this creation is refused with 429. */
  refuses(): boolean {
    if (this.fault === '429-always') return true;
    return this.fault === '429-submit' && this.#refusals++ < 2;
  }

  /** True: the reply to this creation is lost. */
  losesReply(): boolean {
    return this.fault === 'lost-reply' && this.#lost++ === 0;
  }

  /** True: this look gets 503. */
  hidesPoll(): boolean {
    this.#counts.polls++;
    return this.fault === '503-poll' && this.#counts.polls % 2 === 1;
  }

  create(prefix: string, batch: Pick<StormBatch, 'key' | 'items' | 'asked' | 'headers'>): StormBatch {
    const createdAtMs = this.#epochMs();
    const created: StormBatch = {
      ...batch,
      id: `${prefix}${String(this.#next++).padStart(6, '0')}`,
      createdAtMs,
      fault: this.fault,
      endsAtMs: createdAtMs + (this.#options.afterMs ?? 0),
      state: 'running',
      endedAtMs: null,
      cancelledAtMs: null,
      looks: 0,
      results: new Map(),
    };
    this.#batches.set(created.id, created);
    this.#counts.created++;
    return created;
  }

  /** As it is now. */
  get(key: string, id: string): StormBatch | undefined {
    const batch = this.#batches.get(id);
    if (batch === undefined || batch.key !== key) return undefined;
    this.#advance(batch);
    return batch;
  }

  /** The newest first. */
  list(key: string): StormBatch[] {
    const own = [...this.#batches.values()].filter((batch) => batch.key === key).reverse();
    for (const batch of own) this.#advance(batch);
    return own;
  }

  cancel(batch: StormBatch): void {
    if (batch.state !== 'running') return;
    this.#counts.cancelled++;
    batch.cancelledAtMs = this.#epochMs();
    batch.state = 'cancelling';
  }

  delete(id: string): void {
    this.#batches.delete(id);
  }

  stats(): Omit<StormBatchStats, 'files'> {
    return { ...this.#counts, byPrompt: Object.fromEntries(this.#byPrompt) };
  }

  reset(): void {
    this.#batches.clear();
    this.#byPrompt = new Map();
    this.#counts = { created: 0, cancelled: 0, processed: 0, polls: 0 };
    this.#refusals = this.#lost = 0;
  }

  #advance(batch: StormBatch): void {
    const now = this.#epochMs();
    if (batch.state === 'cancelling') return batch.fault === 'deaf' ? undefined : this.#end(batch, 'cancelled');
    if (batch.state !== 'running' || now < batch.endsAtMs) return;
    switch (batch.fault) {
      case 'never':
      case 'deaf':
        return;
      case 'invalid':
        return this.#end(batch, 'failed');
      case 'stuck':
        return this.#processAll(batch, (n) => n % 2 === 0);
      case 'expire':
        this.#processAll(batch, (n) => n % 2 === 0);
        return this.#end(batch, 'expired');
      default:
        this.#processAll(batch, () => true);
        return this.#end(batch, 'completed');
    }
  }

  #processAll(batch: StormBatch, isProcessed: (n: number) => boolean): void {
    batch.items.forEach((item, n) => {
      if (!isProcessed(n) || batch.results.has(item.customId)) return;
      const isFailed = batch.fault === 'partial' && n % 3 === 2;
      const response = isFailed ? { status: 500, body: SERVER_ERROR } : this.#process(item, batch.headers, n + 1);
      batch.results.set(item.customId, response);
      if (response.status === 200) this.#count(item);
    });
  }

  #count(item: ItemRequest): void {
    this.#counts.processed++;
    const prompt = promptOf(item);
    if (this.#byPrompt.has(prompt) || this.#byPrompt.size < PROMPTS_MAX) this.#byPrompt.set(prompt, (this.#byPrompt.get(prompt) ?? 0) + 1);
  }

  #end(batch: StormBatch, state: BatchState): void {
    batch.state = state;
    batch.endedAtMs = this.#epochMs();
  }
}

const SERVER_ERROR = JSON.stringify({
  type: 'error',
  error: { message: 'The server had an error.', type: 'server_error', code: 'server_error' },
});
