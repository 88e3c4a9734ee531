/** Decides how long slow readers of a response may delay the others. */
import type { Clock, Instant, Timer } from '../../core/clock.ts';
import type { SharedReader } from './response-reader.ts';

/** A reader further behind than this delays the others, and is then disconnected; in bytes. */
const READER_BEHIND_MAX = 1024 * 1024;

interface Hold {
  readonly since: Instant;
  readonly slowReaders: readonly SharedReader[];
  readonly timer: Timer;
}

export class SlowReaderPolicy {
  readonly #clock: Clock;
  /** Called with the readers that have used up their stall budget and are still behind. */
  readonly #onOver: (late: readonly SharedReader[]) => void;
  #hold: Hold | null = null;
  #bytes = 0;

  constructor(clock: Clock, onOver: (late: readonly SharedReader[]) => void) {
    this.#clock = clock;
    this.#onOver = onOver;
  }

  /** True while the provider is paused for slow readers. */
  get isHolding(): boolean {
    return this.#hold !== null;
  }

  /** `bytes`: received in total. A reader that only lags after a burst catches up within its stall budget. */
  check(readers: readonly SharedReader[], bytes: number): void {
    this.#bytes = bytes;
    if (this.#hold !== null) return;
    const slowReaders = readers.filter((reader) => this.#isLate(reader));
    if (slowReaders.length === 0) return;
    const delayMs = Math.max(0, Math.min(...slowReaders.map((reader) => reader.stallBudgetMs)));
    this.#hold = { since: this.#clock.now(), slowReaders, timer: this.#clock.schedule(delayMs, () => this.#end()) };
  }

  /** To be called when a reader has taken bytes or left. */
  recheck(): void {
    if (this.#hold !== null && !this.#hold.slowReaders.some((reader) => this.#isLate(reader))) this.#end();
  }

  stop(): void {
    this.#hold?.timer.cancel();
    this.#hold = null;
  }

  #end(): void {
    const { since, slowReaders } = this.#hold!;
    this.stop();
    const waitedMs = this.#clock.now() - since;
    for (const reader of slowReaders) reader.stallBudgetMs -= waitedMs;
    this.#onOver(slowReaders.filter((reader) => reader.stallBudgetMs <= 0 && this.#isLate(reader)));
  }

  #isLate(reader: SharedReader): boolean {
    return !reader.isOver && reader.isBehind && this.#bytes - reader.bytes > READER_BEHIND_MAX;
  }
}
