/** Statistics of calls from the provider's side, for test assertions. Instants are ms since the start or last reset. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Clock } from '../core/clock.ts';
import type { Refusal } from './limits.ts';

/** How a call ended: response sent in full, connection broken by Storm, or closed early by the caller. */
export type Ending = 'sent' | 'broken' | 'aborted';

export interface CallRecord {
  /** Number of the call, from 1. */
  call: number;
  atMs: number;
  path: string;
  model: string;
  /** Value of `x-storm-tag`. */
  tag: string | undefined;
  stream: boolean;
  /** Absent if no head was sent. */
  status?: number;
  /** Kind of the applied fault; several are joined by `+`. */
  fault?: string;
  /** The limit that refused the call. */
  refusedBy?: Refusal['by'];
  inputTokens: number;
  outputTokens: number;
  /** Absent while the call runs. */
  endMs?: number;
  ending?: Ending;
  /** With `keepBodies` only. */
  headers?: IncomingHttpHeaders;
  body?: Buffer;
}

export interface StormStats {
  /** Calls of any path except lookups and `/storm/…`, including refused and failed ones. */
  calls: number;
  byModel: Record<string, number>;
  /** Finished calls by the status sent; `none` if no head was sent. */
  byStatus: Record<string, number>;
  byTag: Record<string, number>;
  /** Includes lookups; unknown paths are `other`. */
  byPath: Record<string, number>;
  /** Counts each kind if several were applied together. */
  byFault: Record<string, number>;
  /** Calls that exceeded a limit. */
  violations: { total: number } & Record<Refusal['by'], number>;
  running: number;
  maxRunning: number;
  aborted: number;
  /** Time at which each disconnect of a caller was detected, and the elapsed time of its call; the last 1,000. */
  aborts: { call: number; atMs: number; afterMs: number }[];
  /** Start times of calls, including refused ones; the last 100,000. */
  starts: number[];
  /** Start times of admitted calls; the last 100,000. */
  admitted: number[];
  /** Tokens of admitted calls. */
  tokens: { input: number; output: number };
  /** Connections open now, and in total. */
  connections: { open: number; total: number };
  /** The last 10,000 calls, ordered by start. */
  log: CallRecord[];
}

/** Collects the statistics. Each record begins once and ends once. */
export interface Tally {
  begin(path: string, model: string, tag: string | undefined, stream: boolean): CallRecord;
  /** Records that the limits admitted a call, or the limit that refused it. */
  recordAdmission(record: CallRecord, refusedBy: Refusal['by'] | undefined): void;
  end(record: CallRecord, ending: Ending, status: number | undefined): void;
  /** Corrects a call recorded as `sent` whose response did not reach the caller in full. */
  correctToAborted(record: CallRecord): void;
  /** The record of a call, while it is in the log. */
  find(call: number): CallRecord | undefined;
  countLookup(path: string): void;
  connected(by: 1 | -1): void;
  sinceMs(): number;
  show(): StormStats;
  reset(): void;
}

const LOG_MAX = 10_000;
const STARTS_MAX = 100_000;
const ABORTS_MAX = 1_000;
const NAMES_MAX = 1_000;

interface Counts {
  calls: number;
  names: Record<'model' | 'status' | 'tag' | 'path' | 'fault', Map<string, number>>;
  violations: StormStats['violations'];
  maxRunning: number;
  aborted: number;
  aborts: StormStats['aborts'];
  starts: number[];
  admitted: number[];
  tokens: { input: number; output: number };
  log: CallRecord[];
}

function emptyCounts(): Counts {
  return {
    calls: 0,
    names: { model: new Map(), status: new Map(), tag: new Map(), path: new Map(), fault: new Map() },
    violations: { total: 0, requests: 0, tokens: 0, input: 0, output: 0, day: 0, concurrency: 0 },
    maxRunning: 0,
    aborted: 0,
    aborts: [],
    starts: [],
    admitted: [],
    tokens: { input: 0, output: 0 },
    log: [],
  };
}

/** Creates empty statistics that start now. */
export function createTally(clock: Clock): Tally {
  let counts = emptyCounts();
  let startedAt = clock.now();
  let running = 0;
  const connections = { open: 0, total: 0 };
  const sinceMs = () => clock.now() - startedAt;

  function left(record: CallRecord): void {
    counts.aborted++;
    const atMs = sinceMs();
    push(counts.aborts, { call: record.call, atMs, afterMs: atMs - record.atMs }, ABORTS_MAX);
  }

  return {
    begin(path, model, tag, stream) {
      counts.calls++;
      const record: CallRecord = { call: counts.calls, atMs: sinceMs(), path, model, tag, stream, inputTokens: 0, outputTokens: 0 };
      add(counts.names.path, path);
      if (model !== '') add(counts.names.model, model);
      if (tag !== undefined) add(counts.names.tag, tag);
      push(counts.starts, record.atMs, STARTS_MAX);
      push(counts.log, record, LOG_MAX);
      running++;
      counts.maxRunning = Math.max(counts.maxRunning, running);
      return record;
    },
    recordAdmission(record, refusedBy) {
      if (refusedBy === undefined) {
        push(counts.admitted, record.atMs, STARTS_MAX);
        return;
      }
      record.refusedBy = refusedBy;
      counts.violations.total++;
      counts.violations[refusedBy]++;
    },
    end(record, ending, status) {
      running--;
      record.endMs = sinceMs();
      record.ending = ending;
      if (status !== undefined) record.status = status;
      for (const kind of record.fault?.split('+') ?? []) add(counts.names.fault, kind);
      add(counts.names.status, String(status ?? 'none'));
      counts.tokens.input += record.inputTokens;
      counts.tokens.output += record.outputTokens;
      if (ending === 'aborted') left(record);
    },
    correctToAborted(record) {
      record.ending = 'aborted';
      left(record);
    },
    find: (call) => counts.log[call - (counts.log[0]?.call ?? 1)],
    countLookup: (path) => add(counts.names.path, path),
    connected(by) {
      connections.open += by;
      if (by === 1) connections.total++;
    },
    sinceMs,
    show: () => shown(counts, running, connections),
    reset() {
      counts = emptyCounts();
      counts.maxRunning = running;
      connections.total = connections.open;
      startedAt = clock.now();
    },
  };
}

function shown(counts: Counts, running: number, connections: { open: number; total: number }): StormStats {
  const { names, calls, maxRunning, aborted } = counts;
  return {
    calls,
    byModel: Object.fromEntries(names.model),
    byStatus: Object.fromEntries(names.status),
    byTag: Object.fromEntries(names.tag),
    byPath: Object.fromEntries(names.path),
    byFault: Object.fromEntries(names.fault),
    violations: { ...counts.violations },
    running,
    maxRunning,
    aborted,
    aborts: counts.aborts.slice(-ABORTS_MAX),
    starts: counts.starts.slice(-STARTS_MAX),
    admitted: counts.admitted.slice(-STARTS_MAX),
    tokens: { ...counts.tokens },
    connections: { ...connections },
    log: counts.log.slice(-LOG_MAX).map((record) => ({ ...record })),
  };
}

/** Appends to a list and keeps at least its last `max` items, at most twice as many. */
function push<T>(list: T[], item: T, max: number): void {
  if (list.length >= 2 * max) list.splice(0, max);
  list.push(item);
}

function add(names: Map<string, number>, name: string): void {
  const key = names.has(name) || names.size < NAMES_MAX ? name : 'other';
  names.set(key, (names.get(key) ?? 0) + 1);
}
