/**
 * Billed calls by day, client, model and target, kept in the store. Tokens are stored, not costs: a corrected price corrects the past.
 *
 * Each process writes rows of its own, under keys that hold its random id, and never reads them back to continue: a store that is away at the start
 * or shared by several instances loses and overwrites nothing. A report sums all of them, and rows of earlier days are merged.
 */
import type { Clock } from '../../core/clock.ts';
import { dayOf } from '../../core/day.ts';
import type { FinishedEvent } from '../../core/events.ts';
import { inSlices } from '../../core/sliced-work.ts';
import type { ExpiryRange, Store } from '../../store/store.ts';
import { addCall, classOf, emptyCounts, keyText, mergedRow, readRow } from './usage-row.ts';
import type { UsageKey, UsageRow } from './usage-row.ts';

const COLLECTION = 'usage';
const DAY_MS = 86_400_000;
/** How long rows are kept, in milliseconds. */
const KEPT_MS = 400 * DAY_MS;
/** Rows of days that ended longer ago are merged: a process whose store was away has saved its own by then. In milliseconds. */
const MERGED_AFTER_MS = 7 * DAY_MS;
/** In place of a process, in the key of a merged row. */
const MERGED = 'merged';
/** The most rows merged at once. */
const MERGED_ROWS_MAX = 500;
/** Rows of one day and process; beyond this, calls count as those of model and target `other`. */
export const ROWS_PER_DAY_MAX = 10_000;
/** Longer names of models and targets are cut: a key of the store has at most 1,024 characters. */
const NAME_LENGTH_MAX = 300;

/** The most targets whose latest row is found without building its key. */
const LATEST_MAX = 100;

interface LatestRow {
  readonly key: string;
  readonly row: UsageRow;
}

export class UsageLedger {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #process: string;
  readonly #mask: (text: string) => string;
  /** Rows of this process: those of today, and older ones that are not saved. */
  readonly #rows = new Map<string, UsageRow>();
  readonly #unsaved = new Set<string>();
  /** By target, the row that its last call counts in: most further ones count there too. */
  readonly #latest = new Map<string, LatestRow>();
  #day = '';
  #dayEndsMs = -Infinity;
  #rowsToday = 0;

  /** `process`: unique among all processes that use the store. `mask`: masks keys that a caller sent in place of a model. */
  constructor(store: Store, clock: Clock, process: string, mask: (text: string) => string = (text) => text) {
    this.#store = store;
    this.#clock = clock;
    this.#process = process;
    this.#mask = mask;
  }

  /** Counts the calls of a request; `save` stores them. */
  record({ client, model, calls = [] }: FinishedEvent): void {
    const day = this.#today();
    for (const call of calls) {
      const { key, row } = this.#rowOf({ day, client, model, target: call.target, ...classOf(call) });
      addCall(row, call);
      this.#unsaved.add(key);
    }
  }

  /** The row of these calls; a new one if there is none. */
  #rowOf(id: UsageKey): LatestRow {
    let latest = this.#latest.get(id.target);
    if (latest !== undefined && isOf(latest.row, id)) return latest;
    latest = this.#find({ ...id, model: short(this.#mask(id.model)), target: short(this.#mask(id.target)) });
    if (this.#latest.size >= LATEST_MAX) this.#latest.clear();
    this.#latest.set(id.target, latest);
    return latest;
  }

  #find(id: UsageKey): LatestRow {
    const key = keyText(id);
    const known = this.#rows.get(key);
    if (known !== undefined) return { key, row: known };
    if (this.#rowsToday >= ROWS_PER_DAY_MAX && (id.model !== 'other' || id.target !== 'other'))
      return this.#find({ ...id, model: 'other', target: 'other' });
    const row: UsageRow = { ...id, ...emptyCounts() };
    this.#rows.set(key, row);
    this.#rowsToday++;
    return { key, row };
  }

  /** Passes unsaved rows to the store. */
  save(): void {
    const today = this.#today();
    for (const key of this.#unsaved) {
      const row = this.#rows.get(key)!;
      this.#store.put(COLLECTION, `${key} ${this.#process}`, row, { expiresAtMs: expiryOf(row.day) });
      if (row.day !== today) this.#rows.delete(key);
    }
    this.#unsaved.clear();
  }

  /** All rows from the day `from` to the day `to`, both included; several may have the same key. */
  async rows(from: string, to: string): Promise<UsageRow[]> {
    const rows: UsageRow[] = [];
    await this.eachRow(from, to, (row) => rows.push(row));
    return rows;
  }

