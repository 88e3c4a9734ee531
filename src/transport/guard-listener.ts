import type { Instant } from '../core/clock.ts';
import type { Failure } from '../core/facts.ts';
import type { PhaseLimit } from './phase-timer.ts';

/** How long each phase of an answer may last. */
export interface GuardLimits {
  readonly connectMs: number;
  readonly headersMs: number;
  readonly firstContentMs: number;
  /** Between two pieces of content. */
  readonly idleMs: number;
  /** The end of the attempt before its first content: its own timeout, or the deadline of the request. */
  readonly attemptEnds: Instant;
  /** No limit, counted from the start of its phase, is shorter than this. */
  readonly shortestMs: number;
  /** When the owner is to look at a silent answer, as things stand now. `sentAt`: 0 before the request is sent. */
  silenceLimit(now: Instant, sentAt: Instant, phase: 'connect' | 'headers' | 'first_content'): PhaseLimit;
}

/** Whom the guard tells. */
export interface GuardListener {
  onSent(): void;
  /** The first content of a stream, or a whole plain answer: what came so far waits in `take`. */
  onCandidate(): void;
  /** After `take`: more of the answer. */
  onChunks(pieces: readonly Uint8Array[]): void;
  /** The answer is complete. */
  onEnd(): void;
  onFailure(failure: Failure): void;
  /** True: what came waits to be decoded, so hold the upstream back until false. */
  onDecoderFull(full: boolean): void;
  /** Reading or passing on the answer threw. `isOver`: no failure or end will be told any more. */
  onThrown(error: unknown, isOver: boolean): void;
  /** The limit that `silenceLimit` named has passed. */
  onSilence(): void;
  /** The answer has ended, but its upstream neither closes nor lets go: close it. */
  onLinger(): void;
}
