/**
 * Which targets can read an opaque piece of a conversation, such as encrypted reasoning. A piece is identified by its hash; a place is a
 * model at an account. Learned from responses (the place made the piece) and from refusals (the place cannot read it). Bounded: the piece
 * that was used longest ago is dropped first, and each one after a time without use.
 */
import { assert } from '../../core/assert.ts';

const DAY_MS = 86_400_000;
/** How long a piece is remembered after the last request or response that contained it, in milliseconds. */
export const PIECE_RETENTION_MS = 7 * DAY_MS;
/** A use is saved again after this long, in milliseconds. */
const RENEWED_EVERY_MS = PIECE_RETENTION_MS / 14;
/** Uses within this time count as one, in milliseconds. */
const ORDERED_EVERY_MS = 1_000;
export const PIECES_MAX = 50_000;
/** Places remembered per piece. */
export const PLACES_MAX = 8;

export interface Place {
  readonly provider: string;
  /** One account of the provider. */
  readonly account: string;
  readonly model: string;
}

/** What a place can do with a piece. `own`: read it; `foreign`: not read it; `unknown`: no evidence. */
export type Reading = 'own' | 'foreign' | 'unknown';

interface KnownPlace extends Place {
  /** True: it made the piece; false: it has refused it. */
  readonly reads: boolean;
}

interface Entry {
  places: readonly KnownPlace[];
  usedAtMs: number;
  savedAtMs: number;
}

/** The saved form of a piece: provider, account, model, and whether it reads the piece, of each place. */
export type SavedPiece = readonly (readonly [string, string, string, boolean])[];

/** Where pieces are saved; `expiresAtMs` in milliseconds since the epoch. */
export interface PieceStore {
  put(id: string, piece: SavedPiece, expiresAtMs: number): void;
  delete(id: string): void;
}

/** All instants are in milliseconds since the epoch, because the data outlives the process. */
export class PieceOrigins {
  /** Least recently used first. */
  readonly #pieces = new Map<string, Entry>();
  /** Where changes are saved; null: nowhere. */
  store: PieceStore | null = null;

  get size(): number {
    return this.#pieces.size;
  }

  /** The place made the piece. */
  made(nowMs: number, id: string, place: Place): void {
    this.#note(nowMs, id, place, true);
  }

  /** The place has refused the piece. */
  refused(nowMs: number, id: string, place: Place): void {
    this.#note(nowMs, id, place, false);
  }

  /** What the place can do with the piece. */
  reading(nowMs: number, id: string, place: Place): Reading {
    const places = this.#use(nowMs, id)?.places;
    if (places === undefined) return 'unknown';
    const own = places.find((known) => isSame(known, place));
    if (own !== undefined) return own.reads ? 'own' : 'foreign';
    return places.some(({ reads }) => reads) ? 'foreign' : 'unknown';
  }

  /** The places that made the piece, the latest last. */
  makers(nowMs: number, id: string): readonly Place[] {
    return this.#use(nowMs, id)?.places.filter(({ reads }) => reads) ?? [];
  }

  /** Restores a saved piece. */
  restore(nowMs: number, id: string, saved: SavedPiece): void {
    if (this.#pieces.has(id) || this.#pieces.size >= PIECES_MAX) return;
    const places = saved.slice(-PLACES_MAX).map(([provider, account, model, reads]) => ({ provider, account, model, reads }));
    this.#pieces.set(id, { places, usedAtMs: nowMs, savedAtMs: nowMs });
  }

  /** Saves every piece again. */
  saveAll(): void {
    for (const [id, entry] of this.#pieces) this.#save(id, entry, entry.usedAtMs);
  }

  #note(nowMs: number, id: string, place: Place, reads: boolean): void {
    const before = this.#use(nowMs, id)?.places ?? [];
    const known = before.find((one) => isSame(one, place));
    if (known?.reads === reads) return;
    const others = before.filter((one) => one !== known).slice(1 - PLACES_MAX);
    const entry = { places: [...others, { ...place, reads }], usedAtMs: nowMs, savedAtMs: nowMs };
    if (before.length === 0 && this.#pieces.size >= PIECES_MAX) this.#forget(this.#pieces.keys().next().value!);
    this.#pieces.delete(id);
    this.#pieces.set(id, entry);
    assert(this.#pieces.size <= PIECES_MAX, 'opaque pieces are remembered within their limit');
    this.#save(id, entry, nowMs);
  }

  #use(nowMs: number, id: string): Entry | undefined {
    const entry = this.#pieces.get(id);
    if (entry === undefined) return undefined;
    if (nowMs - entry.usedAtMs > PIECE_RETENTION_MS) return this.#forget(id);
    if (nowMs - entry.usedAtMs < ORDERED_EVERY_MS) return entry;
    entry.usedAtMs = nowMs;
    this.#pieces.delete(id); // reinserted as the newest
    this.#pieces.set(id, entry);
    if (nowMs - entry.savedAtMs > RENEWED_EVERY_MS) this.#save(id, entry, nowMs);
    return entry;
  }

  #forget(id: string): undefined {
    this.#pieces.delete(id);
    this.store?.delete(id);
  }

  #save(id: string, entry: Entry, nowMs: number): void {
    entry.savedAtMs = nowMs;
    const saved = entry.places.map(({ provider, account, model, reads }) => [provider, account, model, reads] as const);
    this.store?.put(id, saved, entry.usedAtMs + PIECE_RETENTION_MS);
  }
}

function isSame(a: Place, b: Place): boolean {
  return a.account === b.account && a.model === b.model;
}