  /** Calls `each` with these rows; those of the store in slices. False: the store could not be read, and rows are missing. */
  async eachRow(from: string, to: string, each: (row: UsageRow) => void): Promise<boolean> {
    let isComplete = true;
    for (const day of this.#daysWithin(from, to)) {
      if (await this.#eachOther(day, each)) continue;
      isComplete = false;
      // A slow store may take as long for each day; one that is away returns what waits to be saved at once.
      if (this.#store.health.state === 'ok') break;
    }
    for (const row of this.ownRows(from, to)) each(row);
    return isComplete;
  }

  /** Those held in memory: of this process, today or unsaved. */
  ownRows(from: string, to: string): UsageRow[] {
    return [...this.#rows.values()].filter(({ day }) => day >= from && day <= to);
  }

  /** Those of one day in the store that are not held in memory. Null: it could not be read. */
  async otherRows(day: string): Promise<UsageRow[] | null> {
    const rows: UsageRow[] = [];
    return (await this.#eachOther(day, (row) => rows.push(row))) ? rows : null;
  }

  async #eachOther(day: string, each: (row: UsageRow) => void): Promise<boolean> {
    const own = ` ${this.#process}`;
    const { entries, isComplete } = await this.#store.scan(COLLECTION, onlyAt(expiryOf(day)));
    await inSlices(this.#clock, entries, ([key, value]) => {
      if (key.endsWith(own) && this.#rows.has(key.slice(0, -own.length))) return; // this process has it newer
      const row = readRow(value);
      if (row !== null && row.day === day) each(row);
    });
    return isComplete;
  }

  /**
   * Merges the rows that ended processes have left, so that their number does not grow with every restart. Processes that share the store
   * may do so at the same time: rows are replaced in one step, and only if they are as they were read.
   */
  async merge(): Promise<void> {
    const today = Date.parse(this.#today());
    for (const day of this.#daysWithin('', dayOf(today - MERGED_AFTER_MS))) {
      const { entries, isComplete } = await this.#store.scan(COLLECTION, onlyAt(expiryOf(day)));
      if (!isComplete) return;
      const groups = new Map<string, Map<string, unknown>>();
      await inSlices(this.#clock, entries, ([key, value]) => {
        const name = key.slice(0, key.lastIndexOf(' '));
        let group = groups.get(name);
        if (group === undefined) groups.set(name, (group = new Map()));
        if (group.size < MERGED_ROWS_MAX) group.set(key, value);
      });
      for (const [name, group] of groups) {
        const merged = group.size < 2 ? null : mergedRow([...group.values()]);
        if (merged !== null) await this.#store.replace(COLLECTION, `${name} ${MERGED}`, merged, { expiresAtMs: expiryOf(day) }, group);
      }
    }
  }

  /** The days from `from` to `to` that the store may have rows of, the earliest first. */
  #daysWithin(from: string, to: string): string[] {
    const today = Date.parse(this.#today());
    const days: string[] = [];
    // The clock of another process may be ahead.
    for (let at = today - KEPT_MS; at <= today + DAY_MS; at += DAY_MS) {
      const day = dayOf(at);
      if (day >= from && day <= to) days.push(day);
    }
    return days;
  }

  #today(): string {
    const now = this.#clock.epochMs();
    if (now < this.#dayEndsMs && now >= this.#dayEndsMs - DAY_MS) return this.#day;
    this.#dayEndsMs = (Math.floor(now / DAY_MS) + 1) * DAY_MS;
    this.#day = dayOf(now);
    this.#rowsToday = 0;
    this.#latest.clear();
    for (const [key, { day }] of this.#rows) {
      if (day === this.#day) this.#rowsToday++;
      else if (!this.#unsaved.has(key)) this.#rows.delete(key);
    }
    return this.#day;
  }
}

/** When the rows of a day expire; the store finds them by it. */
function expiryOf(day: string): number {
  return Date.parse(day) + KEPT_MS;
}

function onlyAt(ms: number): ExpiryRange {
  return { fromMs: ms, toMs: ms };
}

/** True if the calls count in this row; false if a name is masked or shortened in it. */
function isOf(row: UsageRow, { day, client, model, target, tier, size, wasted, basis }: UsageKey): boolean {
  return (
    row.day === day &&
    row.client === client &&
    row.model === model &&
    row.target === target &&
    row.tier === tier &&
    row.size === size &&
    row.wasted === wasted &&
    row.basis === basis
  );
}

function short(name: string): string {
  return name.length <= NAME_LENGTH_MAX ? name : name.slice(0, NAME_LENGTH_MAX);
}
