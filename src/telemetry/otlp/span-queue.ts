/**
 * Finished requests whose spans are to be exported. Recording one is a push; spans are built and sent later, in small batches, so that no
 * turn of the event loop takes long. All sizes are bounded: a collector that is slow or gone loses spans, which are counted.
 */
import type { Clock, Timer } from '../../core/clock.ts';
import type { Trace } from '../traces.ts';
import { spanCount } from './span-text.ts';

/** Sends the spans of some requests; calls `done` once, at any time. */
export type ExportSpans = (traces: readonly Trace[], done: (error: Error | null) => void) => void;

/** Maximum number of queued requests. */
export const queuedMax = 4_096;
/** Requests per export: less than a millisecond of work. */
export const batchMax = 256;
/** Exports at the same time. */
export const exportsMax = 8;
/** How long spans are gathered before the first export, in milliseconds. */
export const gatherMs = 500;
/** After a failed export the collector is left alone for so long, in milliseconds. */
export const retryMs = 5_000;
/** An export that has not ended by then counts as failed, in milliseconds. */
export const exportTimeoutMs = 15_000;

export interface SpanQueueOptions {
  readonly clock: Clock;
  readonly send: ExportSpans;
  /** The collector fails; called once until it accepts spans again. */
  readonly onTrouble: (error: Error) => void;
  /** It accepts spans again, after so many were lost. */
  readonly onRecovered: (lost: number) => void;
}

export class SpanQueue {
  readonly #options: SpanQueueOptions;
  #queued: Trace[] = [];
  /** Ends a running export. */
  readonly #running = new Set<(error: Error | null) => void>(); // at most `exportsMax`
  #timer: Timer | null = null;
  #isFailing = false;
  #isClosed = false;
  #pausedUntil = -Infinity;
  #lost = 0;
  #lostUnreported = 0;
  #exported = 0;
  /** Rejected spans of exports that have not ended yet. */
  #rejected = 0;
  readonly #waiters = new Set<() => void>();

  constructor(options: SpanQueueOptions) {
    this.#options = options;
  }

  /** Spans that were not exported. */
  get lost(): number {
    return this.#lost;
  }

  /** Spans that the collector accepted. */
  get exported(): number {
    return this.#exported;
  }

  push(trace: Trace): void {
    if (this.#isClosed || this.#queued.length >= queuedMax) return this.countLost(spanCount(trace));
    this.#queued.push(trace);
    if (this.#running.size >= exportsMax) return;
    if (this.#queued.length === batchMax) this.#schedule(0);
    else if (this.#timer === null) this.#schedule(gatherMs);
  }

  /** Adds a rejected request, of which callers can cause many: they take half of the places at most. */
  pushLesser(trace: Trace): void {
    if (this.#queued.length >= queuedMax / 2) this.countLost(spanCount(trace));
    else this.push(trace);
  }

  countLost(spans: number): void {
    this.#lost += spans;
    this.#lostUnreported += spans;
  }

  /** A running export was accepted without these spans. `onRecovered` does not report them: the collector works, and will reject others. */
  countRejected(spans: number): void {
    // `close` has counted the spans of all running exports.
    if (this.#isClosed) return;
    this.#rejected += spans;
    this.#lost += spans;
  }

  /** Resolves when everything is exported or lost, or after `timeoutMs`. */
  async flush(timeoutMs: number): Promise<void> {
    if (this.#isIdle) return;
    this.#pausedUntil = -Infinity;
    this.#schedule(0);
    await new Promise<void>((resolve) => {
      const end = (): void => {
        timer.cancel();
        this.#waiters.delete(end);
        resolve();
      };
      const timer = this.#options.clock.schedule(timeoutMs, end);
      this.#waiters.add(end);
    });
  }

  /** Flushes; what is left is lost, running exports included. */
  async close(timeoutMs: number): Promise<void> {
    if (this.#isClosed) return;
    await this.flush(timeoutMs);
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#loseQueued();
    for (const end of this.#running) end(new Error('closed'));
    this.#endFlushes();
  }

  get #isIdle(): boolean {
    return this.#queued.length === 0 && this.#running.size === 0;
  }

  #schedule(delayMs: number): void {
    this.#timer?.cancel();
    const pauseMs = this.#pausedUntil - this.#options.clock.now();
    this.#timer = this.#options.clock.schedule(Math.max(delayMs, pauseMs), () => {
      this.#timer = null;
      this.#exportNext();
    });
  }

  /** Exports one batch, and the next one in a later turn. */
  #exportNext(): void {
    if (this.#queued.length === 0 || this.#running.size >= exportsMax || this.#isClosed) return;
    const batch = this.#queued.splice(0, batchMax);
    const timer = this.#options.clock.schedule(exportTimeoutMs, () => done(new Error(`no response within ${exportTimeoutMs / 1_000} s`)));
    const done = (error: Error | null): void => {
      if (!this.#running.delete(done)) return;
      timer.cancel();
      this.#afterExport(batch, error);
    };
    this.#running.add(done);
    try {
      this.#options.send(batch, done);
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
    }
    if (this.#timer === null) this.#scheduleRest();
  }

  #afterExport(batch: readonly Trace[], error: Error | null): void {
    const spans = batch.reduce((sum, trace) => sum + spanCount(trace), 0);
    if (error === null) this.#afterSuccess(spans);
    else this.#afterFailure(spans, error);
    if (this.#isIdle) this.#endFlushes();
    else if (this.#timer === null) this.#scheduleRest();
  }

  #endFlushes(): void {
    for (const end of this.#waiters) end();
  }

  /** A full batch follows at once; a smaller one gathers more first, unless a flush waits. */
  #scheduleRest(): void {
    if (this.#queued.length === 0 || this.#running.size >= exportsMax) return;
    this.#schedule(this.#queued.length >= batchMax || this.#waiters.size > 0 ? 0 : gatherMs);
  }

  #afterSuccess(spans: number): void {
    const rejected = Math.min(this.#rejected, spans);
    this.#rejected -= rejected;
    this.#exported += spans - rejected;
    this.#isFailing = false;
    if (this.#lostUnreported === 0 || this.#isClosed || this.#queued.length > queuedMax / 2) return;
    const lost = this.#lostUnreported;
    this.#lostUnreported = 0;
    this.#options.onRecovered(lost);
  }

  #afterFailure(spans: number, error: Error): void {
    this.countLost(spans);
    if (this.#isClosed) return;
    // A flush does not wait for a collector that is gone.
    if (this.#waiters.size > 0) this.#loseQueued();
    this.#pausedUntil = this.#options.clock.now() + retryMs;
    this.#timer?.cancel();
    this.#timer = null;
    if (this.#isFailing) return;
    this.#isFailing = true;
    this.#options.onTrouble(error);
  }

  #loseQueued(): void {
    for (const trace of this.#queued) this.countLost(spanCount(trace));
    this.#queued = [];
  }
}
