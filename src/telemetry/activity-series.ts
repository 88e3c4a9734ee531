/**
 * Request statistics of the last hour in intervals of five seconds, for the dashboard's charts. Constant memory. Requests rejected before
 * a target was chosen are no demand; those that count among the errors that callers see are `rejected` (recent-errors.ts).
 */
import type { FinishedEvent, RequestOutcome } from '../core/events.ts';
import { POINT_COLUMNS, POINT_MS, POINTS_MAX, type Point, type PointColumn, type Rates } from './feed-frames.ts';
import { LogHistogram } from './log-histogram.ts';

const columnOf = Object.fromEntries(POINT_COLUMNS.map((name, index) => [name, index])) as Record<PointColumn, number>;
const outcomeColumns: Readonly<Record<RequestOutcome, PointColumn>> = {
  success: 'succeeded',
  failed: 'failed',
  interrupted: 'failed',
  refused: 'refused',
  cancelled: 'cancelled',
};
/** Number of intervals for rates, besides the current one. */
const rateIntervals = 2;

export class ActivitySeries {
  readonly #points: (number | null)[][] = [];
  readonly #firstContent = new LogHistogram();
  readonly #duration = new LogHistogram();
  #slot: number;
  #current: (number | null)[];
  #finishedPoints = 0;

  /** `epochMs`: the current wall clock time, as in every other method. */
  constructor(epochMs: number) {
    this.#slot = slotOf(epochMs);
    this.#current = emptyPoint(this.#slot);
  }

  /** Number of completed points since the start, including those no longer stored. */
  get finishedPoints(): number {
    return this.#finishedPoints;
  }

  received(epochMs: number): void {
    this.roll(epochMs);
    this.#count('received');
  }

  attempt(epochMs: number): void {
    this.roll(epochMs);
    this.#count('attempts');
  }

  rejected(epochMs: number): void {
    this.roll(epochMs);
    this.#count('rejected');
  }

  finished(event: FinishedEvent, epochMs: number): void {
    this.roll(epochMs);
    this.#count(outcomeColumns[event.outcome]);
    if (event.outcome === 'success') {
      this.#duration.add(event.durationMs);
      if (event.firstContentMs !== null) this.#firstContent.add(event.firstContentMs);
    }
    if (event.costUsd !== null) this.#current[columnOf.costUsd] = (this.#current[columnOf.costUsd] ?? 0) + event.costUsd;
  }

  /** Completes the intervals that have passed. */
  roll(epochMs: number): void {
    const slot = slotOf(epochMs);
    if (slot === this.#slot || slot === this.#slot - 1) return;
    // The wall clock was set back; later points follow it.
    if (slot < this.#slot) return this.#begin(slot);
    // After a long pause or a jump of the wall clock, at most POINTS_MAX points are created.
    const from = Math.max(this.#slot + 1, slot - POINTS_MAX);
    this.#begin(slot);
    for (let empty = from; empty < slot; empty++) this.#keep(emptyPoint(empty));
  }

  /** Completed points from this number on, as far as they are stored. */
  since(number: number): readonly Point[] {
    const missing = this.#finishedPoints - number;
    return missing <= 0 ? [] : this.#points.slice(-missing);
  }

  rates(epochMs: number): Rates {
    this.roll(epochMs);
    const points = [...this.#points.slice(-rateIntervals), this.#current];
    const sum = (name: PointColumn): number => points.reduce((total, point) => total + (point[columnOf[name]] ?? 0), 0);
    const seconds = ((points.length - 1) * POINT_MS + (epochMs - this.#slot * POINT_MS)) / 1_000;
    return {
      seconds: Math.max(1, Math.round(seconds * 10) / 10),
      received: sum('received'),
      succeeded: sum('succeeded'),
      failed: sum('failed'),
      refused: sum('refused'),
      rejected: sum('rejected'),
      cancelled: sum('cancelled'),
      attempts: sum('attempts'),
    };
  }

  #count(name: PointColumn): void {
    const column = columnOf[name];
    this.#current[column] = (this.#current[column] ?? 0) + 1;
  }

  /** Completes the current interval and starts this one. */
  #begin(slot: number): void {
    this.#current[columnOf.firstContentP50] = this.#firstContent.quantile(0.5);
    this.#current[columnOf.firstContentP95] = this.#firstContent.quantile(0.95);
    this.#current[columnOf.durationP95] = this.#duration.quantile(0.95);
    this.#firstContent.clear();
    this.#duration.clear();
    this.#keep(this.#current);
    this.#slot = slot;
    this.#current = emptyPoint(slot);
  }

  #keep(point: (number | null)[]): void {
    this.#points.push(point);
    this.#finishedPoints++;
    if (this.#points.length > POINTS_MAX) this.#points.shift();
  }
}

function slotOf(epochMs: number): number {
  return Math.floor(epochMs / POINT_MS);
}

function emptyPoint(slot: number): (number | null)[] {
  return [slot * POINT_MS, 0, 0, 0, 0, 0, 0, null, null, null, null, 0];
}
