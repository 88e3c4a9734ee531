/** Explains a request from its record in the request log. A record lacks parts of a timeline: provider messages and queue blockers. */
import type { AttemptEndEvent, AttemptEvent, FinishedEvent, ReceivedEvent } from '../core/events.ts';
import type { AttemptRecord, RequestRecord } from './request-log.ts';
import { otherCost } from './other-cost.ts';
import { explain, type Explanation } from './explanation.ts';
import type { RequestScopedEvent } from './traces.ts';

export function explainRecord(record: RequestRecord): Explanation {
  return explain({ received: receivedOf(record), events: eventsOf(record), finished: finishedOf(record) });
}

function receivedOf(record: RequestRecord): ReceivedEvent {
  const { id, protocol, operation, model, client, priority, stream } = record;
  return {
    type: 'received',
    requestId: id,
    at: 0,
    protocol,
    operation,
    model,
    client,
    priority,
    stream,
    deadlineMs: record.deadlineMs ?? 0,
    bodyBytes: record.bodyBytes ?? 0,
    inputTokens: record.inputTokens ?? 0,
    outputBound: record.outputBound,
  };
}

function eventsOf(record: RequestRecord): RequestScopedEvent[] {
  const attempts = record.attempts.toSorted((a, b) => a.attempt - b.attempt);
  const first = attempts[0];
  const events: RequestScopedEvent[] = [];
  // A record has only the total queue time, which is shown before the first attempt.
  if (record.queueMs > 0)
    events.push({ type: 'queued', requestId: record.id, at: Math.max(0, (first?.atMs ?? record.queueMs) - record.queueMs), blockers: [] });
  for (const attempt of attempts) events.push(begin(record, attempt, attempt === first ? record.queueMs : 0), end(record, attempt));
  return events;
}

function begin({ id }: RequestRecord, { attempt, target, credential, atMs }: AttemptRecord, queuedMs: number): AttemptEvent {
  const common = { requestId: id, at: atMs, attempt, target, provider: target.split('/', 1)[0]!, credential };
  return { type: 'attempt', ...common, queuedMs, probe: false, race: null };
}

function end({ id }: RequestRecord, record: AttemptRecord): AttemptEndEvent {
  const { attempt, target, credential, durationMs, firstContentMs, verdict, reason, status, usage, costUsd, estimated } = record;
  return {
    type: 'attempt_end',
    requestId: id,
    at: record.atMs + durationMs,
    provider: target.split('/', 1)[0]!,
    attempt,
    target,
    credential,
    durationMs,
    firstContentMs,
    verdict,
    reason,
    status,
    usage,
    failure: null,
    quality: null,
    phase: null,
    message: null,
    ...(costUsd !== undefined && { costUsd }),
    ...(estimated !== undefined && { estimated }),
    upstreamRequestId: null,
  };
}

function finishedOf(record: RequestRecord): FinishedEvent {
  const { id, protocol, operation, model, client, priority, stream, outcome, status, code, target, fallback, cache } = record;
  return {
    type: 'finished',
    requestId: id,
    at: record.durationMs,
    protocol,
    operation,
    model,
    client,
    priority,
    stream,
    outcome,
    status,
    code,
    target,
    fallback,
    cache,
    attempts: record.attemptCount,
    queueMs: record.queueMs,
    durationMs: record.durationMs,
    firstContentMs: record.firstContentMs,
    usage: record.usage,
    costUsd: record.costUsd,
    ...otherCost(record),
    ...(record.wasted !== undefined && { wasted: record.wasted }),
    ...(record.error !== undefined && { message: record.error }),
  };
}
