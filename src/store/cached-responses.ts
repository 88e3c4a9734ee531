/**
 * Cached responses that outlive the process: bytes by key with an expiry, apart from the limits of the other state. A write returns at once
 * and may be lost at a limit or by a disk fault; a lost response is requested again.
 */
export interface CachedResponses {
  /** False: the store does not have it. */
  mayHold(key: string): boolean;
  /** Null: none, expired, or not readable now. Never rejects, and always ends within the driver's read timeout. */
  get(key: string): Promise<Uint8Array | null>;
  /** Stores both parts concatenated; they are copied. `expiresAtMs`: milliseconds since the Unix epoch. */
  put(key: string, head: Uint8Array, body: Uint8Array, expiresAtMs: number): void;
}
