/** All in milliseconds. */
export interface StoreTiming {
  /** Maximum time that a change waits to be committed in a group. Default 25. */
  readonly groupCommitMs: number;
  /** Default 5,000. */
  readonly connectTimeoutMs: number;
  /** Default 10,000: a slow disk is tolerated, since no request waits for it. */
  readonly applyTimeoutMs: number;
  /** Default 3,000. */
  readonly readTimeoutMs: number;
  /** Default 5,000. */
  readonly flushTimeoutMs: number;
  /** For a clean close of the connection, after the flush. Default 2,000. */
  readonly closeTimeoutMs: number;
  /** Delay before the first reconnect; doubles each time. Default 250. */
  readonly retryDelayMs: number;
  /** Default 30,000. */
  readonly retryDelayMaxMs: number;
  /** Minimum interval between two checks of a connection. Default 5,000. */
  readonly checkIntervalMs: number;
}

export const STORE_TIMING: StoreTiming = {
  groupCommitMs: 25,
  connectTimeoutMs: 5_000,
  applyTimeoutMs: 10_000,
  readTimeoutMs: 3_000,
  flushTimeoutMs: 5_000,
  closeTimeoutMs: 2_000,
  retryDelayMs: 250,
  retryDelayMaxMs: 30_000,
  checkIntervalMs: 5_000,
};
