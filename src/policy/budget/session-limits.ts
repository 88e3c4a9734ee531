import type { Instant } from '../../core/clock.ts';

const MINUTE_MS = 60_000;
/** A session without requests for this long is forgotten, in milliseconds. */
const IDLE_MS = 24 * 3_600_000;
/** Sessions that are remembered for one client; beyond this the one that has been idle longest is forgotten. */
export const SESSIONS_MAX = 10_000;

/** Infinity: no limit. */
export interface SessionBounds {
  readonly requestsPerMinute: number;
  readonly tokens: number;
  readonly usd: number;
}

interface Session {
  tokens: number;
  usd: number;
  lastAt: Instant;
  /** Requests that may start now, refilled over time. */
  level: number;
}

export type SessionRefusal =
  | { readonly limit: 'requestsPerMinute'; readonly bound: number; readonly retryAfterMs: number }
  | { readonly limit: 'tokens' | 'usd'; readonly bound: number; readonly used: number };

/** The limits of each session of one client. A session in a loop is refused, not queued, so that its agent stops. */
export class SessionLimits {
  #bounds: SessionBounds;
  /** The session that has been idle longest first. */
  readonly #sessions = new Map<string, Session>();

  constructor(bounds: SessionBounds) {
    this.#bounds = bounds;
  }

  configure(bounds: SessionBounds): void {
    this.#bounds = bounds;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Counts a request of the session; the reason if its limits don't allow it. */
  admit(now: Instant, id: string): SessionRefusal | null {
    const session = this.#touch(now, id);
    const { requestsPerMinute, tokens, usd } = this.#bounds;
    if (session.usd >= usd) return { limit: 'usd', bound: usd, used: session.usd };
    if (session.tokens >= tokens) return { limit: 'tokens', bound: tokens, used: session.tokens };
    if (session.level < 1) {
      return {
        limit: 'requestsPerMinute',
        bound: requestsPerMinute,
        retryAfterMs: Math.ceil(((1 - session.level) / requestsPerMinute) * MINUTE_MS),
      };
    }
    session.level--;
    return null;
  }

  /** Adds what a request of the session has used. */
  record(now: Instant, id: string, tokens: number, usd: number): void {
    const session = this.#touch(now, id);
    session.tokens += tokens;
    session.usd += usd;
  }

  #touch(now: Instant, id: string): Session {
    const { requestsPerMinute } = this.#bounds;
    const capacity = Math.max(1, requestsPerMinute);
    const session = this.#sessions.get(id) ?? { tokens: 0, usd: 0, lastAt: now, level: capacity };
    session.level =
      requestsPerMinute === Infinity
        ? Infinity
        : Math.min(capacity, session.level + ((now - session.lastAt) / MINUTE_MS) * requestsPerMinute);
    session.lastAt = now;
    this.#sessions.delete(id);
    this.#sessions.set(id, session);
    for (const [oldest, { lastAt }] of this.#sessions) {
      if (this.#sessions.size <= SESSIONS_MAX && now - lastAt < IDLE_MS) break;
      this.#sessions.delete(oldest);
    }
    return session;
  }
}
