/** A run of failures whose probability by chance is above this, at the failure ratio before it, is no new evidence. */
const PROBABILITY_MAX = 0.05;

export interface FailureRun {
  /** Consecutive failures. */
  readonly length: number;
  /** Outcomes in the window before it, and the failures among them. */
  readonly before: number;
  readonly failuresBefore: number;
  /** Calls that started before its last failure and have no outcome yet. */
  readonly running: number;
}

/**
 * Whether a run of failures is likely at the failure ratio before it. Two ways lead to one:
 *
 * - outcomes in random order: at 30 % a run of five occurs every few hundred calls
 * - failures that are faster than responses: of 200 calls that start together at 2.5 %, about five fail before the first one succeeds
 */
export function isChance({ length, before, failuresBefore, running }: FailureRun): boolean {
  const failureRatio = failuresBefore / before;
  if (before * failureRatio ** length > PROBABILITY_MAX) return true;
  const expected = failureRatio * (length + running);
  // Chernoff's bound for at least `length` failures where `expected` are.
  return length <= expected || Math.exp(length - expected) * (expected / length) ** length > PROBABILITY_MAX;
}
