/**
 * Explains one request in sentences: the output of `breakwater why`, and the text beside the bars of the dashboard's waterfall. Built from
 * the events of a timeline, or from a record of the request log.
 */
import type {
  AttemptEndEvent,
  AttemptEvent,
  BackoffEvent,
  Blocker,
  FinishedEvent,
  QueuedEvent,
  ReceivedEvent,
  Wasted,
  RejectedEvent,
} from '../core/events.ts';
import type { ResourceKind } from '../core/resource.ts';
import { causeText, reasonText } from './cause-text.ts';
import { tenths } from './log-lines.ts';
import { unmeasuredText } from './other-cost.ts';
import type { RequestScopedEvent } from './traces.ts';

export const STEP_KINDS = ['received', 'queue', 'attempt', 'backoff', 'note', 'answer', 'finished'] as const;
export type StepKind = (typeof STEP_KINDS)[number];
export type StepTone = 'neutral' | 'good' | 'wait' | 'bad';

/** One bar of the waterfall with its sentence. Times are in milliseconds since the request was received. */
export interface Step {
  readonly kind: StepKind;
  readonly fromMs: number;
  /** Null for an instant, or if it is not over yet. */
  readonly toMs: number | null;
  /** When the first content of an attempt arrived. */
  readonly firstContentMs?: number;
  readonly target?: string;
  readonly tone: StepTone;
  readonly text: string;
}

/** JSON-ready. */
export interface Explanation {
  /** The outcome in one sentence. */
  readonly summary: string;
  /** In order of their starts. */
  readonly steps: readonly Step[];
  /** Where the time went, in one sentence. */
  readonly time: string;
  /** Usage and cost; null if unknown. */
  readonly cost: string | null;
}

export interface ExplanationInput {
  readonly received: ReceivedEvent;
  /** The events between received and finished, in order. */
  readonly events: readonly RequestScopedEvent[];
  readonly finished: FinishedEvent | null;
  /** Number of events left out. */
  readonly skippedEvents?: number;
  /** The current instant, for a running request. */
  readonly nowMs?: number;
}

/** Maximum number of targets named for one wait. */
const blockersNamed = 4;

export function explain(input: ExplanationInput): Explanation {
  return { summary: summaryText(input), steps: stepsOf(input), time: timeText(input), cost: costText(input.finished) };
}

/** The explanation as lines of text. */
export function explanationLines(id: string, story: Explanation): string[] {
  const times = story.steps.map(({ fromMs, toMs }) => (toMs === null ? duration(fromMs) : `${duration(fromMs)} – ${duration(toMs)}`));
  const width = Math.max(0, ...times.map((time) => time.length));
  return [
    `${id}: ${story.summary}`,
    '',
    ...story.steps.map(({ text }, index) => `  ${times[index]!.padStart(width)}  ${text}`),
    '',
    `Time: ${story.time}`,
    ...(story.cost === null ? [] : [`Cost: ${story.cost}`]),
  ];
}

function summaryText({ received, finished, events, nowMs }: ExplanationInput): string {
  const rejected = events.find((event) => event.type === 'rejected');
  if (rejected !== undefined) return rejectionText(rejected);
  const what = `${received.stream ? 'streaming' : 'non-streaming'} ${received.operation} for ${received.model}`;
  if (finished === null) {
    const sent = events.filter((event) => event.type === 'attempt').length;
    return `${what} is running${nowMs === undefined ? '' : ` for ${duration(nowMs)}`}, ${attemptCount(sent)} so far`;
  }
  const how = outcomeText(finished);
  return `${what} ${how} after ${duration(finished.durationMs)} and ${attemptCount(finished.attempts)}${targetText(finished)}`;
}

