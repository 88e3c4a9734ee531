/** Which requests the list shows, and what is alarming about one. Pure. */
import type { FeedState, RequestSummary } from './frames.ts';

export const requestFilters = ['all', 'trouble', 'running'] as const;
export type RequestFilter = (typeof requestFilters)[number];

/** What the list shows requests of. */
export interface RequestSource {
  readonly running: FeedState['running'];
  /** Finished ones, newest first. */
  readonly requests: readonly RequestSummary[];
}

const runningFirst = 3;

export function matchingRequests({ running, requests }: RequestSource, filter: RequestFilter, text: string): readonly RequestSummary[] {
  const all =
    filter === 'running' ? running : filter === 'trouble' ? requests.filter(hadTrouble) : [...running.slice(0, runningFirst), ...requests];
  const wanted = text.trim().toLowerCase();
  if (wanted === '') return all;
  return all.filter((one) =>
    [one.id, one.model, one.client, one.target ?? '', one.code ?? ''].some((value) => value.toLowerCase().includes(wanted)),
  );
}

export function toneOf(request: RequestSummary): 'good' | 'info' | 'warn' | 'bad' {
  const { outcome, fallback } = request;
  if (isCallerError(request)) return 'info';
  if (outcome === 'success') return fallback === null ? 'good' : 'warn';
  return outcome === 'running' || outcome === 'cancelled' ? 'info' : 'bad';
}

/** An invalid request, an unknown path, or a wrong key is not alarming, unless a change of the configuration is behind it. */
function isCallerError({ outcome, status, callerVisible }: RequestSummary): boolean {
  return outcome === 'refused' && status !== null && status < 429 && callerVisible !== true;
}

function hadTrouble(request: RequestSummary): boolean {
  const { outcome, attempts, fallback } = request;
  if (isCallerError(request)) return false;
  return (outcome !== 'success' && outcome !== 'cancelled') || attempts > 1 || fallback !== null;
}
