/** Progress of a batch on one line: share, rate, failures, and the remaining time at the recent rate. */
import type { Pace } from '../../jobs/recent-pace.ts';

export interface Counts {
  readonly status: string;
  readonly total: number;
  readonly completed: number;
  readonly failed: number;
  /** Requests at a provider's own batch API, which end together at a time that is not known. */
  readonly handedOver?: number;
  /** So far, of requests with a known price. */
  readonly costUsd?: number;
  /** Requests wait for a change of the configuration. */
  readonly waitingFor?: string;
}

const BAR_LENGTH = 24;
/** The shortest bar; a line with less room has none. */
const BAR_LENGTH_MIN = 5;
/** Window of the rate, in milliseconds. */
export const PACE_WINDOW_MS = 30_000;

/** On at most `columns` characters: the bar becomes shorter first, then what matters least is left out. */
export function renderProgress(counts: Counts, pace: Pace, columns = Infinity): string {
  const { status, total, completed, failed } = counts;
  if (total === 0) return `${status} …`.slice(0, columns);
  const done = completed + failed;
  const text = fit(partsOf(counts, pace), columns);
  const length = Math.min(BAR_LENGTH, columns - text.length - 3);
  if (length < BAR_LENGTH_MIN) return text.slice(0, columns);
  const filled = Math.floor((done / total) * length);
  return `[${'#'.repeat(filled)}${'-'.repeat(length - filled)}] ${text}`;
}

interface Part {
  readonly text: string;
  /** The lowest are left out first. Infinity: never. */
  readonly rank: number;
}

function fit(parts: readonly Part[], columns: number): string {
  const ranks = parts.map(({ rank }) => rank).filter((rank) => rank < Infinity);
  for (const least of [0, ...ranks.toSorted((a, b) => a - b).map((rank) => rank + 1)]) {
    const text = joined(parts.filter(({ rank }) => rank >= least));
    if (text.length <= columns) return text;
  }
  return joined(parts.filter(({ rank }) => rank === Infinity));
}

function joined(parts: readonly Part[]): string {
  return parts.map(({ text }) => text).join('  ');
}

function partsOf({ status, total, completed, failed, handedOver = 0, costUsd, waitingFor }: Counts, { perSecond, leftMs }: Pace): Part[] {
  const done = completed + failed;
  const parts: Part[] = [
    { text: `${done}/${total}`, rank: Infinity },
    { text: `${Math.floor((done / total) * 100)} %`, rank: 2 },
  ];
  if (done < total && perSecond !== null) parts.push({ text: rateText(perSecond), rank: 4 });
  if (costUsd !== undefined) parts.push({ text: costText(costUsd), rank: 3 });
  parts.push(failed === 0 ? { text: 'no failures', rank: 1 } : { text: `${failed} failed`, rank: 5 });
  let state = status;
  if (done < total && waitingFor !== undefined) state = waitingFor;
  else if (done < total && handedOver > 0) state = `${handedOver} in a batch of the provider`;
  else if (done < total && leftMs !== null) state = `${timeText(leftMs)} left`;
  else if (done < total && perSecond !== null) state = 'waiting: nothing has finished recently';
  return [...parts, { text: state, rank: Infinity }];
}

export function costText(usd: number): string {
  return `$${Number(usd.toPrecision(3))}`;
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
