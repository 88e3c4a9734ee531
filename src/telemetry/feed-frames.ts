/** What `/admin/events` sends: the types that the gateway and the dashboard share. JSON-ready. */
import type { RequestSummary } from './timelines.ts';

/** The columns of a point of the charts, in order. Counts are of `POINT_MS`; durations in milliseconds, null where nothing was measured. */
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
] as const;
export type PointColumn = (typeof POINT_COLUMNS)[number];
/** Values in the order of `POINT_COLUMNS`; `at` is the start of its interval, in milliseconds since the epoch. */
export type Point = readonly (number | null)[];
/** The length of one point's interval, in milliseconds. */
export const POINT_MS = 5_000;
/** An hour. */
export const POINTS_MAX = 720;

/** How long a target's and a client's figures reach back, in milliseconds. */
export const WINDOW_MS = 300_000;
/** Bars in the strip of one target: `WINDOW_MS` in intervals of `POINT_MS`. */
export const STRIP_LENGTH = WINDOW_MS / POINT_MS;

/** One way in which calls to a target failed, and how often in the window. */
export interface Cause {
  /** In a few words: `503 server error`, `no response in time`. */
  readonly text: string;
  readonly count: number;
  /** The last message of the provider for it, masked and bounded. */
  readonly message?: string;
}

/** What happened to the calls of one target in the window. */
export interface TargetActivity {
  readonly target: string;
  /** Calls that ended, cancelled ones (lost races, callers that left) excluded. */
  readonly calls: number;
  readonly failed: number;
  readonly cancelled: number;
  /** The most frequent first; at most three. */
  readonly causes: readonly Cause[];
  readonly firstContentP50: number | null;
  readonly firstContentP95: number | null;
  /** Calls and failures of each interval of `POINT_MS`, the oldest first, as `[calls, failed]` flattened. */
  readonly strip: readonly number[];
  /** Cost of its calls since the start, in US dollars; null: none has a price. */
  readonly costUsd: number | null;
}

/** What one client asked for in the window. */
export interface ClientActivity {
  readonly client: string;
  readonly requests: number;
  readonly failed: number;
  readonly refused: number;
  /** Cost of its requests since the start, in US dollars; null: none has a price. */
  readonly costUsd: number | null;
}

/** Totals over the last ten seconds or so: whole intervals, the current one included. */
export interface Rates {
  readonly seconds: number;
  readonly received: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly refused: number;
  readonly cancelled: number;
  readonly attempts: number;
}

export type NoticeTone = 'good' | 'info' | 'warn' | 'bad';

/** A change of the gateway's state that an operator may want to know, in a sentence. */
export interface Notice {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly tone: NoticeTone;
  readonly text: string;
  readonly subject: string | null;
}

/** The state at one instant; each frame replaces the last one whole. `S` is what the gateway adds (`OperatorStatus`). */
export interface FeedState<S = unknown> {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly startedAt: number;
  readonly phase: 'running' | 'draining';
  /** Of the start: version, config file, store. */
  readonly facts: Readonly<Record<string, string>>;
  readonly rates: Rates;
  readonly targets: readonly TargetActivity[];
  readonly clients: readonly ClientActivity[];
  /** Those that run longest. */
  readonly running: readonly RequestSummary[];
  readonly status: S;
}

interface Changes {
  readonly points: readonly Point[];
  readonly notices: readonly Notice[];
  /** Requests that finished: those with trouble first in number, and the last of the others. */
  readonly requests: readonly RequestSummary[];
}

/** The first frame of a connection. `resumed` false: it holds all that is kept; true: what came after the frame that `last-event-id` names. */
export interface HelloFrame<S = unknown> extends Changes {
  readonly resumed: boolean;
  readonly state: FeedState<S>;
}

/** Every second. */
export interface TickFrame<S = unknown> extends Changes {
  readonly state: FeedState<S>;
  /** Requests that finished since the last frame; `requests` shows a bounded part of them. */
  readonly finished: number;
  /** Notices that were too many to show. */
  readonly unshownNotices: number;
}
