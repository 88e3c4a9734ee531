/** The frames of `/admin/events`: types shared by the gateway and the dashboard. JSON-ready. */
import type { FinishedEvent } from '../core/events.ts';
import type { RequestSummary } from './timelines.ts';

/** The columns of a chart point, in order; `rejected` is `callerVisible` of rejected requests (`ErrorCount`). Counts are per `POINT_MS`; durations in milliseconds, null where nothing was measured. */
export const POINT_COLUMNS = [
  'at',
  'received',
  'succeeded',
  'failed',
  'refused',
  'cancelled',
  'attempts',
  'firstContentP50',
  'firstContentP95',
  'durationP95',
  'costUsd',
  'rejected',
] as const;
export type PointColumn = (typeof POINT_COLUMNS)[number];
/** Values in the order of `POINT_COLUMNS`; `at` is the start of its interval, in milliseconds since the epoch. */
export type Point = readonly (number | null)[];
/** The length of one point's interval, in milliseconds. */
export const POINT_MS = 5_000;
/** An hour. */
export const POINTS_MAX = 720;

/** The period of the figures of targets and clients, in milliseconds. */
export const WINDOW_MS = 300_000;
/** Bars in the strip of one target: `WINDOW_MS` in intervals of `POINT_MS`. */
export const STRIP_LENGTH = WINDOW_MS / POINT_MS;

/** A cause of failed calls to a target, and its count in the window. */
export interface Cause {
  /** A short text: `503 server error`, `no response in time`. */
  readonly text: string;
  readonly count: number;
  /** The provider's last message for it, masked and truncated. */
  readonly message?: string;
}

/** The calls of one target in the window. */
export interface TargetActivity {
  readonly target: string;
  /** Number of calls that ended, without cancelled ones (lost races, disconnected callers). */
  readonly calls: number;
  readonly failed: number;
  readonly cancelled: number;
  /** The three most frequent at most, in order. */
  readonly causes: readonly Cause[];
  readonly firstContentP50: number | null;
  readonly firstContentP95: number | null;
  /** Calls and failures of each interval of `POINT_MS`, the oldest first, as `[calls, failed]` flattened. */
  readonly strip: readonly number[];
}

/** The requests of one client in the window. */
export interface ClientActivity {
  readonly client: string;
  readonly requests: number;
  readonly failed: number;
  readonly refused: number;
  /** Rejected before a target was chosen, as far as callers see it (`ErrorCount`): a removed model or key, a limit of the session. */
  readonly rejected: number;
  /** Those of `refused` for which the budget had no room, since the last reload. */
  readonly overBudget: number;
  /** When the last of `overBudget` ended, in milliseconds since the epoch; null: none. */
  readonly overBudgetAt: number | null;
}

/** Requests of the last minute that ended in an error. */
export interface ErrorCount {
  readonly code: NonNullable<FinishedEvent['code']>;
  /** Null: unknown. A client of a former configuration whose key is still sent is named too. */
  readonly client: string | null;
  /** Rejected before a target was chosen. Without those that no key was sent with, unless a former configuration accepted that. */
  readonly isRejected: boolean;
  /** That of the last one, of those in `callerVisible` if there are any; null: not known. */
  readonly model: string | null;
  readonly requests: number;
  /**
   * Those of `requests` that are counted among the errors that callers see. Of rejected ones: the key, the model or the lack of a key was accepted
   * within the last day, or the code is none of a caller's fault.
   */
  readonly callerVisible: number;
}

/** Totals over about ten seconds: whole intervals, including the current one. */
export interface Rates {
  readonly seconds: number;
  readonly received: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly refused: number;
  /** `callerVisible` of rejected requests (`ErrorCount`). */
  readonly rejected: number;
  readonly cancelled: number;
  readonly attempts: number;
}

export type NoticeTone = 'good' | 'info' | 'warn' | 'bad';

/** A change of the gateway's state, as a sentence for an operator. */
export interface Notice {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly tone: NoticeTone;
  readonly text: string;
  readonly subject: string | null;
}

/** The state at one instant; each frame replaces the previous one. `S` is the status of the gateway (`OperatorStatus`). */
export interface FeedState<S = unknown> {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly startedAt: number;
  readonly phase: 'running' | 'draining';
  /** Facts of the start: version, config file, store. */
  readonly facts: Readonly<Record<string, string>>;
  readonly rates: Rates;
  readonly targets: readonly TargetActivity[];
  readonly clients: readonly ClientActivity[];
  /** The most frequent first. */
  readonly errors: readonly ErrorCount[];
  /** The longest running ones. */
  readonly running: readonly RequestSummary[];
  readonly status: S;
}

interface Changes {
  readonly points: readonly Point[];
  readonly notices: readonly Notice[];
  /** Finished requests: failures and retries preferred, and the last of the others. */
  readonly requests: readonly RequestSummary[];
}

/** The first frame of a connection. `resumed`: if false, everything stored; if true, only what follows the frame of `last-event-id`. */
export interface HelloFrame<S = unknown> extends Changes {
  readonly resumed: boolean;
  readonly state: FeedState<S>;
}

/** Sent every second. */
export interface TickFrame<S = unknown> extends Changes {
  readonly state: FeedState<S>;
  /** Number of requests that finished since the last frame; `requests` has a bounded part of them. */
  readonly finished: number;
  /** Number of notices left out. */
  readonly unshownNotices: number;
}
