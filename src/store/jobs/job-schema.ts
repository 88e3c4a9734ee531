/**
 * The tables of files, jobs and items, as migration steps. Small columns precede large ones, because SQLite reads a row only as far as
 * needed.
 */
const TABLES = `
  CREATE TABLE files (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    client TEXT NOT NULL,
    complete INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    filename TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    job TEXT,
    succeeded INTEGER
  ) STRICT;
  CREATE INDEX files_by_client ON files (client, seq);
  CREATE INDEX files_by_job ON files (job) WHERE job IS NOT NULL;
  CREATE INDEX files_by_expiry ON files (expires_at);
  CREATE TABLE file_pieces (
    file INTEGER NOT NULL,
    n INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (file, n)
  ) STRICT;
  CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    client TEXT NOT NULL,
    state TEXT NOT NULL,
    is_open INTEGER NOT NULL,
    ending TEXT,
    runner INTEGER,
    dialect TEXT NOT NULL,
    path TEXT NOT NULL,
    priority TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    keep_until INTEGER,
    total INTEGER NOT NULL DEFAULT 0,
    succeeded INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    data TEXT NOT NULL
  ) STRICT;
  CREATE INDEX jobs_by_client ON jobs (client, seq);
  CREATE INDEX jobs_open ON jobs (seq) WHERE is_open = 1;
  CREATE INDEX jobs_by_expiry ON jobs (keep_until) WHERE keep_until IS NOT NULL;
  CREATE TABLE job_models (
    job INTEGER NOT NULL,
    model TEXT NOT NULL,
    PRIMARY KEY (job, model)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE items (
    job INTEGER NOT NULL,
    n INTEGER NOT NULL,
    state INTEGER NOT NULL,
    succeeded INTEGER,
    not_before INTEGER NOT NULL,
    runner INTEGER,
    lease INTEGER NOT NULL,
    rounds INTEGER NOT NULL,
    strikes INTEGER NOT NULL,
    repeated INTEGER NOT NULL,
    status INTEGER,
    model TEXT NOT NULL,
    custom_id TEXT NOT NULL,
    note TEXT,
    error TEXT,
    facts TEXT,
    body BLOB,
    result BLOB,
    PRIMARY KEY (job, n)
  ) STRICT;
  CREATE INDEX items_due ON items (job, state, model, not_before, n);
  CREATE INDEX items_by_runner ON items (runner) WHERE runner IS NOT NULL;
  CREATE TABLE runners (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    machine TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE garbage (
    kind TEXT NOT NULL,
    ref INTEGER NOT NULL,
    PRIMARY KEY (kind, ref)
  ) STRICT, WITHOUT ROWID;`;

/** Events of streamed background responses, and each job's size, which counts towards its client's share. */
const EVENTS = `
  CREATE TABLE job_events (
    job INTEGER NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (job, first)
  ) STRICT;
  ALTER TABLE jobs ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;`;

/** The provider's batch that an item was handed over to; null: none. */
const HANDOVERS = `ALTER TABLE items ADD COLUMN batch TEXT;`;

/** The cost in US dollars of the items whose price is known, and their number. */
const COSTS = `
  ALTER TABLE jobs ADD COLUMN cost REAL NOT NULL DEFAULT 0;
  ALTER TABLE jobs ADD COLUMN priced INTEGER NOT NULL DEFAULT 0;`;

/** 1: an orderly stop cut a call of the item off. That is no crash, which `repeated` counts. */
const CUTS = `ALTER TABLE items ADD COLUMN cut INTEGER NOT NULL DEFAULT 0;`;

/** Steps are never changed, only added. */
export const JOB_TABLES: readonly string[] = [TABLES, EVENTS, HANDOVERS, COSTS, CUTS];
