/**
 * Selects the finished requests of the feed, which can't show thousands a second. The last problematic ones (failed, refused, retried,
 * served by a fallback) are stored separately, so that successes do not displace them. So are rejected ones that count among the errors that
 * callers see: thousands of them do not displace failures.
 */
import type { Trace } from './traces.ts';

/** Maximum number of problematic ones, and of others, in one frame. */
export const sampleMax = 20;
/** Maximum number of both kinds, for a reader that resumes. */
const keptMax = 100;

interface Numbered {
  readonly number: number;
  readonly trace: Trace;
}

export class FinishedSample {
  #troubled: Numbered[] = [];
  #rejected: Numbered[] = [];
  #others: Numbered[] = [];
  #kept: Numbered[] = [];
  #count = 0;

  /** Number of finished requests since the start. */
  get count(): number {
    return this.#count;
  }

  add(trace: Trace): void {
    const number = ++this.#count;
    const list = this.#listOf(trace);
    // The lists are emptied at each frame; without readers only their last entries are needed.
    if (list.length >= 4 * sampleMax) list.splice(0, 3 * sampleMax);
    list.push({ number, trace });
  }

  /** Rejected requests that are their callers' fault (a wrong key, an unknown path) are among the others. */
  #listOf(trace: Trace): Numbered[] {
    if (trace.events[0]?.type === 'rejected') return trace.isCallerVisible === true ? this.#rejected : this.#others;
    return hadTrouble(trace) ? this.#troubled : this.#others;
  }

  /** Ends a frame; `since` returns what is stored of it. */
  close(): void {
    if (this.#troubled.length === 0 && this.#rejected.length === 0 && this.#others.length === 0) return;
    const room = Math.max(sampleMax / 2, sampleMax - this.#troubled.length);
    const rejected = this.#rejected.slice(-room);
    const troubled = this.#troubled.slice(-(sampleMax - rejected.length));
    const shown = [...troubled, ...rejected, ...this.#others.slice(-sampleMax)].toSorted((a, b) => a.number - b.number);
    this.#kept = [...this.#kept, ...shown].slice(-keptMax);
    this.#troubled = [];
    this.#rejected = [];
    this.#others = [];
  }

  /** The requests that finished after this number of them, as far as they are stored, oldest first. */
  since(number: number): Trace[] {
    return this.#kept.filter((one) => one.number > number).map(({ trace }) => trace);
  }
}

function hadTrouble({ finished }: Trace): boolean {
  if (finished === null) return false;
  const { outcome, attempts, fallback } = finished;
  return (outcome !== 'success' && outcome !== 'cancelled') || attempts > 1 || fallback !== null;
}
