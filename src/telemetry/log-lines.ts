import type { AttemptEndEvent, Blocker, BreakwaterEvent, FinishedEvent } from '../core/events.ts';
import type { TokenUsage } from '../core/facts.ts';

/** Levels of what is logged; `debug` lines tell every event. */
export type LineLevel = 'debug' | 'info' | 'warn' | 'error';

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

/** The message of an event's line. */
export function messageOf(event: BreakwaterEvent): string {
  if (event.type === 'warning') return event.message;
  return event.type === 'lifecycle' ? event.state.replace('_', ' ') : plainMessages[event.type];
}

const plainMessages = {
  attempt_end: 'attempt ended',
  finished: 'request finished',
  received: 'request received',
  queued: 'queued',
  attempt: 'attempt started',
  backoff: 'backing off',
  note: 'note',
  committed: 'committed',
  breaker: 'breaker changed',
  cooldown: 'cooling down',
} as const;

/**
 * The fields of an event's line as a piece of JSON: `,"event":"…","requestId":"…"`. They are documented in docs/logs.md;
 * one without a value is left out. The two lines that every request has are written out, which takes a quarter of the
 * time that pino takes for an object.
 */
export function fieldsOf(event: BreakwaterEvent): string {
  switch (event.type) {
    case 'attempt_end':
      return attemptFields(event);
    case 'finished':
      return finishedFields(event);
    case 'warning':
      return objectFields({ event: event.type, detail: event.detail });
    case 'queued':
      return objectFields({ event: event.type, requestId: event.requestId, blockers: event.blockers.map(blockerText) });
    default: {
      const { type, at: _at, ...rest } = event;
      return objectFields({ event: type, ...rest });
    }
  }
}

function objectFields(fields: object): string {
  return `,${JSON.stringify(fields).slice(1, -1)}`;
}

// Tokens from our own lists stand as they are; every other text is quoted.

function attemptFields(event: AttemptEndEvent): string {
  return (
    `,"event":"attempt_end","requestId":${JSON.stringify(event.requestId)},"attempt":${event.attempt}` +
    `,"target":${JSON.stringify(event.target)},"verdict":"${event.verdict}"` +
    (event.reason === null ? '' : `,"reason":"${event.reason}"`) +
    optional('status', event.status) +
    (event.failure === null ? '' : `,"failure":"${event.failure}"`) +
    (event.phase === null ? '' : `,"phase":"${event.phase}"`) +
    (event.message === null ? '' : `,"error":${JSON.stringify(event.message)}`) +
    `,"durationMs":${figure(tenths(event.durationMs))}` +
    milliseconds('firstContentMs', event.firstContentMs) +
    tokens(event.usage) +
    (event.upstreamRequestId === null ? '' : `,"upstreamRequestId":${JSON.stringify(event.upstreamRequestId)}`)
  );
}

function finishedFields(event: FinishedEvent): string {
  return (
    `,"event":"finished","requestId":${JSON.stringify(event.requestId)},"outcome":"${event.outcome}","status":${event.status}` +
    (event.code === null ? '' : `,"code":"${event.code}"`) +
    `,"model":${JSON.stringify(event.model)},"client":${JSON.stringify(event.client)},"priority":"${event.priority}"` +
    `,"operation":"${event.operation}","stream":${event.stream}` +
    (event.target === null ? '' : `,"target":${JSON.stringify(event.target)}`) +
    `,"attempts":${event.attempts}` +
    (event.fallback === null ? '' : `,"fallback":"${event.fallback}"`) +
    `,"queueMs":${figure(tenths(event.queueMs))},"durationMs":${figure(tenths(event.durationMs))}` +
    milliseconds('firstContentMs', event.firstContentMs) +
    tokens(event.usage) +
    optional('costUsd', event.costUsd)
  );
}

function tokens(usage: TokenUsage | null): string {
  return usage === null ? '' : `,"inputTokens":${figure(usage.inputTokens)},"outputTokens":${figure(usage.outputTokens)}`;
}

function milliseconds(name: string, value: number | null): string {
  return value === null ? '' : `,"${name}":${figure(tenths(value))}`;
}

/** JSON has no word for NaN and the infinities. */
function figure(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

function optional(name: string, value: number | null): string {
  return value === null ? '' : `,"${name}":${figure(value)}`;
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
