/** What one request keeps of its attempts. */
import type { Instant } from '../core/clock.ts';
import type { Failure, TokenUsage } from '../core/facts.ts';
import type { Shortfall } from '../core/quality.ts';
import type { Judgement } from '../policy/verdict.ts';
import type { Admitted } from './admission/admission.ts';
import type { Attempt } from './attempt/attempt.ts';
import type { RouteTarget } from './route/route.ts';
import type { HeaderPairs } from './request/response-sink.ts';

/** One failed attempt, as the decisions after it and the final error need it. */
export interface FailedAttempt {
  readonly target: RouteTarget;
  readonly failure: Failure;
  readonly judgement: Judgement;
  /** The provider's own id of the request. */
  readonly upstreamId: string | null;
  /** What the response says of the caller's own account; absent: it was asked with another credential. */
  readonly account?: HeaderPairs;
  /** It was ended by the caller's deadline, or by the share of it that one attempt may spend in silence, not by a limit of its own. */
  readonly ranOut: boolean;
  /** The target was asked again at once with other edits: it is no failure of the request. */
  readonly isRepaired: boolean;
  /** The error is in another dialect than the caller's. */
  readonly isConverted: boolean;
}

/** A complete answer that was not good enough; the best of them is better than none. */
export interface KeptAnswer {
  readonly target: RouteTarget;
  readonly status: number;
  readonly headers: HeaderPairs;
  readonly body: Uint8Array;
  readonly usage: TokenUsage | null;
  readonly shortfall: Shortfall;
  /** Of its real content, in characters. */
  readonly length: number;
}

/** The attempts that run at once (`race.ts`). */
export interface Group {
  next(): Promise<Attempt | null>;
  /** Sends a repaired repeat beside the one that still runs. */
  join(admitted: Admitted): void;
  win(winner: Attempt): void;
  leave(): void;
  /** A reader of the answer has joined that waits longer. */
  raiseDeadline(deadline: Instant): void;
  /** Those that are still waited for. */
  readonly silent: readonly Attempt[];
  /** One of them has been silent for too long. */
  onSilence(): void;
}
