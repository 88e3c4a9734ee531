import type { AttemptEndEvent, Blocker, BreakwaterEvent, FinishedEvent, OtherCost, Wasted } from '../core/events.ts';
import type { TokenUsage } from '../core/facts.ts';
import { createMemory, joined } from './last-text.ts';

/** Log levels; at `debug` every event is logged. */
export type LineLevel = 'debug' | 'info' | 'warn' | 'error';

/**
 * The log level of an event. Normal operation is `info`; events that may need an operator's attention are `warn`; other
 * steps of a request are `debug`.
 */
export function levelOf(event: BreakwaterEvent): LineLevel {
  switch (event.type) {
    case 'attempt_end':
      return event.verdict === 'success' || event.verdict === 'cancelled' ? 'info' : 'warn';
    case 'finished':
      return event.outcome === 'success' || event.outcome === 'cancelled' ? 'info' : 'warn';
    case 'rejected':
      return 'warn';
    case 'note':
      return event.notable ?? 'debug';
    case 'breaker':
      return event.to === 'open' ? 'warn' : 'info';
    case 'cooldown':
      return event.kind === 'quarantine' ? 'warn' : 'info';
    case 'warning':
      return 'warn';
    case 'lifecycle':
      if (event.state === 'reload_failed') return 'error';
      return event.state === 'fleet_lost' ? 'warn' : 'info';
    default:
      return 'debug';
  }
}

/** The end of an event's line: its message. */
export function endOf(event: BreakwaterEvent): string {
  if (event.type === 'warning') return `,"msg":"${escaped(event.message)}"}\n`;
  return `,"msg":"${event.type === 'lifecycle' ? event.state.replace('_', ' ') : plainMessages[event.type]}"}\n`;
}

const plainMessages = {
  attempt_end: 'attempt ended',
  finished: 'request finished',
  received: 'request received',
  rejected: 'request rejected',
  queued: 'queued',
  attempt: 'attempt started',
  backoff: 'backing off',
  note: 'note',
  committed: 'committed',
  breaker: 'breaker changed',
  cooldown: 'cooling down',
} as const;

/**
 * The fields of an event's line as a fragment of JSON: `,"event":"…","requestId":"…"`. They are documented in docs/logs.md;
 * fields without a value are omitted. The two lines of every request are concatenated by hand, with a cache of the
 * part that they share with the previous line: a quarter of the time that JSON.stringify takes for an object.
 */
export function createFieldsWriter(): (event: BreakwaterEvent) => string {
  const attemptFields = createAttemptFields();
  const finishedFields = createFinishedFields();
  return (event) => {
    switch (event.type) {
      case 'attempt_end':
        return attemptFields(event);
      case 'finished':
        return finishedFields(event);
      case 'warning':
        return objectFields({ event: event.type, detail: event.detail });
      case 'queued':
        return objectFields({ event: event.type, requestId: event.requestId, blockers: event.blockers.map(blockerText) });
      case 'note':
        return objectFields({ event: event.type, requestId: event.requestId, note: event.note, target: event.target });
      case 'rejected': {
        const { type, requestId, status, code, message, method, path } = event;
        return objectFields({
          event: type,
          requestId,
          status,
          code,
          error: message,
          method,
          path,
          ...(event.client !== null && { client: event.client }),
          ...(event.keyState !== undefined && { keyState: event.keyState }),
          ...(event.model !== null && { model: event.model }),
          ...(event.hadModel === true && { hadModel: true }),
        });
      }
      case 'lifecycle':
        return objectFields({ event: event.type, state: event.state, detail: event.detail, ...event.facts });
      default: {
        const { type, at: _at, ...rest } = event;
        return objectFields({ event: type, ...rest });
      }
    }
  };
}

function objectFields(fields: object): string {
  return `,${JSON.stringify(fields, asLogged).slice(1, -1)}`;
}

/** Without nulls and values that JSON can't represent; numbers to one decimal. */
function asLogged(_name: string, value: unknown): unknown {
  if (typeof value === 'number') return Number.isFinite(value) ? tenths(value) : undefined;
  return value ?? undefined;
}

// Values from the program's own lists are inserted unescaped; all other text is escaped. V8 keeps a concatenated line as a tree of its parts
// until it is written, and each part costs then: hence few and long parts, and the cache of the part shared with the previous line.

function createAttemptFields(): (event: AttemptEndEvent) => string {
  const middleOf = createMemory<AttemptEndEvent>(({ target }) => target, isSameAttempt, attemptMiddle);
  return (event) => {
    return (
      `,"event":"attempt_end","requestId":"${escaped(event.requestId)}` +
      middleOf(event) +
      `,"credential":${event.credential}` + // not cached: credentials rotate
      (event.message === null ? '' : `,"error":"${escaped(event.message)}"`) +
      times(event) +
      (event.usage === null ? '' : tokens(event.usage)) +
      (event.upstreamRequestId === null ? '' : `,"upstreamRequestId":"${escaped(event.upstreamRequestId)}"`)
    );
  };
}

