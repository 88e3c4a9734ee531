/** A broken invariant: a bug in Breakwater, never a fault of a caller or a provider. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/** Checks an internal invariant, also in production. External input is validated, not asserted. */
export function assert(holds: boolean, invariant: string): asserts holds {
  if (!holds) throw new AssertionError(`invariant broken: ${invariant}`);
}
