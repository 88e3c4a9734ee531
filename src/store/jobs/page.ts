import type { ListQuery, Page } from './job-store.ts';
import type { Row, Sql } from './sql.ts';

interface Listed {
  readonly table: 'files' | 'jobs';
  readonly kindColumn: 'purpose' | 'kind';
  /** SQL condition of listed rows. */
  readonly condition: string;
}

/** A page of a client's entries by cursor; null if the cursor matches none. */
export function listPage<T>(
  sql: Sql,
  { table, kindColumn, condition }: Listed,
  query: ListQuery,
  toEntry: (row: Row) => T,
): Page<T> | null {
  const { client, kind, after, before, limit } = query;
  const seqOf = (id: string): number | null => {
    const seq = sql.one(`SELECT seq FROM ${table} WHERE id = ? AND client = ? AND ${condition}`, id, client)?.['seq'];
    return seq === undefined ? null : Number(seq);
  };
  const oldestFirst = query.oldestFirst === true;
  // A page before a cursor holds the entries next to it, so it is read backwards.
  const isBackward = before !== undefined && after === undefined;
  const cursor = after ?? before;
  const at = cursor === undefined ? (oldestFirst ? -1 : Number.MAX_SAFE_INTEGER) : seqOf(cursor);
  if (at === null) return null;
  const ascending = oldestFirst !== isBackward;
  const rows = sql.all(
    `SELECT * FROM ${table} WHERE client = ? AND ${condition} AND (? IS NULL OR ${kindColumn} = ?)
       AND seq ${ascending ? '>' : '<'} ? ORDER BY seq ${ascending ? 'ASC' : 'DESC'} LIMIT ?`,
    client,
    kind ?? null,
    kind ?? null,
    at,
    limit + 1,
  );
  const entries = rows.slice(0, limit).map(toEntry);
  return { entries: isBackward ? entries.reverse() : entries, hasMore: rows.length > limit };
}