function outcomeText({ outcome, status, code }: FinishedEvent): string {
  switch (outcome) {
    case 'success':
      return 'succeeded';
    case 'cancelled':
      return 'was cancelled by the caller';
    case 'interrupted':
      return `was cut off mid-stream${code === null ? '' : ` (${code})`}`;
    case 'failed':
      return `failed with ${status}${code === null ? '' : ` (${code})`}`;
    case 'refused':
      return `was refused with ${status}${code === null ? '' : ` (${code})`}`;
  }
}

function targetText({ outcome, target, fallback, cache }: FinishedEvent): string {
  if (cache !== null) return `, ${cacheTexts[cache]}`;
  if (outcome !== 'success' || target === null) return '';
  return fallback === null ? `, served by ${target}` : `, served by ${target} as a fallback (first choice: ${reasonText(fallback)})`;
}

const cacheTexts = {
  hit: 'served from the cache',
  stale: 'served from the cache with an expired response',
  coalesced: 'served by an identical request that ran at the same time',
} as const;

function stepsOf({ received, events, finished, nowMs, skippedEvents = 0 }: ExplanationInput): Step[] {
  const at = (instant: number): number => tenths(Math.max(0, instant - received.at));
  const endMs = finished === null ? (nowMs ?? null) : at(finished.at);
  const steps: Step[] = [];
  if (events[0]?.type !== 'rejected')
    steps.push({ kind: 'received', fromMs: 0, toMs: null, tone: 'neutral', text: receivedText(received) });
  for (const event of events) {
    const step = stepOf(event, events, at, endMs);
    if (step !== null) steps.push(step);
  }
  steps.sort((a, b) => a.fromMs - b.fromMs);
  if (skippedEvents > 0 && endMs !== null)
    steps.push({ kind: 'note', fromMs: endMs, toMs: null, tone: 'neutral', text: `${skippedEvents} further events were dropped` });
  if (finished !== null && events[0]?.type !== 'rejected') steps.push(finishedStep(finished, at(finished.at)));
  return steps;
}

type At = (instant: number) => number;

function stepOf(event: RequestScopedEvent, events: readonly RequestScopedEvent[], at: At, endMs: number | null): Step | null {
  switch (event.type) {
    case 'queued':
      return queueStep(event, events, at, endMs);
    case 'attempt':
      return attemptStep(event, events, at, endMs);
    case 'backoff':
      return backoffStep(event, at);
    case 'note': {
      const text = event.target === undefined ? event.note : `${event.target}: ${event.note}`;
      return { kind: 'note', fromMs: at(event.at), toMs: null, tone: event.notable === 'warn' ? 'bad' : 'neutral', text };
    }
    case 'committed':
      return {
        kind: 'answer',
        fromMs: at(event.at),
        toMs: null,
        target: event.target,
        tone: 'good',
        text: `the response of attempt ${event.attempt} (${event.target}) starts to reach the caller`,
      };
    case 'rejected':
      return {
        kind: 'finished',
        fromMs: 0,
        toMs: null,
        tone: 'bad',
        text: `${event.method} ${event.path}: ${event.status} ${event.message}`,
      };
    default:
      return null;
  }
}

function queueStep(event: QueuedEvent, events: readonly RequestScopedEvent[], at: At, endMs: number | null): Step {
  const next = events.find((one) => one.type === 'attempt' && one.at >= event.at && one.queuedMs > 0);
  const reasons = event.blockers.slice(0, blockersNamed).map(blockerText);
  const unnamed = event.blockers.length - reasons.length;
  const list = `${reasons.join('; ')}${unnamed > 0 ? `; and ${unnamed} more` : ''}`;
  const toMs = next === undefined ? endMs : at(next.at);
  return {
    kind: 'queue',
    fromMs: at(event.at),
    toMs,
    tone: 'wait',
    text: list === '' ? 'queued; the record has no details' : `queued, no target can start: ${list}`,
  };
}

