/**
 * Cached responses that survive a restart: bytes by key with an expiry, with limits separate from other state. A write returns immediately
 * and may be lost at a limit or by a disk fault; a lost response is fetched from the provider again.
 */
export interface CachedResponses {
  /** False if the store certainly lacks the key. */
  mayHold(key: string): boolean;
  /** Null if missing, expired or unreadable. Never rejects; settles within the driver's read timeout. */
  get(key: string): Promise<Uint8Array | null>;
  /** Stores both parts concatenated; they are copied. `expiresAtMs`: milliseconds since the Unix epoch. */
  put(key: string, head: Uint8Array, body: Uint8Array, expiresAtMs: number): void;
  /** Writes all pending responses. */
  flush?(): Promise<void>;
}
