/** The semantics of writes, for all drivers: pure functions on rows and changes. */

/** A stored entry: JSON text and its expiry (null for never). */
export interface Row {
  readonly text: string;
  readonly expiresAtMs: number | null;
}

export type Change = { readonly kind: 'put'; readonly text: string; readonly expiresAtMs: number | null } | { readonly kind: 'delete' };

export function isExpired(entry: { readonly expiresAtMs: number | null }, nowMs: number): boolean {
  return entry.expiresAtMs !== null && entry.expiresAtMs <= nowMs;
}

/** The row after the change; undefined if deleted. */
export function rowAfter(change: Change): Row | undefined {
  return change.kind === 'delete' ? undefined : { text: change.text, expiresAtMs: change.expiresAtMs };
}
