/** Persists which target made each opaque item. */
import type { PieceOrigins, SavedPiece } from '../policy/opaque/piece-origins.ts';
import type { Store } from '../store/store.ts';

const PIECES = 'opaque-piece';

/** Restores what an earlier process saved, and saves every change from now on. Does nothing with a memory store. */
export async function persistMakers(store: Store, book: PieceOrigins, nowMs: number): Promise<void> {
  if (store.kind === 'memory') return;
  for (const [id, value] of await store.getAll(PIECES)) if (isPiece(value)) book.restore(nowMs, id, value);
  book.store = {
    put: (id, piece, expiresAtMs) => store.put(PIECES, id, piece, { expiresAtMs }),
    delete: (id) => store.delete(PIECES, id),
  };
}

function isPiece(value: unknown): value is SavedPiece {
  return Array.isArray(value) && value.length > 0 && value.every(isPlace);
}

function isPlace(value: unknown): boolean {
  if (!Array.isArray(value) || value.length !== 4) return false;
  return value.slice(0, 3).every((part) => typeof part === 'string') && typeof value[3] === 'boolean';
}
