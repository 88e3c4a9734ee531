/** A short text for the failure of a call, the same in the dashboard, `breakwater why` and the waterfall. */
import type { AttemptEndEvent } from '../core/events.ts';
import type { Reason } from '../core/outcome.ts';

type Failed = Pick<AttemptEndEvent, 'reason' | 'status' | 'failure' | 'phase' | 'quality'>;

/** `503 server error`, `connection refused or broken`, `no response in time`. */
export function causeText(event: Failed): string {
  const words = wordsOf(event);
  const isErrorStatus = event.status !== null && event.status >= 400;
  return isErrorStatus ? `${event.status} ${words}` : words;
}

function wordsOf({ failure, reason, phase, quality }: Failed): string {
  switch (failure) {
    case 'connect':
      return 'cannot connect';
    case 'exhausted':
      return 'no local socket or memory for a connection';
    case 'reset':
      return 'connection broken before the response';
    case 'timeout':
      return phase === 'committed' ? 'stream stalled' : `timeout ${phaseTexts[phase ?? 'headers']}`;
    case 'slow':
      return 'slower than its learned limit';
    case 'cut':
      return phase === 'committed' ? 'stream cut off' : 'response cut off';
    case 'malformed':
      return 'unreadable response';
    case 'empty':
      return 'empty response';
    case 'failed_check':
      return quality === null ? 'failed a quality check' : `failed a quality check (${quality})`;
    case 'error':
      return `error in a success response (${reasonText(reason)})`;
    case 'status':
    case null:
      return reasonText(reason);
  }
}

const phaseTexts = {
  connect: 'connecting',
  headers: 'waiting for headers',
  first_content: 'waiting for first content',
  answer: 'waiting for the complete response',
  committed: 'in the stream',
} as const;

/** The text of a reason. */
export function reasonText(reason: Reason | null): string {
  return reason === null ? 'failed' : (reasonTexts[reason] ?? reason.replaceAll('_', ' '));
}

const reasonTexts: Partial<Record<Reason, string>> = {
  rate_limited: 'rate limit',
  quota: 'quota spent',
  auth: 'credential refused',
  slow: 'too slow',
  connection: 'connection failure',
  internal: 'internal error',
  context_length: 'context too long',
  model_not_found: 'model not found',
  unsupported: 'unsupported parameter',
  refused: 'unknown error',
  limited: 'held back by a limit',
  cooling: 'in cooldown',
  quarantined: 'credential quarantined',
  open: 'circuit breaker open',
  deadline: 'deadline too close',
  quality: 'failed a quality check',
  budget: "over the client's budget",
};
