import type { CapturedBodies, CapturedBody, Captures } from '../core/captures.ts';
import type { Clock, Timer } from '../core/clock.ts';
import type { AttemptEndEvent, CacheUse, FinishedEvent, OtherCost, RequestOutcome, Wasted } from '../core/events.ts';
import type { TokenUsage } from '../core/facts.ts';
import type { Reason } from '../core/outcome.ts';
import type { Operation, Protocol, SchedulingClass } from '../core/request.ts';
import { LineQueue, type LineSink } from './line-queue.ts';
import { tenths } from './log-lines.ts';
import type { Logger } from './logs.ts';
import { otherCost } from './other-cost.ts';
import type { Redact } from './redact.ts';
import type { Trace } from './traces.ts';

/** Version of the record; raised when a field changes its meaning. New fields don't raise it. */
const recordVersion = 1;
/** Limit of queued records, in UTF-16 units; beyond it records are dropped and counted. */
const requestsBufferLengthMax = 8 * 1024 * 1024;
const flushTimeoutMs = 750;

/** One line of the request log. Public: documented field by field in docs/requests-file.md. */
export interface RequestRecord extends OtherCost {
  readonly v: typeof recordVersion;
  readonly at: number;
  readonly id: string;
  readonly protocol: Protocol;
  readonly operation: Operation;
  readonly model: string;
  readonly client: string;
  readonly priority: SchedulingClass;
  readonly stream: boolean;
  readonly deadlineMs: number | null;
  readonly bodyBytes: number | null;
  readonly inputTokens: number | null;
  readonly outputBound: number | null;
  readonly outcome: RequestOutcome;
  readonly status: number;
  readonly code: FinishedEvent['code'];
  /** The message of an error that Breakwater returned; absent: none. */
  readonly error?: string;
  readonly target: string | null;
  readonly fallback: Reason | null;
  readonly cache: CacheUse | null;
  readonly attemptCount: number;
  readonly attempts: readonly AttemptRecord[];
  readonly queueMs: number;
  readonly durationMs: number;
  readonly firstContentMs: number | null;
  readonly usage: TokenUsage | null;
  readonly costUsd: number | null;
  /** Absent if nothing was wasted. */
  readonly wasted?: Wasted;
  /** With `telemetry.requests.bodies` only. */
  readonly requestBody?: unknown;
  readonly responseBody?: unknown;
  readonly cutBodies?: readonly ('request' | 'response')[];
}

export interface AttemptRecord {
  readonly attempt: number;
  readonly target: string;
  readonly credential: number;
  readonly atMs: number;
  readonly durationMs: number;
  readonly firstContentMs: number | null;
  readonly verdict: AttemptEndEvent['verdict'];
  readonly reason: Reason | null;
  readonly status: number | null;
  readonly usage: TokenUsage | null;
  readonly costUsd?: number;
  readonly estimated?: TokenUsage;
}

