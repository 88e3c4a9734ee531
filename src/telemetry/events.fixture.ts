import type { AttemptEndEvent, AttemptEvent, FinishedEvent, QueuedEvent, ReceivedEvent } from '../core/events.ts';

/** Complete sample events for the tests of telemetry. */

export function received(change: Partial<ReceivedEvent> = {}): ReceivedEvent {
  return {
    type: 'received',
    requestId: 'req-1',
    at: 0,
    protocol: 'openai',
    operation: 'chat',
    model: 'fast',
    client: 'web',
    priority: 'normal',
    stream: false,
    deadlineMs: 600_000,
    bodyBytes: 1_000,
    inputTokens: 250,
    outputBound: null,
    ...change,
  };
}

export function queued(change: Partial<QueuedEvent> = {}): QueuedEvent {
  return { type: 'queued', requestId: 'req-1', at: 0, blockers: [{ target: 'openai/gpt', kind: 'tokens', waitMs: 1_200 }], ...change };
}

export function attempt(change: Partial<AttemptEvent> = {}): AttemptEvent {
  return {
    type: 'attempt',
    requestId: 'req-1',
    at: 0,
    attempt: 1,
    target: 'openai/gpt',
    provider: 'openai',
    credential: 1,
    queuedMs: 0,
    probe: false,
    race: null,
    ...change,
  };
}

export function attemptEnd(change: Partial<AttemptEndEvent> = {}): AttemptEndEvent {
  return {
    type: 'attempt_end',
    requestId: 'req-1',
    at: 500,
    attempt: 1,
    target: 'openai/gpt',
    provider: 'openai',
    credential: 1,
    durationMs: 500,
    firstContentMs: 120,
    verdict: 'success',
    reason: null,
    status: 200,
    failure: null,
    quality: null,
    phase: null,
    message: null,
    usage: { inputTokens: 240, cachedInputTokens: 40, outputTokens: 60 },
    upstreamRequestId: 'up-1',
    ...change,
  };
}

export function finished(change: Partial<FinishedEvent> = {}): FinishedEvent {
  return {
    type: 'finished',
    requestId: 'req-1',
    at: 500,
    outcome: 'success',
    protocol: 'openai',
    operation: 'chat',
    model: 'fast',
    client: 'web',
    priority: 'normal',
    stream: false,
    status: 200,
    code: null,
    target: 'openai/gpt',
    attempts: 1,
    fallback: null,
    cache: null,
    queueMs: 0,
    durationMs: 500,
    firstContentMs: 120,
    usage: { inputTokens: 240, cachedInputTokens: 40, outputTokens: 60 },
    costUsd: 0.002,
    ...change,
  };
}

/** A failed attempt with a provider message. */
export function failedAttempt(message: string, change: Partial<AttemptEndEvent> = {}): AttemptEndEvent {
  return attemptEnd({
    verdict: 'switch',
    reason: 'rate_limited',
    status: 429,
    failure: 'status',
    phase: 'headers',
    message,
    usage: null,
    firstContentMs: null,
    ...change,
  });
}
