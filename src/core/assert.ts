/** An invariant of ours does not hold: a bug in Breakwater, never a fault of a caller or a provider. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/** Checks one of our own invariants; stays on in production. What comes from outside is validated, not asserted. */
export function assert(holds: boolean, invariant: string): asserts holds {
  if (!holds) throw new AssertionError(`invariant broken: ${invariant}`);
}