export interface RequestLog {
  /** Appends the record of a finished request. Without a trace the record has only the data of `finished`. */
  record(finished: FinishedEvent, trace: Trace | undefined): void;
  /** Number of lost records. */
  readonly dropped: number;
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface RequestLogOptions {
  readonly sink: LineSink;
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** The bodies of finished requests; absent: none are recorded. */
  readonly captures?: Captures | undefined;
  /** Masks keys in a body. */
  readonly redact: Redact;
}

export function createRequestLog({ sink, path, clock, log, captures, redact }: RequestLogOptions): RequestLog {
  const queue = new LineQueue({
    sink,
    clock,
    bufferedLengthMax: requestsBufferLengthMax,
    onTrouble: (error) => log.warn({ path, error: error.message }, 'the request log cannot be written; records are dropped until it can'),
    onRecovered: (dropped) => log.warn({ path, dropped }, `the request log lost ${dropped} records`),
  });
  /** Requests that ended in this turn of the event loop, in which the end of their responses may still be written. */
  const ended: (() => void)[] = [];
  let timer: Timer | null = null;

  function pushEnded(): void {
    timer?.cancel();
    timer = null;
    for (const push of ended.splice(0)) push();
  }

  return {
    record(finished, trace) {
      const push = (): void => {
        const line = JSON.stringify(recordOf(finished, trace, clock));
        const bodies = captures?.bodies(finished.requestId) ?? null;
        queue.push(bodies === null ? `${line}\n` : `${line.slice(0, -1)}${bodyFields(bodies, redact)}}\n`);
      };
      if (captures === undefined) return push();
      ended.push(push);
      timer ??= clock.schedule(0, pushEnded);
    },
    get dropped() {
      return queue.dropped;
    },
    flush() {
      pushEnded();
      return queue.flush(flushTimeoutMs);
    },
    close() {
      pushEnded();
      return queue.close(flushTimeoutMs);
    },
  };
}

function bodyFields({ request, response }: CapturedBodies, redact: Redact): string {
  const cut = [...(request.isCut ? ['request'] : []), ...(response.isCut ? ['response'] : [])];
  const fields = `,"requestBody":${bodyValue(request, redact)},"responseBody":${bodyValue(response, redact)}`;
  return cut.length === 0 ? fields : `${fields},"cutBodies":${JSON.stringify(cut)}`;
}

/** A body as JSON: as it is if it is JSON, with its line breaks as spaces, else as a string; null: not text. */
function bodyValue({ text }: CapturedBody, redact: Redact): string {
  if (text === null) return 'null';
  const masked = redact(text);
  try {
    JSON.parse(masked);
    // In valid JSON line breaks are outside of strings.
    return masked.replace(/[\r\n]/g, ' ');
  } catch {
    return JSON.stringify(masked);
  }
}

/** `trace` undefined: only what `finished` holds. */
export function recordOf(finished: FinishedEvent, trace: Trace | undefined, clock: Clock): RequestRecord {
  const received = trace?.received;
  return {
    v: recordVersion,
    at: trace?.startedEpochMs ?? Math.round(clock.epochMs() - finished.durationMs),
    id: finished.requestId,
    protocol: finished.protocol,
    operation: finished.operation,
    model: finished.model,
    client: finished.client,
    priority: finished.priority,
    stream: finished.stream,
    deadlineMs: received === undefined ? null : tenths(received.deadlineMs),
    bodyBytes: received?.bodyBytes ?? null,
    inputTokens: received?.inputTokens ?? null,
    outputBound: received?.outputBound ?? null,
    outcome: finished.outcome,
    status: finished.status,
    code: finished.code,
    ...(finished.message === undefined ? {} : { error: finished.message }),
    target: finished.target,
    fallback: finished.fallback,
    cache: finished.cache,
    attemptCount: finished.attempts,
    attempts: trace === undefined ? [] : attemptsOf(trace),
    queueMs: tenths(finished.queueMs),
    durationMs: tenths(finished.durationMs),
    firstContentMs: finished.firstContentMs === null ? null : tenths(finished.firstContentMs),
    usage: finished.usage,
    costUsd: finished.costUsd,
    ...otherCost(finished),
    ...(finished.wasted === undefined ? {} : { wasted: finished.wasted }),
  };
}

function attemptsOf({ received, events }: Trace): AttemptRecord[] {
  return events
    .filter((event) => event.type === 'attempt_end')
    .map((event) => ({
      attempt: event.attempt,
      target: event.target,
      credential: event.credential,
      atMs: tenths(event.at - event.durationMs - received.at),
      durationMs: tenths(event.durationMs),
      firstContentMs: event.firstContentMs === null ? null : tenths(event.firstContentMs),
      verdict: event.verdict,
      reason: event.reason,
      status: event.status,
      usage: event.usage,
      ...(event.costUsd === undefined ? {} : { costUsd: event.costUsd }),
      ...(event.estimated === undefined ? {} : { estimated: event.estimated }),
    }));
}
