/**
 * Selects the finished requests of the feed, which can't show thousands a second. The last problematic ones (failed, refused, retried,
 * served by a fallback) are stored separately, so that successes do not displace them.
 */
import type { Trace } from './traces.ts';

/** Maximum number of each kind in one frame. */
export const sampleMax = 20;
/** Maximum number of both kinds, for a reader that resumes. */
const keptMax = 100;

interface Numbered {
  readonly number: number;
  readonly trace: Trace;
}

export class FinishedSample {
  #troubled: Numbered[] = [];
  #others: Numbered[] = [];
  #kept: Numbered[] = [];
  #count = 0;

  /** Number of finished requests since the start. */
  get count(): number {
    return this.#count;
  }

  add(trace: Trace): void {
    const number = ++this.#count;
    const list = hadTrouble(trace) ? this.#troubled : this.#others;
    // Both lists are emptied at each frame; without readers only their last entries are needed.
    if (list.length >= 4 * sampleMax) list.splice(0, 3 * sampleMax);
    list.push({ number, trace });
  }

  /** Ends a frame; `since` returns what is stored of it. */
  close(): void {
    if (this.#troubled.length === 0 && this.#others.length === 0) return;
    const shown = [...this.#troubled.slice(-sampleMax), ...this.#others.slice(-sampleMax)].toSorted((a, b) => a.number - b.number);
    this.#kept = [...this.#kept, ...shown].slice(-keptMax);
    this.#troubled = [];
    this.#others = [];
  }

  /** The requests that finished after this number of them, as far as they are stored, oldest first. */
  since(number: number): Trace[] {
    return this.#kept.filter((one) => one.number > number).map(({ trace }) => trace);
  }
}

/** Rejected requests (a wrong key, an unknown path) are their callers' fault and do not displace failures. */
function hadTrouble({ finished, events }: Trace): boolean {
  if (finished === null || events[0]?.type === 'rejected') return false;
  const { outcome, attempts, fallback } = finished;
  return (outcome !== 'success' && outcome !== 'cancelled') || attempts > 1 || fallback !== null;
}
