/**
 * Rate limits as providers enforce them, per API key. Pure: every method takes `now`, in milliseconds.
 * A request above the burst size but within the limit is admitted when the bucket is full, and leaves it negative.
 */
import type { StormLimits } from './options.ts';

type LimitName = 'requests' | 'tokens' | 'input' | 'output' | 'day' | 'concurrency';

/** Why a call was refused. `waitMs` is Infinity if it can never pass, undefined for concurrency. */
export interface Refusal {
  by: LimitName;
  limit: number;
  used: number;
  requested: number;
  waitMs: number | undefined;
}

/** State of a limit; `resetMs` is the time until it is fully available. */
export interface LimitState {
  limit: number;
  remaining: number;
  resetMs: number;
}

interface Meter {
  readonly limit: number;
  /** Milliseconds until `amount` is admitted: 0 if now, Infinity if never. */
  waitMs(now: number, amount: number): number;
  take(now: number, amount: number): void;
  state(now: number): LimitState;
}

/** The limits of one API key. */
export interface Account {
  /**
   * Charges a call of `tokens`, `input` of them input, to every limit, or to none and returns the refusal. Every
   * admitted call must be released.
   */
  admit(now: number, tokens: number, input?: number): Refusal | undefined;
  /** `output` is the number of generated tokens; it is charged to the output limit, which can become negative. */
  release(now?: number, output?: number): void;
  requests(now: number): LimitState | undefined;
  tokens(now: number): LimitState | undefined;
  input(now: number): LimitState | undefined;
  output(now: number): LimitState | undefined;
}

/** Creates the limits of one key; `minuteMs` is the length of a simulated minute. */
export function createAccount(limits: StormLimits, minuteMs: number): Account {
  const enforce = limits.enforce ?? 'bucket';
  const minuteMeter = (limit: number | undefined) =>
    limit === undefined ? undefined : createMeter(limit, minuteMs, enforce, limits.burst ?? 1);
  const requests = minuteMeter(limits.requestsPerMinute);
  const tokenMeter = minuteMeter(limits.tokensPerMinute);
  const inputMeter = minuteMeter(limits.inputTokensPerMinute);
  const outputMeter = minuteMeter(limits.outputTokensPerMinute);
  const day =
    limits.requestsPerDay === undefined
      ? undefined
      : createMeter(limits.requestsPerDay, minuteMs * 1440, enforce === 'sliding' ? 'sliding' : 'bucket', 1);
  let running = 0;

  function refusal(now: number, tokens: number, input: number): Refusal | undefined {
    if (limits.concurrency !== undefined && running >= limits.concurrency) {
      return { by: 'concurrency', limit: limits.concurrency, used: running, requested: 1, waitMs: undefined };
    }
    const refusals = [
      refusedBy('requests', requests, now, 1),
      refusedBy('day', day, now, 1),
      refusedBy('tokens', tokenMeter, now, tokens),
      refusedBy('input', inputMeter, now, input),
      refusedBy('output', outputMeter, now, 1),
    ];
    return refusals.reduce((worst, one) => ((one?.waitMs ?? 0) > (worst?.waitMs ?? 0) ? one : worst));
  }

  return {
    admit(now, tokens, input = 0) {
      const refused = refusal(now, tokens, input);
      if (refused === undefined) {
        requests?.take(now, 1);
        day?.take(now, 1);
        tokenMeter?.take(now, tokens);
        inputMeter?.take(now, input);
        running++;
      } else if (limits.countFailures === true) {
        requests?.take(now, 1);
        day?.take(now, 1);
      }
      return refused;
    },
    release(now = 0, output = 0) {
      running--;
      if (output > 0) outputMeter?.take(now, output);
    },
    requests: (now) => (requests ?? day)?.state(now),
    tokens: (now) => tokenMeter?.state(now),
    input: (now) => inputMeter?.state(now),
    output: (now) => outputMeter?.state(now),
  };
}

function refusedBy(by: LimitName, meter: Meter | undefined, now: number, requested: number): Refusal | undefined {
  if (meter === undefined) return undefined;
  const waitMs = meter.waitMs(now, requested);
  if (waitMs <= 0) return undefined;
  return { by, limit: meter.limit, used: meter.limit - meter.state(now).remaining, requested, waitMs };
}

function createMeter(limit: number, windowMs: number, enforce: 'bucket' | 'sliding' | 'perSecond', burst: number): Meter {
  if (enforce === 'bucket') return createBucket(limit, windowMs, limit * burst);
  if (enforce === 'sliding') return createWindow(limit, windowMs, limit);
  const share = Math.max(1, Math.floor(limit / 60));
  return createWindow(limit, (windowMs * share) / limit, share);
}

/** Tolerance for floating-point error in the refill. */
const EPSILON = 1e-6;

function createBucket(limit: number, windowMs: number, capacity: number): Meter {
  const perMs = limit / windowMs;
  let level = capacity;
  let at: number | undefined;
  function refill(now: number): void {
    if (at !== undefined && now > at) level = Math.min(capacity, level + (now - at) * perMs);
    at = now;
  }
  return {
    limit,
    waitMs(now, amount) {
      if (amount > limit) return Infinity;
      refill(now);
      const missing = Math.min(amount, capacity) - level;
      return missing <= EPSILON ? 0 : missing / perMs;
    },
    take(now, amount) {
      refill(now);
      level -= amount;
    },
    state(now) {
      refill(now);
      return { limit, remaining: Math.max(0, Math.floor(level + EPSILON)), resetMs: (capacity - level) / perMs };
    },
  };
}

interface Spent {
  amount: number;
  until: number;
}

/**
 * A sliding window: at most `share` in any `windowMs`. A larger amount, admitted only into an empty window, occupies it
 * for proportionally longer.
 */
function createWindow(limit: number, windowMs: number, share: number): Meter {
  let spent: Spent[] = [];
  let first = 0;
  let sum = 0;
  function expire(now: number): void {
    for (let oldest = spent[first]; oldest !== undefined && oldest.until <= now; oldest = spent[first]) {
      sum -= oldest.amount;
      first++;
    }
    if (first > 1024 && first * 2 > spent.length) {
      spent = spent.slice(first);
      first = 0;
    }
  }
  return {
    limit,
    waitMs(now, amount) {
      if (amount > limit) return Infinity;
      expire(now);
      let left = sum;
      let waitMs = 0;
      for (let at = first; left > 0 && left + amount > share; at++) {
        const oldest = spent[at];
        if (oldest === undefined) break;
        left -= oldest.amount;
        waitMs = oldest.until - now;
      }
      return waitMs;
    },
    take(now, amount) {
      expire(now);
      spent.push({ amount, until: now + windowMs * Math.max(1, amount / share) });
      sum += amount;
    },
    state(now) {
      expire(now);
      const last = spent.at(-1);
      const resetMs = last === undefined || spent.length === first ? 0 : Math.max(0, last.until - now);
      return { limit, remaining: Math.max(0, share - sum), resetMs };
    },
  };
}
