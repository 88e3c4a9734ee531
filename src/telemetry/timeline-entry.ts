import type { AttemptEndEvent, AttemptEvent, Blocker, FinishedEvent, ReceivedEvent, Wasted } from '../core/events.ts';
import { blockerText, tenths } from './log-lines.ts';
import { unmeasuredText } from './other-cost.ts';
import type { RequestScopedEvent, Trace } from './traces.ts';

/** One event of a request, with its time, a sentence and its fields. JSON-ready. */
export interface TimelineEntry {
  /** Milliseconds since the request was received. */
  readonly atMs: number;
  /** ISO 8601. */
  readonly at: string;
  readonly type: RequestScopedEvent['type'];
  /** A sentence; its wording may change. */
  readonly text: string;
  /** The event's own fields. */
  readonly details: Readonly<Record<string, unknown>>;
}

export function entryOf(event: RequestScopedEvent, trace: Trace): TimelineEntry {
  const { type, at, requestId: _requestId, ...details } = event;
  const atMs = tenths(at - trace.received.at);
  return {
    atMs,
    at: new Date(trace.startedEpochMs + atMs).toISOString(),
    type,
    text: textOf(event),
    details: event.type === 'queued' ? { blockers: event.blockers.map(blockerDetails) } : details,
  };
}

/** JSON has no Infinity. */
function blockerDetails(blocker: Blocker): object {
  return { ...blocker, waitMs: blocker.waitMs === Infinity ? 'never' : blocker.waitMs };
}

function textOf(event: RequestScopedEvent): string {
  switch (event.type) {
    case 'received':
      return receivedText(event);
    case 'queued':
      return `queued, no target can start: ${event.blockers.map(blockerText).join('; ')}`;
    case 'attempt':
      return attemptText(event);
    case 'attempt_end':
      return attemptEndText(event);
    case 'backoff':
      return `backoff of ${duration(event.delayMs)} before the next attempt (${event.reason})`;
    case 'note':
      return event.target === undefined ? event.note : `${event.target}: ${event.note}`;
    case 'committed':
      return `the response of attempt ${event.attempt} (${event.target}) starts to reach the caller`;
    case 'rejected':
      return `${event.method} ${event.path} was rejected with status ${event.status} (${event.code}): ${event.message}`;
    case 'finished':
      return finishedText(event);
  }
}

function receivedText(event: ReceivedEvent): string {
  const what = `${event.stream ? 'streaming' : 'non-streaming'} ${event.operation} for ${event.model}`;
  return `received from ${event.client}: ${what}, priority ${event.priority}, ${duration(event.deadlineMs)} until the deadline`;
}

function attemptText(event: AttemptEvent): string {
  const waited = event.queuedMs > 0 ? `, after ${duration(event.queuedMs)} in the queue` : '';
  return `attempt ${event.attempt} is sent to ${event.target} (credential ${event.credential})${waited}${event.probe ? ', as a probe' : ''}${raceTexts[event.race ?? 'none']}`;
}

const raceTexts = {
  none: '',
  hedge: ', as a hedge beside a silent attempt',
  probe: ', beside a silent probe',
  rescue: ', as a rescue beside an attempt that has been silent for too long',
} as const;

function attemptEndText(event: AttemptEndEvent): string {
  const took = `attempt ${event.attempt} on ${event.target} ended after ${duration(event.durationMs)}`;
  if (event.verdict === 'success') return `${took}: success`;
  const facts = [
    event.reason,
    event.status === null ? null : `status ${event.status}`,
    event.failure === 'status' ? null : event.failure,
    event.phase === null ? null : `in phase ${event.phase}`,
  ].filter((fact) => fact !== null);
  const message = event.message === null ? '' : `: ${event.message}`;
  return `${took}: ${verdictTexts[event.verdict]}${facts.length === 0 ? '' : ` (${facts.join(', ')})`}${message}`;
}

const verdictTexts = {
  retry: 'failed, this target may work later',
  switch: 'failed, only another target may work',
  reject: 'failed, no target can serve this request',
  cancelled: 'cancelled',
} as const;

function finishedText(event: FinishedEvent): string {
  const parts = [`${event.outcome} with status ${event.status}`];
  if (event.code !== null) parts.push(`code ${event.code}`);
  if (event.target !== null) parts.push(`served by ${event.target}${event.fallback === null ? '' : ` as a fallback (${event.fallback})`}`);
  if (event.cache !== null) parts.push(cacheTexts[event.cache]);
  parts.push(`${event.attempts} ${event.attempts === 1 ? 'attempt' : 'attempts'}`);
  parts.push(`${duration(event.durationMs)} in total, ${duration(event.queueMs)} of it in the queue`);
  if (event.wasted !== undefined) parts.push(wastedText(event.wasted));
  return parts.join(', ');
}

function wastedText({ usage, costUsd, unmeasuredCalls = 0 }: Wasted): string {
  const tokens = `${usage.inputTokens + usage.outputTokens} tokens`;
  const known = costUsd === null ? tokens : `${tokens} (${dollars(costUsd)})`;
  return `wasted on other calls: ${known}${unmeasuredCalls === 0 ? '' : `, and ${unmeasuredText(unmeasuredCalls)}`}`;
}

function dollars(usd: number): string {
  return `$${Number(usd.toPrecision(3))}`;
}

const cacheTexts = {
  hit: 'from the cache',
  stale: 'from the cache, an expired response',
  coalesced: 'shared with an identical request',
} as const;

function duration(ms: number): string {
  return ms < 10_000 ? `${tenths(ms)} ms` : `${Math.round(ms / 100) / 10} s`;
}
