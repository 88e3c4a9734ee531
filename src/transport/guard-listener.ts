import type { Instant } from '../core/clock.ts';
import type { Failure } from '../core/facts.ts';
import type { PhaseLimit } from './phase-timer.ts';

/** The limits of the phases of a response. */
export interface GuardLimits {
  readonly connectMs: number;
  readonly headersMs: number;
  readonly firstContentMs: number;
  /** Between two chunks of content. */
  readonly idleMs: number;
  /** The end of the attempt before its first content: its own timeout, or the deadline of the request. */
  readonly attemptEnds: Instant;
  /** No limit, counted from the start of its phase, is shorter than this. */
  readonly shortestMs: number;
  /** When `onSilence` is called for a silent response. `sentAt`: 0 before the request is sent. */
  silenceLimit(now: Instant, sentAt: Instant, phase: 'connect' | 'headers' | 'first_content'): PhaseLimit;
}

/** The owner of a guard. */
export interface GuardListener {
  onSent(now: Instant): void;
  /** The first content of a stream, or a whole non-streaming response; `take` returns it. */
  onCandidate(now: Instant): void;
  /** After `take`: more of the response. */
  onChunks(chunks: readonly Uint8Array[]): void;
  /** The response is complete. */
  onEnd(): void;
  onFailure(failure: Failure): void;
  /** True: too many bytes wait for the decoder; pause the upstream until false. */
  onDecoderFull(full: boolean): void;
  /** Reading or passing on the response threw. `isOver`: neither failure nor end follows. */
  onThrown(error: unknown, isOver: boolean): void;
  /** The limit of `silenceLimit` was reached. */
  onSilence(): void;
  /** The response has ended but the upstream has not closed: close its connection. */
  onLinger(): void;
}
