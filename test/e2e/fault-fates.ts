/** The possible results of a request when one of its providers has a fault, and those shared by many faults. */
import type { StormFault } from '../../src/storm/index.ts';

/** The response reaches the caller as Storm sent it. */
export interface Passes {
  readonly end: 'passes';
  /** Default: the response of a provider without the fault; else what Storm returns with it when called directly. */
  readonly says?: 'as the fault has it';
  /** Calls until it arrived. Default 1. */
  readonly calls?: number;
  /** It ends in silence. */
  readonly isSilent?: true;
}

/** Nothing was sent: the next target is used. Without another target it is retried if that may help, then the caller gets an error. */
export interface Fails {
  readonly end: 'fails';
  readonly verdict: 'retry' | 'switch' | 'reject';
  /** As in the timeline and in x-breakwater-fallback. */
  readonly reason: string;
  /** Status sent to the caller if there is no other target. */
  readonly status: number;
  /** The provider's error unchanged; its message in our format; or one of Breakwater's errors by code. */
  readonly told: 'its bytes' | 'its words' | 'all_targets_failed' | 'upstream_auth_failed';
  readonly health?: 'failure';
  readonly holds?: 'cooldown' | 'quarantine';
  /** The cause may be a field that the gateway adds to streams, so the first target is called once more without it. */
  readonly asksStreamAgain?: true;
  /** Calls if it is the only target, unless one (switch, reject) or all that are allowed (retry). */
  readonly calls?: number;
}

/** A complete response without content: the next target is used. Without one it is retried once, then passed on and marked. */
export interface Hollow {
  readonly end: 'hollow';
}

/** A complete response that fails the default quality checks: the next target is used. Without one it is passed on at once, and marked. */
export interface Poor {
  readonly end: 'poor';
  readonly mark: string;
}

/** Content was sent: the stream ends with an in-band error, and no other target is called. */
export interface Breaks {
  readonly end: 'breaks';
  readonly code: 'stream_interrupted' | 'stream_stalled';
  readonly reason: string;
  /** What was sent before. Default: part of the response. */
  readonly after?: 'all of its content' | 'all of it';
  /** Default: as a provider without the fault; else what Storm returns with it when called directly. */
  readonly says?: 'as the fault has it' | 'as the fault has it, without its finish reason';
}

/** Ends only when the caller disconnects. */
export interface Endless {
  readonly end: 'endless';
}

export type Fate = Passes | Fails | Hollow | Poor | Breaks | Endless;

export interface Expectation {
  /** Further settings of the fault. */
  readonly with?: Omit<StormFault, 'kind'>;
  readonly plain: Fate;
  readonly stream: Fate;
  /** Additional members of the request. */
  readonly body?: Readonly<Record<string, unknown>>;
  /** Default: five seconds. */
  readonly withinMs?: number;
  /** Several choices could not be distinguished. */
  readonly oneChoiceOnly?: true;
  /** Megabytes are sent, or the response has no end, so it is excluded from runs with thousands of requests. */
  readonly isLarge?: true;
}

export const passes: Fate = { end: 'passes' };
export const saysOther: Fate = { end: 'passes', says: 'as the fault has it' };
export const hollow: Fate = { end: 'hollow' };
export const repetitive: Fate = { end: 'poor', mark: 'repetition' };

const health = 'failure';
export const limited: Fails = { end: 'fails', reason: 'rate_limited', verdict: 'retry', status: 429, told: 'its bytes', holds: 'cooldown' };
/** Only requests of this kind are limited: the target is not paused for others. */
export const unheld: Fails = { end: 'fails', reason: 'rate_limited', verdict: 'retry', status: 429, told: 'its bytes' };
export const spent: Fails = { end: 'fails', reason: 'quota', verdict: 'switch', status: 429, told: 'its bytes', holds: 'quarantine' };
export const refused: Fails = {
  end: 'fails',
  reason: 'auth',
  verdict: 'switch',
  status: 502,
  told: 'upstream_auth_failed',
  holds: 'quarantine',
};
/** The refusal may be caused by the request, so the key is not quarantined. */
export const suspected: Fails = { end: 'fails', reason: 'auth', verdict: 'switch', status: 502, told: 'upstream_auth_failed' };
export const unclear: Fails = { end: 'fails', reason: 'quota', verdict: 'switch', status: 402, told: 'its bytes' };
export const serverError: Fails = { end: 'fails', reason: 'server_error', verdict: 'retry', status: 500, told: 'its bytes', health };
export const overloaded: Fails = { ...serverError, reason: 'overloaded', status: 503 };
export const busy: Fails = { end: 'fails', reason: 'busy', verdict: 'retry', status: 503, told: 'its bytes', holds: 'cooldown' };
export const toldInside: Fails = { ...serverError, status: 502, told: 'its words' };
export const broken: Fails = { end: 'fails', reason: 'connection', verdict: 'retry', status: 502, told: 'all_targets_failed', health };
export const cut: Fails = { ...broken, reason: 'interrupted' };
export const silent: Fails = { ...broken, reason: 'timeout' };
export const malformed: Fails = { ...broken, reason: 'malformed' };
export const bodiless: Fails = { end: 'fails', reason: 'empty', verdict: 'retry', status: 502, told: 'all_targets_failed', calls: 2 };
export const conflict: Fails = { end: 'fails', reason: 'conflict', verdict: 'retry', status: 409, told: 'its bytes' };
export const inRequest = { end: 'fails', verdict: 'switch', status: 400, told: 'its bytes' } as const;
/** Certainly caused by the caller. */
export const invalid: Fails = { end: 'fails', reason: 'invalid_request', verdict: 'reject', status: 400, told: 'its bytes' };
/** The cause is unknown. */
export const unknown: Fails = { end: 'fails', reason: 'refused', verdict: 'switch', status: 400, told: 'its bytes', asksStreamAgain: true };
export const unknownStatus: Fails = { end: 'fails', reason: 'refused', verdict: 'switch', status: 418, told: 'its bytes' };

export const breaks: Breaks = { end: 'breaks', code: 'stream_interrupted', reason: 'interrupted' };
export const breaksAtEnd: Breaks = { ...breaks, after: 'all of its content' };
export const breaksByError: Breaks = { ...breaks, reason: 'server_error' };
export const stalls: Breaks = { end: 'breaks', code: 'stream_stalled', reason: 'stalled' };

/** The same for streaming and non-streaming requests. */
export function both(fate: Fate, settings?: Expectation['with'], body?: Expectation['body']): Expectation {
  return { plain: fate, stream: fate, ...(settings && { with: settings }), ...(body && { body }) };
}

/** A body that no SDK can read: an HTML page, or JSON of another shape. */
export const page = (fate: Fails, settings?: Expectation['with']): Expectation => both({ ...fate, told: 'its words' }, settings);

/** Thousands of writes take an event-loop turn each, while other cases run. */
export const byteByByte: Expectation = { ...both(passes), withinMs: 60_000 };

/** Breaks before the first content, and after some content, which differ only for streams. */
export function within(before: Fate, after: Breaks, settings: Expectation['with'] = {}): readonly Expectation[] {
  return [
    { with: { ...settings, afterTokens: 4 }, plain: before, stream: after },
    { with: { ...settings, afterTokens: 0 }, plain: before, stream: before },
  ];
}

/** A fault of streams; non-streaming requests are served normally. */
export const streamed = (stream: Fate, settings?: Expectation['with']): Expectation => ({
  plain: passes,
  stream,
  ...(settings && { with: settings }),
});
export const plainly = (plain: Fate): Expectation => ({ plain, stream: passes });
/** A different response in either form. */
export const other = both(saysOther);
