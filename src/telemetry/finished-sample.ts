/**
 * Which finished requests the feed shows. At thousands a second it can't show all: it keeps the last ones with trouble (failed, refused, repeated,
 * answered by a fallback) apart from the last of the others, so that a flood of good ones hides none of them.
 */
import type { Trace } from './traces.ts';

/** Of each kind, in one frame. */
export const sampleMax = 20;
/** Of both kinds, for a reader that comes back. */
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

  /** Requests that finished since the start. */
  get count(): number {
    return this.#count;
  }

  add(trace: Trace): void {
    const number = ++this.#count;
    const list = hadTrouble(trace) ? this.#troubled : this.#others;
    // Both lists are emptied at each frame; without readers only their ends matter.
    if (list.length >= 4 * sampleMax) list.splice(0, 3 * sampleMax);
    list.push({ number, trace });
  }

  /** Ends a frame: what is kept of it can be had from `since`. */
  close(): void {
    if (this.#troubled.length === 0 && this.#others.length === 0) return;
    const shown = [...this.#troubled.slice(-sampleMax), ...this.#others.slice(-sampleMax)].toSorted((a, b) => a.number - b.number);
    this.#kept = [...this.#kept, ...shown].slice(-keptMax);
    this.#troubled = [];
    this.#others = [];
  }

  /** Those that finished after this number of requests, as far as they are kept, the oldest first. */
  since(number: number): Trace[] {
    return this.#kept.filter((one) => one.number > number).map(({ trace }) => trace);
  }
}

/** A request that was rejected (a wrong key, an unknown path) is its caller's trouble: a flood of them hides no failure. */
function hadTrouble({ finished, events }: Trace): boolean {
  if (finished === null || events[0]?.type === 'rejected') return false;
  const { outcome, attempts, fallback } = finished;
  return (outcome !== 'success' && outcome !== 'cancelled') || attempts > 1 || fallback !== null;
}
