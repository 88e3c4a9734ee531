/**
 * Billed calls by day, client, model and target, kept in the store. Tokens are stored, not costs: a corrected price corrects the past.
 *
 * Each process writes rows of its own, under keys that hold its random id, and never reads them back to continue: a store that is away at the start
 * or shared by several instances loses and overwrites nothing. A report sums all of them.
 */
import type { Clock } from '../../core/clock.ts';
import { dayOf } from '../../core/day.ts';
import type { FinishedEvent } from '../../core/events.ts';
import type { Store } from '../../store/store.ts';
import { addCall, classOf, emptyCounts, keyText, readRow } from './usage-row.ts';
import type { UsageRow } from './usage-row.ts';

const COLLECTION = 'usage';
const DAY_MS = 86_400_000;
/** How long rows are kept, in milliseconds. */
const KEPT_MS = 400 * DAY_MS;
/** Rows of one day and process; beyond this, calls count as those of model and target `other`. */
export const ROWS_PER_DAY_MAX = 10_000;
/** Longer names of models and targets are cut: a key of the store has at most 1,024 characters. */
const NAME_LENGTH_MAX = 300;

export class UsageLedger {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #process: string;
  readonly #mask: (text: string) => string;
  /** Rows of this process: those of today, and older ones that are not saved. */
  readonly #rows = new Map<string, UsageRow>();
  readonly #unsaved = new Set<string>();
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
      const id = { day, client, model: short(this.#mask(model)), target: short(this.#mask(call.target)), ...classOf(call) };
      let key = keyText(id);
      let row = this.#rows.get(key);
      if (row === undefined && this.#rowsToday >= ROWS_PER_DAY_MAX) {
        id.model = id.target = 'other';
        key = keyText(id);
        row = this.#rows.get(key);
      }
      if (row === undefined) {
        this.#rows.set(key, (row = { ...id, ...emptyCounts() }));
        this.#rowsToday++;
      }
      addCall(row, call);
      this.#unsaved.add(key);
    }
  }

  /** Passes unsaved rows to the store. */
  save(): void {
    const today = this.#today();
    for (const key of this.#unsaved) {
      const row = this.#rows.get(key)!;
      this.#store.put(COLLECTION, `${key} ${this.#process}`, row, { expiresAtMs: Date.parse(row.day) + KEPT_MS });
      if (row.day !== today) this.#rows.delete(key);
    }
    this.#unsaved.clear();
  }

  /** All rows from the day `from` to the day `to`, both included; several may have the same key. */
  async rows(from: string, to: string): Promise<UsageRow[]> {
    return [...(await this.otherRows(from, to)), ...this.ownRows(from, to)];
  }

  /** Those held in memory: of this process, today or unsaved. */
  ownRows(from: string, to: string): UsageRow[] {
    return [...this.#rows.values()].filter(({ day }) => day >= from && day <= to);
  }

  /** Those in the store that are not held in memory. */
  async otherRows(from: string, to: string): Promise<UsageRow[]> {
    const stored = await this.#store.getAll(COLLECTION);
    const own = ` ${this.#process}`;
    const found: UsageRow[] = [];
    for (const [key, value] of stored) {
      if (key.endsWith(own) && this.#rows.has(key.slice(0, -own.length))) continue; // this process has it newer
      const row = readRow(value);
      if (row !== null && row.day >= from && row.day <= to) found.push(row);
    }
    return found;
  }

  #today(): string {
    const now = this.#clock.epochMs();
    if (now < this.#dayEndsMs && now >= this.#dayEndsMs - DAY_MS) return this.#day;
    this.#dayEndsMs = (Math.floor(now / DAY_MS) + 1) * DAY_MS;
    this.#day = dayOf(now);
    this.#rowsToday = 0;
    for (const [key, { day }] of this.#rows) {
      if (day === this.#day) this.#rowsToday++;
      else if (!this.#unsaved.has(key)) this.#rows.delete(key);
    }
    return this.#day;
  }
}

function short(name: string): string {
  return name.length <= NAME_LENGTH_MAX ? name : name.slice(0, NAME_LENGTH_MAX);
}
