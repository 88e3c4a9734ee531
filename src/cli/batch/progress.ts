/** Progress of a batch on one line: share, rate, failures, and the remaining time at the recent rate. */
import type { Instant } from '../../core/clock.ts';

export interface Counts {
  readonly status: string;
  readonly total: number;
  readonly completed: number;
  readonly failed: number;
  /** Requests at a provider's own batch API, which end together at a time that is not known. */
  readonly handedOver?: number;
}

const BAR_LENGTH = 24;
/** Window of the rate, in milliseconds. */
const WINDOW_MS = 30_000;

export interface Pace {
  /** Requests per second; null if not known yet. */
  readonly perSecond: number | null;
  /** Remaining time; null if nothing has finished recently. */
  readonly leftMs: number | null;
}

export class Progress {
  readonly #marks: { readonly at: Instant; readonly done: number }[] = []; // Samples of the last WINDOW_MS, a few per second.

  note(counts: Counts, now: Instant): Pace {
    const done = counts.completed + counts.failed;
    this.#marks.push({ at: now, done });
    while (this.#marks.length > 2 && this.#marks[1]!.at <= now - WINDOW_MS) this.#marks.shift();
    const first = this.#marks[0]!;
    const seconds = (now - first.at) / 1000;
    if (seconds < 1) return { perSecond: null, leftMs: null };
    const perSecond = (done - first.done) / seconds;
    return { perSecond, leftMs: perSecond > 0 ? ((counts.total - done) / perSecond) * 1000 : null };
  }
}

export function renderProgress(counts: Counts, { perSecond, leftMs }: Pace): string {
  const { status, total, completed, failed, handedOver = 0 } = counts;
  if (total === 0) return `${status} …`;
  const done = completed + failed;
  const filled = Math.floor((done / total) * BAR_LENGTH);
  const bar = `[${'#'.repeat(filled)}${'-'.repeat(BAR_LENGTH - filled)}]`;
  const parts = [`${bar} ${done}/${total}`, `${Math.floor((done / total) * 100)} %`];
  if (done < total && perSecond !== null) parts.push(rateText(perSecond));
  parts.push(failed === 0 ? 'no failures' : `${failed} failed`);
  if (done < total && handedOver > 0) parts.push(`${handedOver} in a batch of the provider`);
  else if (done < total)
    parts.push(leftMs === null ? (perSecond === null ? status : 'waiting: nothing has finished recently') : `${timeText(leftMs)} left`);
  else parts.push(status);
  return parts.join('  ');
}

function rateText(perSecond: number): string {
  return perSecond >= 10
    ? `${Math.round(perSecond)}/s`
    : perSecond >= 0.1
      ? `${perSecond.toFixed(1)}/s`
      : `${(perSecond * 60).toFixed(1)}/min`;
}

export function timeText(ms: number): string {
  const seconds = Math.max(1, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
