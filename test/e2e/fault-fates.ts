/** What can become of a request when one of its providers has a fault, and the fates that many faults share. */
import type { StormFault } from '../../src/storm/index.ts';

/** The answer goes to the caller as Storm said it. */
export interface Passes {
  readonly end: 'passes';
  /** Default: what a provider without the fault says. Else what Storm says with it, asked directly. */
  readonly says?: 'as the fault has it';
  /** Calls until it came. Default 1. */
  readonly calls?: number;
  /** Its end is a silence. */
  readonly isSilent?: true;
}

/** Nothing has gone out: the next target answers. Alone it is asked again where that may help, and then the caller is told. */
export interface Fails {
  readonly end: 'fails';
  readonly verdict: 'retry' | 'switch' | 'reject';
  /** As in the timeline and in x-breakwater-fallback. */
  readonly reason: string;
  /** Told to the caller where no other target is there. */
  readonly status: number;
  /** The provider's own error as it came; its words in our form; or an error of ours by its code. */
  readonly told: 'its bytes' | 'its words' | 'all_targets_failed' | 'upstream_auth_failed';
  readonly health?: 'failure';
  readonly holds?: 'cooldown' | 'bench';
  /** It may be about what the gateway adds to a stream: the first one is asked once more without that. */
  readonly asksStreamAgain?: true;
  /** Calls while it is alone, where they are not one (switch, reject) or all that are allowed (retry). */
  readonly calls?: number;
}

/** A complete answer with nothing in it: the next target answers. Alone it is asked once more, then the answer is passed on and marked. */
export interface Hollow {
  readonly end: 'hollow';
}

/** A whole answer that is not good enough by default: the next target answers. Alone it is passed on at once, and marked. */
export interface Poor {
  readonly end: 'poor';
  readonly mark: string;
}

/** Content has gone out: the stream ends with an error in band, and nobody else is asked. */
export interface Breaks {
  readonly end: 'breaks';
  readonly code: 'stream_interrupted' | 'stream_stalled';
  readonly reason: string;
  /** What has gone out before. Default: a part of the answer. */
  readonly after?: 'all of its content' | 'all of it';
  /** Default: as a provider without the fault. Else what Storm says with it, asked directly. */
  readonly says?: 'as the fault has it' | 'as the fault has it, without its finish reason';
}

/** Nothing ends it but the caller's leaving. */
export interface Endless {
  readonly end: 'endless';
}

export type Fate = Passes | Fails | Hollow | Poor | Breaks | Endless;

export interface Expectation {
  /** Settings of the fault beside its kind. */
  readonly with?: Omit<StormFault, 'kind'>;
  readonly plain: Fate;
  readonly stream: Fate;
  /** Members of the request beside the usual ones. */
  readonly body?: Readonly<Record<string, unknown>>;
  /** Default: five seconds. */
  readonly withinMs?: number;
  /** Several choices could not be told apart. */
  readonly oneChoiceOnly?: true;
  /** Megabytes go over the wire, or it has no end: it does not belong among thousands. */
  readonly isLarge?: true;
}

export const passes: Fate = { end: 'passes' };
export const saysOther: Fate = { end: 'passes', says: 'as the fault has it' };
export const hollow: Fate = { end: 'hollow' };
export const repetitive: Fate = { end: 'poor', mark: 'repetition' };

const health = 'failure';
export const limited: Fails = { end: 'fails', reason: 'rate_limited', verdict: 'retry', status: 429, told: 'its bytes', holds: 'cooldown' };
/** Only requests of its kind find no room: the target is not paused for the others. */
export const unheld: Fails = { end: 'fails', reason: 'rate_limited', verdict: 'retry', status: 429, told: 'its bytes' };
export const spent: Fails = { end: 'fails', reason: 'quota', verdict: 'switch', status: 429, told: 'its bytes', holds: 'bench' };
export const refused: Fails = {
  end: 'fails',
  reason: 'auth',
  verdict: 'switch',
  status: 502,
  told: 'upstream_auth_failed',
  holds: 'bench',
};
/** The refusal may be the fault of the request: its key is not quarantined by it. */
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
/** Surely the fault of the caller. */
export const invalid: Fails = { end: 'fails', reason: 'invalid_request', verdict: 'reject', status: 400, told: 'its bytes' };
/** Nobody knows whose fault it is. */
export const unknown: Fails = { end: 'fails', reason: 'refused', verdict: 'switch', status: 400, told: 'its bytes', asksStreamAgain: true };
export const unknownStatus: Fails = { end: 'fails', reason: 'refused', verdict: 'switch', status: 418, told: 'its bytes' };

export const breaks: Breaks = { end: 'breaks', code: 'stream_interrupted', reason: 'interrupted' };
export const breaksAtEnd: Breaks = { ...breaks, after: 'all of its content' };
export const breaksByError: Breaks = { ...breaks, reason: 'server_error' };
export const stalls: Breaks = { end: 'breaks', code: 'stream_stalled', reason: 'stalled' };

/** The same in both forms. */
export function both(fate: Fate, settings?: Expectation['with'], body?: Expectation['body']): Expectation {
  return { plain: fate, stream: fate, ...(settings && { with: settings }), ...(body && { body }) };
}

/** A body that no SDK of ours can read: a page of words, or JSON of another shape. */
export const page = (fate: Fails, settings?: Expectation['with']): Expectation => both({ ...fate, told: 'its words' }, settings);

/** A turn of the loop for each of thousands of writes, while other cases run. */
export const byteByByte: Expectation = { ...both(passes), withinMs: 60_000 };

/** Breaks within: before the first content, and after some of it, which only a stream tells apart. */
export function within(before: Fate, after: Breaks, settings: Expectation['with'] = {}): readonly Expectation[] {
  return [
    { with: { ...settings, afterTokens: 4 }, plain: before, stream: after },
    { with: { ...settings, afterTokens: 0 }, plain: before, stream: before },
  ];
}

/** A fault of streams; a plain request is answered as if there were none. */
export const streamed = (stream: Fate, settings?: Expectation['with']): Expectation => ({
  plain: passes,
  stream,
  ...(settings && { with: settings }),
});
export const plainly = (plain: Fate): Expectation => ({ plain, stream: passes });
/** Another answer in either form. */
export const other = both(saysOther);