function attemptStep(event: AttemptEvent, events: readonly RequestScopedEvent[], at: At, endMs: number | null): Step {
  const end = events.find((one): one is AttemptEndEvent => one.type === 'attempt_end' && one.attempt === event.attempt);
  const fromMs = at(event.at);
  const base = { kind: 'attempt', fromMs, target: event.target } as const;
  const name = `attempt ${event.attempt}, ${event.target}${event.credential > 1 ? ` (key ${event.credential})` : ''}${roleText(event)}`;
  if (end === undefined) return { ...base, toMs: endMs, tone: 'neutral', text: `${name}: no response yet` };
  return {
    ...base,
    toMs: Math.max(fromMs, at(end.at)),
    ...(end.firstContentMs !== null && { firstContentMs: tenths(fromMs + end.firstContentMs) }),
    tone: toneOf(end),
    text: `${name}: ${attemptEndText(end)}`,
  };
}

function toneOf({ verdict }: AttemptEndEvent): StepTone {
  if (verdict === 'success') return 'good';
  return verdict === 'cancelled' ? 'neutral' : 'bad';
}

function roleText({ probe, race }: AttemptEvent): string {
  if (race === 'hedge') return ', a hedge beside a silent attempt';
  if (race === 'rescue') return ', a rescue beside an attempt that has been silent for too long';
  if (race === 'probe') return ', beside a silent probe';
  return probe ? ', a probe of its circuit breaker' : '';
}

function attemptEndText(end: AttemptEndEvent): string {
  const took = duration(end.durationMs);
  if (end.verdict === 'success') {
    const first =
      end.firstContentMs === null || end.firstContentMs >= end.durationMs ? '' : `, first content after ${duration(end.firstContentMs)}`;
    return `succeeded in ${took}${first}${usageText(end)}`;
  }
  if (end.verdict === 'cancelled') return `cancelled after ${took}${usageText(end)}`;
  const words = end.message?.replace(/[\s.]+$/, '') ?? '';
  const message = words === '' ? '' : ` – “${words}”`;
  return `failed after ${took}: ${causeText(end)}${message}. ${verdictTexts[end.verdict]}${usageText(end)}`;
}

const verdictTexts = {
  retry: 'The same target may work later',
  switch: 'Only another target may work',
  reject: 'No target can serve this request',
} as const;

function usageText({ usage, costUsd, estimated }: AttemptEndEvent): string {
  const cost = costUsd === undefined ? '' : ` (${dollars(costUsd)})`;
  const reported = usage === null ? '' : `, ${usage.inputTokens} + ${usage.outputTokens} tokens${cost}`;
  return estimated === undefined ? reported : `${reported}, about ${estimated.inputTokens} + ${estimated.outputTokens} tokens not reported`;
}

function backoffStep(event: BackoffEvent, at: At): Step {
  const fromMs = at(event.at);
  const text = `backoff of ${duration(event.delayMs)} before the next attempt (${reasonText(event.reason)})`;
  return { kind: 'backoff', fromMs, toMs: tenths(fromMs + event.delayMs), tone: 'wait', text };
}

function finishedStep(finished: FinishedEvent, atMs: number): Step {
  const tone = finished.outcome === 'success' ? 'good' : finished.outcome === 'cancelled' ? 'neutral' : 'bad';
  const { outcome, status, code, message } = finished;
  const result = `${outcome}, status ${status}${code === null ? '' : ` (${code})`}`;
  // The message of `all_targets_failed` repeats the attempts.
  const why = message === undefined || code === 'all_targets_failed' ? '' : `: ${message}`;
  return { kind: 'finished', fromMs: atMs, toMs: null, tone, text: `${result}${why}` };
}

function receivedText({ client, priority, deadlineMs, inputTokens }: ReceivedEvent): string {
  return `received from ${client}, priority ${priority}, deadline in ${duration(deadlineMs)}, about ${inputTokens} input tokens`;
}

