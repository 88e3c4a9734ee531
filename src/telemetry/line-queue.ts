import type { Clock, Timer } from '../core/clock.ts';

/**
 * Lines on their way to a sink that may be slow, full or dead. Pushing never waits: the lines of a turn go out together
 * after it, one write at a time, and beyond a bound they are dropped and counted. Soon after a write they gather for a
 * moment, since a write costs as much as twenty lines. A sink that failed is asked again after a pause; what it failed
 * to take is counted as dropped, since nobody knows how much of it arrived.
 */

/** Where lines go: takes one text at a time and says when it is done with it. */
export interface LineSink {
  /** `done` is called once, at any time. A sink that throws has failed. */
  write(text: string, done: (error: Error | null) => void): void;
  /** Lets go of what the sink holds open. */
  close?(): void;
}

/** Most text given to the sink at once, so that a slow one frees room step by step. In UTF-16 units. */
const writeLengthMax = 256 * 1024;
/** Least time from the start of a write to that of the next, unless this much text has gathered or somebody waits for it. */
export const gatherMs = 10;
const gatherLengthMax = 64 * 1024;
/** Pause before a sink that failed is asked again. */
const retryDelayMs = 1_000;

export interface LineQueueOptions {
  readonly sink: LineSink;
  readonly clock: Clock;
  /** Bound on what is queued and being written together, in UTF-16 units: at most twice as many bytes. */
  readonly bufferedLengthMax: number;
  /** The sink failed; told once until it recovers. */
  readonly onTrouble?: (error: Error) => void;
  /** The sink takes lines again, after `dropped` of them were lost. */
  readonly onRecovered?: (dropped: number) => void;
}

/** What goes out in one write. */
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

  /** Lines lost so far: no room, or the sink failed on them. */
  get dropped(): number {
    return this.#dropped;
  }

  /** What is queued and being written, in UTF-16 units. */
  get bufferedLength(): number {
    return this.#bufferedLength;
  }

  /** Takes a line with its line end, to be written after this turn; false if it was dropped. */
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

  /** Flushes, then takes no more lines. What could not be written by then is lost. */
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
    // Half the cost of keeping the lines and joining them.
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
    // A sink that is done at once brings us back here by the loop, not by recursion.
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

  /** Goes on after a write with what came meanwhile. */
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
