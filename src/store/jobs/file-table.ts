/** Files: uploads in chunks, and result files of jobs, which are generated from the items when read. */
import type { FileDetails, JobLimits, ListQuery, NewFile, Page, ResultFile, StoredFile } from './job-store.ts';
import { listPage } from './page.ts';
import { toNumber, type Row, type Sql } from './sql.ts';

export class FileTable {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  create({ id, client, createdAtMs, expiresAtMs }: NewFile, limits: JobLimits): boolean {
    this.#sql.requireRoom(client, limits);
    const text = `INSERT OR IGNORE INTO files (id, client, complete, purpose, filename, bytes, created_at, expires_at) VALUES (?, ?, 0, '', '', 0, ?, ?)`;
    return this.#sql.run(text, id, client, createdAtMs, expiresAtMs) === 1;
  }

  createOfResults(file: ResultFile, succeeded: boolean): void {
    this.#sql.run(
      `INSERT OR IGNORE INTO files (id, client, complete, purpose, filename, bytes, created_at, expires_at, job, succeeded)
       VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?)`,
      file.id,
      file.client,
      file.purpose,
      file.filename,
      file.bytes,
      file.createdAtMs,
      file.expiresAtMs,
      file.job,
      succeeded ? 1 : 0,
    );
  }

  append(id: string, index: number, bytes: Uint8Array, limits: JobLimits): boolean {
    const file = this.#sql.one('SELECT seq, client FROM files WHERE id = ? AND complete = 0', id);
    if (file === undefined) return false;
    this.#sql.requireRoom(String(file['client']), limits);
    this.#sql.run('UPDATE files SET bytes = bytes + ? WHERE id = ?', bytes.byteLength, id);
    this.#sql.run('INSERT OR REPLACE INTO file_pieces (file, n, bytes) VALUES (?, ?, ?)', Number(file['seq']), index, bytes);
    return true;
  }

  finish(id: string, { purpose, filename, bytes, expiresAtMs }: FileDetails): boolean {
    const text = 'UPDATE files SET complete = 1, purpose = ?, filename = ?, bytes = ?, expires_at = ? WHERE id = ? AND complete = 0';
    return this.#sql.run(text, purpose, filename, bytes, expiresAtMs, id) === 1;
  }

  abandon(id: string): void {
    const file = this.#sql.one('SELECT seq, job FROM files WHERE id = ? AND complete = 0', id);
    if (file !== undefined) this.#remove(file);
  }

  get(client: string, id: string): StoredFile | null {
    const found = this.#sql.one('SELECT * FROM files WHERE id = ? AND client = ? AND complete = 1', id, client);
    return found === undefined ? null : toFile(found);
  }

  list(query: ListQuery): Page<StoredFile> | null {
    const condition = `complete = 1 AND expires_at > ${Math.floor(query.nowMs ?? -1)}`;
    return listPage(this.#sql, { table: 'files', kindColumn: 'purpose', condition }, query, toFile);
  }

  delete(client: string, id: string): boolean {
    const found = this.#sql.one('SELECT seq, job FROM files WHERE id = ? AND client = ? AND complete = 1', id, client);
    if (found === undefined) return false;
    this.#remove(found);
    return true;
  }

  read(id: string, index: number): Uint8Array | null {
    const text = 'SELECT p.bytes AS bytes FROM files f JOIN file_pieces p ON p.file = f.seq WHERE f.id = ? AND p.n = ?';
    const bytes = this.#sql.one(text, id, index)?.['bytes'];
    return bytes instanceof Uint8Array ? bytes : null;
  }

  /** Deletes expired files, a limited number per call. */
  expire(nowMs: number): void {
    for (const found of this.#sql.all('SELECT seq, job FROM files WHERE expires_at <= ? LIMIT 100', nowMs)) this.#remove(found);
  }

  #remove(found: Row): void {
    const seq = Number(found['seq']);
    const job = found['job'];
    this.#sql.run('DELETE FROM files WHERE seq = ?', seq);
    if (typeof job !== 'string') {
      this.#sql.run(`INSERT OR IGNORE INTO garbage (kind, ref) VALUES ('file', ?)`, seq);
      return;
    }
    // Results are kept as long as a file refers to them.
    if (this.#sql.one('SELECT 1 FROM files WHERE job = ?', job) !== undefined) return;
    this.#sql.run('UPDATE jobs SET bytes = 0 WHERE id = ?', job);
    this.#sql.run(`INSERT OR IGNORE INTO garbage (kind, ref) SELECT 'items', seq FROM jobs WHERE id = ?`, job);
  }
}

function toFile(row: Row): StoredFile {
  const job = row['job'];
  return {
    id: String(row['id']),
    client: String(row['client']),
    purpose: String(row['purpose']),
    filename: String(row['filename']),
    bytes: Number(row['bytes']),
    createdAtMs: Number(row['created_at']),
    expiresAtMs: Number(row['expires_at']),
    results: typeof job === 'string' ? { job, succeeded: toNumber(row['succeeded']) === 1 } : null,
  };
}
