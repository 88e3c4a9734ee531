/** Decides what a round's response means for its item: a result, or another round. */
import { cutAtWord } from '../core/cut-at-word.ts';
import type { Random } from '../core/random.ts';
import type { ItemResult, JobData } from '../store/jobs/job-store.ts';
import { onOneLine } from './one-line.ts';
import type { ItemSink } from './item-sink.ts';
import { STRIKES_MIN } from './round-odds.ts';

/** The fewest rounds before a request counts as at fault. The pauses between five rounds are 41 s together, or longer. */
export const ROUNDS_MIN = 5;
/**
 * A request that is left alone after it failed beside others is at fault after this many rounds, about an hour: its later failures may be
 * those of an outage.
 */
const LONE_ROUNDS = 20;

/** The pause before another round, by the number of earlier rounds, in milliseconds; half of it is random. */
const PAUSES_MS = [2_000, 5_000, 15_000, 60_000, 120_000, 300_000];
/** The shortest pause near the end of the window, in milliseconds. A pause is at most half of the time that is left. */
const PAUSE_MIN_MS = 1_000;

/** The highest index in `PAUSES_MS` for a request that was not sent. */
const UNSENT_LONGEST = 2;
/** Longer requested waits are capped, as limits may be raised and keys replaced meanwhile; in milliseconds. */
const ASKED_MAX_MS = 15 * 60_000;

/** The longest message stored with an item. */
const NOTE_LENGTH_MAX = 2_000;

export interface RoundFacts {
  readonly strikes: number;
  readonly rounds: number;
  /** The code of Breakwater's own error, which the body of some protocols lacks; null: none. */
  readonly ownCode: string | null;
  /** An upstream call was made. */
  readonly wasSent: boolean;
  /** Another request to the same model succeeded shortly before it or during it. */
  readonly othersSucceed: boolean;
  /** The failures beside successes of others, and the rounds, from which on the request is at fault. */
  readonly strikesNeeded: number;
  readonly roundsMin: number;
  /** Until the end of the window, in milliseconds. */
  readonly leftMs: number;
}

export type RoundJudgement =
  | { readonly kind: 'result'; readonly result: ItemResult }
  | {
      readonly kind: 'again';
      readonly afterMs: number;
      readonly strike: boolean;
      /** The provider failed, or the request did: not a limit, and not an error of Breakwater. */
      readonly isFailure: boolean;
      readonly note: string;
    };

export function judgeRound(sink: ItemSink, round: RoundFacts, random: Random): RoundJudgement {
  const { status } = sink;
  const answer = readAnswer(sink);
  if (status >= 200 && status < 300 && answer.isJson) return { kind: 'result', result: toResult(sink, answer, true) };
  const { message } = answer.error;
  const code = round.ownCode ?? answer.error.code;
  if (isFinal(status) || isOverBudgetForGood(code, sink)) return { kind: 'result', result: toResult(sink, answer, false) };
  const isFailure = round.wasSent && !NOT_THE_REQUESTS.has(code) && status !== 429;
  const strike = isFailure && round.othersSucceed;
  if (isFailure && isAtFault(round, round.strikes + (strike ? 1 : 0))) return { kind: 'result', result: toResult(sink, answer, false) };
  const askedMs = Math.min(Number(sink.header('retry-after-ms') ?? 0), ASKED_MAX_MS);
  // A request that was not sent has cost nothing, and may be queued again soon.
  const longest = round.wasSent ? PAUSES_MS.length - 1 : UNSENT_LONGEST;
  const pauseMs = Math.min(PAUSES_MS[Math.min(round.rounds, longest)]!, Math.max(PAUSE_MIN_MS, round.leftMs / 2));
  const afterMs = Math.max(askedMs * (1 + random.next() / 10), pauseMs * (0.5 + random.next() / 2));
  return {
    kind: 'again',
    afterMs,
    strike,
    isFailure,
    note: cutAtWord(`${status === 0 ? 'no response' : status} ${message}`, NOTE_LENGTH_MAX),
  };
}

/** After a failed round, with `strikes` including it. */
function isAtFault({ rounds, strikesNeeded, roundsMin }: RoundFacts, strikes: number): boolean {
  const roundCount = Math.max(rounds + 1, strikes);
  if (roundCount >= roundsMin && strikes >= strikesNeeded) return true;
  return roundCount >= LONE_ROUNDS && strikes >= STRIKES_MIN;
}

/** Errors of Breakwater that do not depend on the request. */
const NOT_THE_REQUESTS: ReadonlySet<string> = new Set([
  'queue_full',
  'rate_limited',
  'no_target_available',
  'shutting_down',
  'budget_exceeded',
  'upstream_auth_failed',
  'store_unavailable',
]);

/** The request is at fault, or it refers to something that does not exist. 408, 409, 425 and 429 are temporary. */
function isFinal(status: number): boolean {
  return status >= 400 && status < 500 && ![408, 409, 425, 429, 499].includes(status);
}

/** No period of the budget has room for the request. Its response has headers of its own, but no time at which a retry could succeed. */
function isOverBudgetForGood(code: string, sink: ItemSink): boolean {
  return code === 'budget_exceeded' && sink.header('x-should-retry') !== null && sink.header('retry-after-ms') === null;
}

interface Answer {
  readonly isJson: boolean;
  /** One line of JSON. */
  readonly body: Uint8Array;
  readonly usage: unknown;
  readonly error: { readonly code: string; readonly message: string };
}

function readAnswer(sink: ItemSink): Answer {
  const { body } = sink;
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8');
  try {
    const value = JSON.parse(text) as { usage?: unknown; error?: { code?: unknown; message?: unknown } } | null;
    const { code, message } = value?.error ?? {};
    return {
      isJson: typeof value === 'object' && value !== null,
      body: onOneLine(body),
      usage: value?.usage,
      error: { code: String(code ?? ''), message: typeof message === 'string' ? message : '' },
    };
  } catch {
    return { isJson: false, body: Buffer.from(JSON.stringify(text)), usage: undefined, error: { code: '', message: text } };
  }
}

function toResult(sink: ItemSink, { body, usage }: Answer, succeeded: boolean): ItemResult {
  return { succeeded, status: sink.status, facts: factsOf(sink, usage), body, error: null };
}

function factsOf(sink: ItemSink, usage: unknown): JobData {
  const facts: Record<string, unknown> = {};
  for (const [name, header] of [
    ['requestId', 'x-request-id'],
    ['target', 'x-breakwater-target'],
    ['quality', 'x-breakwater-quality'],
  ] as const) {
    const value = sink.header(header);
    if (value !== null) facts[name] = value;
  }
  if (usage !== undefined && usage !== null) facts['usage'] = usage;
  return facts;
}
