import type { Clock, Timer } from '../core/clock.ts';

/**
 * A queue of lines to a sink that may be slow, full or broken. Pushing never waits: the lines of a turn are written together
 * after it, one write at a time; beyond a limit they are dropped and counted. Shortly after a write, lines are batched for `gatherMs`,
 * since a write costs as much as twenty lines. A failed sink is retried after a delay; the lines of the failed
 * write count as dropped, since it is unknown how many arrived.
 */

/** A destination of lines: writes one text at a time and reports when it is done. */
export interface LineSink {
  /** `done` is called once, at any time. A sink that throws has failed. */
  write(text: string, done: (error: Error | null) => void): void;
  /** Closes open files. */
  close?(): void;
}

/** Maximum size of one write, so that a slow sink frees the queue step by step, in UTF-16 units. */
const writeLengthMax = 256 * 1024;
/** Minimum interval between the starts of two writes, unless this much text is queued or a flush waits. */
export const gatherMs = 10;
const gatherLengthMax = 64 * 1024;
/** Delay before a failed sink is retried. */
const retryDelayMs = 1_000;

export interface LineQueueOptions {
  readonly sink: LineSink;
  readonly clock: Clock;
  /** Limit of queued and currently written text together, in UTF-16 units: at most twice as many bytes. */
  readonly bufferedLengthMax: number;
  /** The sink failed; called once until it recovers. */
  readonly onTrouble?: (error: Error) => void;
  /** The sink accepts lines again, after `dropped` of them were lost. */
  readonly onRecovered?: (dropped: number) => void;
}

/** The lines of one write. */
interface Chunk {
  text: string;
  lineCount: number;
}

export class LineQueue {
  readonly #options: LineQueueOptions;
  #chunks: Chunk[] = [];
  #bufferedLength = 0;
  #accepted = 0;
  #ended = 0;
  #dropped = 0;
  #droppedUnreported = 0;
  #scheduled: Timer | null = null;
  #writeBeganAt = -Infinity;
  #pause: Timer | null = null;
  #writing = false;
  #pumping = false;
  #troubled = false;
  #closed = false;
  #waiters: { readonly until: number; readonly resolve: () => void }[] = [];

  constructor(options: LineQueueOptions) {
    this.#options = options;
  }

  /** Number of lost lines: the queue was full, or the write failed. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Size of queued and currently written text, in UTF-16 units. */
  get bufferedLength(): number {
    return this.#bufferedLength;
  }

  /** Queues a line with its line end, to be written after this turn; false if it was dropped. */
  push(line: string): boolean {
    if (this.#closed || this.#bufferedLength + line.length > this.#options.bufferedLengthMax) {
      this.#countDropped(1);
      return false;
    }
    this.#append(line);
    this.#bufferedLength += line.length;
    this.#accepted++;
    if (this.#scheduled === null) {
      if (!this.#writing && this.#pause === null) this.#schedule(this.#bufferedLength >= gatherLengthMax ? 0 : this.#gatherWaitMs());
    } else if (this.#bufferedLength >= gatherLengthMax && this.#bufferedLength - line.length < gatherLengthMax) {
      this.#scheduled.cancel();
      this.#schedule(0);
    }
    return true;
  }

  /** Resolves when every line pushed so far is written or lost, when the sink fails, or after `timeoutMs`. */
  async flush(timeoutMs: number): Promise<void> {
    this.#endPause();
    const until = this.#accepted;
    this.#pump();
    if (this.#ended >= until || this.#pause !== null) return;
    await new Promise<void>((resolve) => {
      const timer = this.#options.clock.schedule(timeoutMs, resolve);
      this.#waiters.push({
        until,
        resolve: () => {
          timer.cancel();
          resolve();
        },
      });
    });
  }

  /** Flushes, then accepts no more lines. Unwritten ones are lost. */
  async close(timeoutMs: number): Promise<void> {
    if (this.#closed) return;
    await this.flush(timeoutMs);
    this.#closed = true;
    this.#endPause();
    this.#scheduled?.cancel();
    for (const chunk of this.#chunks) this.#countDropped(chunk.lineCount);
    this.#chunks = [];
    this.#options.sink.close?.();
  }

  #append(line: string): void {
    let chunk = this.#chunks.at(-1);
    if (chunk === undefined || chunk.text.length >= writeLengthMax) this.#chunks.push((chunk = { text: '', lineCount: 0 }));
    // Half the cost of storing the lines and joining them.
    chunk.text += line;
    chunk.lineCount++;
  }

  #schedule(delayMs: number): void {
    this.#scheduled = this.#options.clock.schedule(delayMs, () => this.#pump());
  }

  #gatherWaitMs(): number {
    return Math.max(0, this.#writeBeganAt + gatherMs - this.#options.clock.now());
  }

  #pump(): void {
    this.#scheduled?.cancel();
    this.#scheduled = null;
    if (this.#pumping) return;
    this.#pumping = true;
    // A sink that finishes synchronously continues in the loop, not by recursion.
    while (!this.#writing && this.#pause === null && this.#chunks.length > 0) this.#writeNext();
    this.#pumping = false;
  }

  #writeNext(): void {
    const { text, lineCount } = this.#chunks.shift()!;
    this.#writing = true;
    this.#writeBeganAt = this.#options.clock.now();
    let isDone = false;
    const done = (error: Error | null): void => {
      if (isDone) return;
      isDone = true;
      this.#afterWrite(lineCount, text.length, error);
    };
    try {
      this.#options.sink.write(text, done);
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #afterWrite(lineCount: number, length: number, error: Error | null): void {
    this.#writing = false;
    this.#bufferedLength -= length;
    this.#ended += lineCount;
    if (error === null) this.#afterSuccess();
    else this.#afterFailure(lineCount, error);
    this.#wakeWaiters(error !== null);
    this.#resume();
  }

  /** Continues after a write with the lines queued meanwhile. */
  #resume(): void {
    if (this.#pumping || this.#pause !== null || this.#chunks.length === 0) return;
    const waitMs = this.#waiters.length > 0 || this.#bufferedLength >= gatherLengthMax ? 0 : this.#gatherWaitMs();
    if (waitMs === 0) this.#pump();
    else this.#schedule(waitMs);
  }

  #afterSuccess(): void {
    this.#troubled = false;
    if (this.#droppedUnreported === 0 || this.#closed || this.#bufferedLength > this.#options.bufferedLengthMax / 2) return;
    const dropped = this.#droppedUnreported;
    this.#droppedUnreported = 0;
    this.#options.onRecovered?.(dropped);
  }

  #afterFailure(lineCount: number, error: Error): void {
    this.#countDropped(lineCount);
    if (this.#closed) return;
    this.#pause = this.#options.clock.schedule(retryDelayMs, () => {
      this.#pause = null;
      this.#pump();
    });
    if (this.#troubled) return;
    this.#troubled = true;
    this.#options.onTrouble?.(error);
  }

  #countDropped(count: number): void {
    this.#dropped += count;
    this.#droppedUnreported += count;
  }

  #endPause(): void {
    this.#pause?.cancel();
    this.#pause = null;
  }

  #wakeWaiters(all: boolean): void {
    if (this.#waiters.length === 0) return;
    const due = this.#waiters.filter((waiter) => all || waiter.until <= this.#ended);
    this.#waiters = this.#waiters.filter((waiter) => !due.includes(waiter));
    for (const waiter of due) waiter.resolve();
  }
}
