import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { StoreFailure } from '../backend.ts';

export type Row = Record<string, unknown>;

/** Statements of one connection, each prepared once. */
export class Sql {
  readonly connection: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>(); // as many as there are texts in this folder

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

  /** Rejects with `full` where the database holds more than so many bytes. */
  requireRoom(bytesMax: number): void {
    const pages = Number(this.one('PRAGMA page_count')?.['page_count']) - Number(this.one('PRAGMA freelist_count')?.['freelist_count']);
    const size = Number(this.one('PRAGMA page_size')?.['page_size']);
    if (pages * size > bytesMax) {
      throw new StoreFailure('full', `files and batches take more than batch.maxBytes, ${Math.round(bytesMax / 1024 / 1024)} MB`);
    }
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
