import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { StoreFailure } from '../backend.ts';
import { fullStore } from './full-store.ts';
import type { JobLimits } from './job-store.ts';

export type Row = Record<string, unknown>;

/** Statements of one connection, each prepared once. */
export class Sql {
  readonly connection: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>(); // bounded by the statements in this folder

  constructor(connection: DatabaseSync) {
    this.connection = connection;
  }

  run(text: string, ...values: SQLInputValue[]): number {
    return Number(this.#statement(text).run(...values).changes);
  }

  one(text: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#statement(text).get(...values);
  }

  all(text: string, ...values: SQLInputValue[]): Row[] {
    return this.#statement(text).all(...values);
  }

  /** Throws `full` if the database, or the client's part of it, exceeds its limit. */
  requireRoom(client: string, { bytesMax, clientBytesMax = bytesMax }: JobLimits): void {
    const pages = Number(this.one('PRAGMA page_count')?.['page_count']) - Number(this.one('PRAGMA freelist_count')?.['freelist_count']);
    const size = Number(this.one('PRAGMA page_size')?.['page_size']);
    if (pages * size > bytesMax) {
      throw new StoreFailure('full', fullStore(bytesMax, false));
    }
    // If the whole database is smaller than the share, there is nothing to add up.
    if (pages * size <= clientBytesMax || this.#bytesOf(client) <= clientBytesMax) return;
    throw new StoreFailure('full', fullStore(clientBytesMax, true));
  }

  #bytesOf(client: string): number {
    const files = this.one('SELECT coalesce(sum(bytes), 0) AS bytes FROM files WHERE client = ? AND job IS NULL', client);
    const jobs = this.one('SELECT coalesce(sum(bytes), 0) AS bytes FROM jobs WHERE client = ?', client);
    return Number(files?.['bytes']) + Number(jobs?.['bytes']);
  }

  #statement(text: string): StatementSync {
    let statement = this.#statements.get(text);
    if (statement === undefined) this.#statements.set(text, (statement = this.connection.prepare(text)));
    return statement;
  }
}

export function toJson(value: unknown): string {
  return JSON.stringify(value);
}

export function fromJson(value: unknown): Record<string, unknown> {
  return typeof value === 'string' ? (JSON.parse(value) as Record<string, unknown>) : {};
}

export function toNumber(value: unknown): number | null {
  return value === null || value === undefined ? null : Number(value);
}