/** Where the time was spent; the rest is Breakwater's own time and the transfer to the caller. */
function timeText({ events, finished, nowMs }: ExplanationInput): string {
  const totalMs = finished?.durationMs ?? nowMs ?? 0;
  const ends = events.filter((event) => event.type === 'attempt_end');
  const upstreamMs = ends.reduce((sum, { durationMs }) => sum + durationMs, 0);
  const backoffMs = events.reduce((sum, event) => (event.type === 'backoff' ? sum + event.delayMs : sum), 0);
  const queueMs = finished?.queueMs ?? events.reduce((sum, event) => (event.type === 'attempt' ? sum + event.queuedMs : sum), 0);
  const parts = [
    `${duration(totalMs)} in total`,
    `${duration(queueMs)} in the queue`,
    `${duration(upstreamMs)} in ${attemptCount(ends.length)}`,
  ];
  if (backoffMs > 0) parts.push(`${duration(backoffMs)} of backoff`);
  return `${parts.join(', ')}${upstreamMs > totalMs ? ' (some ran in parallel)' : ''}`;
}

function costText(finished: FinishedEvent | null): string | null {
  if (finished === null) return null;
  const { usage, costUsd, wasted, unmeasuredCalls, estimatedUsd, checksUsd } = finished;
  const parts: string[] = [];
  if (usage !== null) {
    const price = costUsd === null ? 'no price is known' : dollars(costUsd);
    parts.push(`${usage.inputTokens} input + ${usage.outputTokens} output tokens, ${price}${wastedText(wasted)}`);
  }
  if (unmeasuredCalls !== undefined)
    parts.push(`${unmeasuredText(unmeasuredCalls)}${estimatedUsd === undefined ? '' : `, about ${dollars(estimatedUsd)}`}`);
  if (checksUsd !== undefined) parts.push(`quality checks by a model, ${dollars(checksUsd)}`);
  return parts.length === 0 ? null : parts.join('; ');
}

function wastedText(wasted: Wasted | undefined): string {
  const tokens = wasted === undefined ? 0 : wasted.usage.inputTokens + wasted.usage.outputTokens;
  if (wasted === undefined || tokens === 0) return '';
  const cost = wasted.costUsd === null ? '' : ` (${dollars(wasted.costUsd)})`;
  return `, of which ${tokens} tokens${cost} on calls whose response was not used`;
}

function blockerText({ target, kind, waitMs }: Blocker): string {
  return `${target}: ${kindTexts[kind]}${waitText(waitMs)}`;
}

const kindTexts: Readonly<Record<ResourceKind | 'incapable', string>> = {
  requests: 'request limit',
  tokens: 'token limit',
  concurrency: 'concurrency limit',
  cooldown: 'in cooldown',
  pause: 'paused at its request',
  quarantine: 'credential quarantined',
  breaker: 'circuit breaker open',
  client: "the client's own limit",
  budget: 'budget spent',
  incapable: 'cannot serve this request',
};

function waitText(waitMs: number | null): string {
  if (waitMs === null) return ', until a running request ends';
  return waitMs === Infinity ? '' : `, for another ${duration(waitMs)}`;
}

function attemptCount(count: number): string {
  return count === 1 ? '1 attempt' : `${count} attempts`;
}

function dollars(usd: number): string {
  return `$${Number(usd.toPrecision(3))}`;
}

function duration(ms: number): string {
  // Records hold tenths, which are rounded first, so that both sources read the same.
  if (ms < 1_000) return `${Math.round(tenths(ms))} ms`;
  if (ms < 120_000) return `${Math.round(ms / 100) / 10} s`;
  return `${Math.round(ms / 6_000) / 10} min`;
}

function rejectionText({ status, code, message, client, keyState, hadModel }: RejectedEvent): string {
  const text = `rejected with ${status} (${code}) before a target was chosen: ${message}`;
  if (keyState === 'former') return `${text}; an earlier configuration accepted it, for client ${client}`;
  return hadModel === true ? `${text}; an earlier configuration had this model` : text;
}
