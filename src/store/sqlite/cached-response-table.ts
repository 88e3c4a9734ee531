/** Cached responses in the database file: blobs with an expiry, limited in number and size; the oldest are deleted first. */
import type { DatabaseSync } from 'node:sqlite';
import type { CachedResponseBounds, CachedResponseRow } from '../backend.ts';
import { inTransaction } from './transaction.ts';

/** The share of a limit that is freed at once when it is reached. */
const FREED_SHARE = 0.1;
/** Minimum interval between deletions of expired responses, which are not visible in any case. */
const SWEEP_INTERVAL_MS = 60_000;
/** Number of rows per query when freeing space. */
const EVICTION_BATCH = 1_000;

export class CachedResponseTable {
  readonly #connection: DatabaseSync;
  #rows: number;
  #bytes: number;
  #sweptAtMs: number;

  constructor(connection: DatabaseSync, nowMs: number) {
    this.#connection = connection;
    this.#sweptAtMs = nowMs;
    connection.prepare('DELETE FROM answers WHERE expires_at <= ?').run(nowMs);
    const found = connection.prepare('SELECT count(*) AS n, coalesce(sum(length(value)), 0) AS bytes FROM answers').get();
    this.#rows = Number(found?.['n']);
    this.#bytes = Number(found?.['bytes']);
  }

  put(rows: readonly CachedResponseRow[], bounds: CachedResponseBounds, nowMs: number): void {
    const before = this.#connection.prepare('SELECT length(value) AS bytes FROM answers WHERE key = ?');
    const write = this.#connection.prepare('INSERT OR REPLACE INTO answers (key, value, expires_at) VALUES (?, ?, ?)');
    inTransaction(this.#connection, () => {
      for (const { key, bytes, expiresAtMs } of rows) {
        const old = before.get(key);
        this.#rows += old === undefined ? 1 : 0;
        this.#bytes += bytes.byteLength - Number(old?.['bytes'] ?? 0);
        write.run(key, bytes, Math.ceil(expiresAtMs));
      }
      if (Math.abs(nowMs - this.#sweptAtMs) >= SWEEP_INTERVAL_MS) this.#sweep(nowMs);
      if (this.#rows > bounds.rowsMax || this.#bytes > bounds.bytesMax) this.#free(bounds);
    });
  }

  get(key: string, nowMs: number): Uint8Array | null {
    const value = this.#connection.prepare('SELECT value FROM answers WHERE key = ? AND expires_at > ?').get(key, nowMs)?.['value'];
    return value instanceof Uint8Array ? value : null;
  }

  /** Oldest first. */
  keys(nowMs: number): string[] {
    return this.#connection
      .prepare('SELECT key FROM answers WHERE expires_at > ? ORDER BY id')
      .all(nowMs)
      .map((record) => String(record['key']));
  }

  #sweep(nowMs: number): void {
    this.#sweptAtMs = nowMs;
    const expired = this.#connection
      .prepare('SELECT count(*) AS n, coalesce(sum(length(value)), 0) AS bytes FROM answers WHERE expires_at <= ?')
      .get(nowMs);
    this.#connection.prepare('DELETE FROM answers WHERE expires_at <= ?').run(nowMs);
    this.#rows -= Number(expired?.['n']);
    this.#bytes -= Number(expired?.['bytes']);
  }

  #free({ rowsMax, bytesMax }: CachedResponseBounds): void {
    const oldest = this.#connection.prepare('SELECT id, length(value) AS bytes FROM answers ORDER BY id LIMIT ?');
    const remove = this.#connection.prepare('DELETE FROM answers WHERE id = ?');
    const rowsKept = rowsMax * (1 - FREED_SHARE);
    const bytesKept = bytesMax * (1 - FREED_SHARE);
    while (this.#rows > rowsKept || this.#bytes > bytesKept) {
      const found = oldest.all(EVICTION_BATCH);
      if (found.length === 0) return;
      for (const record of found) {
        if (this.#rows <= rowsKept && this.#bytes <= bytesKept) return;
        remove.run(Number(record['id']));
        this.#rows--;
        this.#bytes -= Number(record['bytes']);
      }
    }
  }
}