function isSameAttempt(a: AttemptEndEvent, b: AttemptEndEvent): boolean {
  return (
    a.attempt === b.attempt &&
    a.verdict === b.verdict &&
    a.reason === b.reason &&
    a.status === b.status &&
    a.failure === b.failure &&
    a.phase === b.phase
  );
}

/** From the end of the request's id on. */
function attemptMiddle(event: AttemptEndEvent): string {
  return joined(
    `","attempt":${event.attempt},"target":"${escaped(event.target)}","verdict":"${event.verdict}"`,
    event.reason === null ? '' : `,"reason":"${event.reason}"`,
    event.status === null ? '' : figure('status', event.status),
    event.failure === null ? '' : `,"failure":"${event.failure}"`,
    event.phase === null ? '' : `,"phase":"${event.phase}"`,
  );
}

function createFinishedFields(): (event: FinishedEvent) => string {
  const middleOf = createMemory<FinishedEvent>(({ target }) => target, isSameRequest, finishedMiddle);
  return (event) => {
    return (
      `,"event":"finished","requestId":"${escaped(event.requestId)}` +
      middleOf(event) +
      (event.message === undefined ? '' : `,"error":"${escaped(event.message)}"`) +
      figure('queueMs', tenths(event.queueMs)) +
      times(event) +
      (event.usage === null ? '' : tokens(event.usage)) +
      (event.costUsd === null ? '' : dollars('costUsd', event.costUsd)) +
      otherCost(event) +
      (event.wasted === undefined ? '' : wasted(event.wasted))
    );
  };
}

function isSameRequest(a: FinishedEvent, b: FinishedEvent): boolean {
  return (
    a.model === b.model &&
    a.client === b.client &&
    a.outcome === b.outcome &&
    a.status === b.status &&
    a.code === b.code &&
    a.priority === b.priority &&
    a.operation === b.operation &&
    a.stream === b.stream &&
    a.attempts === b.attempts &&
    a.fallback === b.fallback &&
    a.cache === b.cache
  );
}

/** From the end of the request's id to `queueMs`. */
function finishedMiddle(event: FinishedEvent): string {
  return joined(
    `","outcome":"${event.outcome}","status":${event.status}`,
    event.code === null ? '' : `,"code":"${event.code}"`,
    `,"model":"${escaped(event.model)}","client":"${escaped(event.client)}","priority":"${event.priority}"`,
    `,"operation":"${event.operation}","stream":${event.stream}`,
    event.target === null ? '' : `,"target":"${escaped(event.target)}"`,
    `,"attempts":${event.attempts}`,
    event.fallback === null ? '' : `,"fallback":"${event.fallback}"`,
    event.cache === null ? '' : `,"cache":"${event.cache}"`,
  );
}

function times({ durationMs, firstContentMs }: AttemptEndEvent | FinishedEvent): string {
  const duration = figure('durationMs', tenths(durationMs));
  return firstContentMs === null ? duration : duration + figure('firstContentMs', tenths(firstContentMs));
}

function tokens(usage: TokenUsage): string {
  return figure('inputTokens', usage.inputTokens) + figure('outputTokens', usage.outputTokens);
}

function otherCost({ unmeasuredCalls, estimatedUsd, checksUsd }: OtherCost): string {
  return joined(
    unmeasuredCalls === undefined ? '' : figure('unmeasuredCalls', unmeasuredCalls),
    estimatedUsd === undefined ? '' : dollars('estimatedUsd', estimatedUsd),
    checksUsd === undefined ? '' : dollars('checksUsd', checksUsd),
  );
}

function wasted({ usage, costUsd, unmeasuredCalls }: Wasted): string {
  return joined(
    figure('wastedInputTokens', usage.inputTokens) + figure('wastedOutputTokens', usage.outputTokens),
    costUsd === null ? '' : dollars('wastedCostUsd', costUsd),
    unmeasuredCalls === undefined ? '' : figure('wastedUnmeasuredCalls', unmeasuredCalls),
  );
}

function dollars(name: string, usd: number): string {
  return figure(name, Number(usd.toPrecision(6)));
}

/** A field; empty if JSON can't represent the value. */
function figure(name: string, value: number): string {
  return Number.isFinite(value) ? `,"${name}":${value}` : '';
}

/** Printable ASCII without quote and backslash, which JSON does not escape. */
const plainText = /^[ !#-[\]-~]*$/;

/** A text as between the quotes of JSON. */
function escaped(text: string): string {
  return plainText.test(text) ? text : JSON.stringify(text).slice(1, -1);
}

/** Milliseconds to one decimal. */
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
