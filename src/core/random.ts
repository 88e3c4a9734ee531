/** Chance as the engine sees it: seeded in tests and simulations, from the system in production. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
}
