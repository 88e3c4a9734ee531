import type { AttemptEndEvent, Blocker, BreakwaterEvent, FinishedEvent } from '../core/events.ts';

/** Levels of what is logged; `debug` lines tell every event. */
export type LineLevel = 'debug' | 'info' | 'warn' | 'error';

/** One line: level, message and fields. A field that is undefined is not written. */
export interface LogLine {
  readonly level: LineLevel;
  readonly message: string;
  readonly fields: object;
}

/**
 * At which level an event is logged. Things that go as they should are `info`; what an operator may have to look at is
 * `warn`; the rest of the story of a request is `debug`.
 */
export function levelOf(event: BreakwaterEvent): LineLevel {
  switch (event.type) {
    case 'attempt_end':
      return event.verdict === 'success' || event.verdict === 'cancelled' ? 'info' : 'warn';
    case 'finished':
      return event.outcome === 'success' || event.outcome === 'cancelled' ? 'info' : 'warn';
    case 'breaker':
      return event.to === 'open' ? 'warn' : 'info';
    case 'cooldown':
      return event.kind === 'bench' ? 'warn' : 'info';
    case 'warning':
      return 'warn';
    case 'lifecycle':
      return event.state === 'reload_failed' ? 'error' : 'info';
    default:
      return 'debug';
  }
}

/** The message and fields of an event's line. Fields are documented in docs/logs.md. */
export function fieldsOf(event: BreakwaterEvent): { message: string; fields: object } {
  switch (event.type) {
    case 'attempt_end':
      return { message: 'attempt ended', fields: attemptFields(event) };
    case 'finished':
      return { message: 'request finished', fields: finishedFields(event) };
    case 'warning':
      return { message: event.message, fields: { event: event.type, detail: event.detail } };
    case 'lifecycle':
      return { message: event.state.replace('_', ' '), fields: { event: event.type, state: event.state, detail: event.detail } };
    case 'queued': {
      const { type, at: _at, blockers, ...rest } = event;
      return { message: 'queued', fields: { event: type, ...rest, blockers: blockers.map(blockerText) } };
    }
    default: {
      const { type, at: _at, ...rest } = event;
      return { message: plainMessages[type], fields: { event: type, ...rest } };
    }
  }
}

const plainMessages = {
  received: 'request received',
  attempt: 'attempt started',
  backoff: 'backing off',
  note: 'note',
  committed: 'committed',
  breaker: 'breaker changed',
  cooldown: 'cooling down',
} as const;

// The two lines of every request are written out field by field: a literal of one shape is what pino is fast on.

function attemptFields(event: AttemptEndEvent): object {
  return {
    event: 'attempt_end',
    requestId: event.requestId,
    attempt: event.attempt,
    target: event.target,
    verdict: event.verdict,
    reason: event.reason ?? undefined,
    status: event.status ?? undefined,
    failure: event.failure ?? undefined,
    phase: event.phase ?? undefined,
    error: event.message ?? undefined,
    durationMs: tenths(event.durationMs),
    firstContentMs: event.firstContentMs === null ? undefined : tenths(event.firstContentMs),
    inputTokens: event.usage?.inputTokens,
    outputTokens: event.usage?.outputTokens,
    upstreamRequestId: event.upstreamRequestId ?? undefined,
  };
}

function finishedFields(event: FinishedEvent): object {
  return {
    event: 'finished',
    requestId: event.requestId,
    outcome: event.outcome,
    status: event.status,
    code: event.code ?? undefined,
    model: event.model,
    client: event.client,
    priority: event.priority,
    operation: event.operation,
    stream: event.stream,
    target: event.target ?? undefined,
    attempts: event.attempts,
    fallback: event.fallback ?? undefined,
    queueMs: tenths(event.queueMs),
    durationMs: tenths(event.durationMs),
    firstContentMs: event.firstContentMs === null ? undefined : tenths(event.firstContentMs),
    inputTokens: event.usage?.inputTokens,
    outputTokens: event.usage?.outputTokens,
    costUsd: event.costUsd ?? undefined,
  };
}

/** Milliseconds to a tenth: more digits say nothing, and cost. */
export function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}

/** `openai/gpt-5: tokens, free in 1200 ms` */
export function blockerText(blocker: Blocker): string {
  return `${blocker.target}: ${blocker.kind}, ${waitText(blocker.waitMs)}`;
}

function waitText(waitMs: number | null): string {
  if (waitMs === null) return 'free when another request ends';
  return waitMs === Infinity ? 'for good' : `free in ${Math.round(waitMs)} ms`;
}
