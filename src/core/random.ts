/** The source of randomness: seeded in tests and simulations, the system's in production. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
}
