/**
 * Answers that outlive the process: bytes by key with an expiry, outside the limits of the small state beside them. A write returns at
 * once and may be lost at a limit or by a fault of the disk: an answer that is gone is made again.
 */
export interface CachedResponses {
  /** False: it is not there, so that asking is no use. */
  mayHold(key: string): boolean;
  /** Null: none, expired, or not to be had now. Never rejects, and always ends within the driver's read timeout. */
  get(key: string): Promise<Uint8Array | null>;
  /** Both parts, one behind the other; they are copied. `expiresAtMs`: milliseconds since the Unix epoch. */
  put(key: string, head: Uint8Array, body: Uint8Array, expiresAtMs: number): void;
}
