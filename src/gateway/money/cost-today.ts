/** The cost of today (UTC) by target, for the dashboard: of all processes that write to the store, before and after a restart. */
import type { Clock } from '../../core/clock.ts';
import type { Price } from '../../core/price.ts';
import type { UsageLedger } from './usage-ledger.ts';
import { usageReport } from './usage-report.ts';
import type { UsageRow } from './usage-row.ts';

/** How often rows of other processes are read, in milliseconds. Those of this process are always current. */
const READ_EVERY_MS = 60_000;
/** Maximum number of targets listed, the most expensive first. */
const TARGETS_MAX = 200;
/** With more rows than this the sum is computed anew every `SUM_EVERY_MS` only, as it takes some milliseconds. */
const ROWS_QUICK_MAX = 200;
const SUM_EVERY_MS = 10_000;

export interface DayCost {
  /** In US dollars, without unpriced calls. */
  readonly usd: number;
  readonly unpricedCalls: number;
  readonly byTarget: readonly { readonly target: string; readonly usd: number; readonly unpricedCalls: number }[];
}

export class CostToday {
  readonly #ledger: UsageLedger;
  readonly #clock: Clock;
  readonly #priceOf: (target: string) => Price | null;
  #others: readonly UsageRow[] = [];
  #readAt = -Infinity;
  #sum: DayCost | null = null;
  #sumUntil = -Infinity;

  constructor(ledger: UsageLedger, clock: Clock, priceOf: (target: string) => Price | null) {
    this.#ledger = ledger;
    this.#clock = clock;
    this.#priceOf = priceOf;
  }

  /** Also starts to read the rows of other processes, if that was long ago; a later call includes them. */
  read(): DayCost {
    const now = this.#clock.now();
    const day = new Date(this.#clock.epochMs()).toISOString().slice(0, 10);
    if (now - this.#readAt >= READ_EVERY_MS) {
      this.#readAt = now;
      // A store that cannot be read leaves what was read before.
      this.#ledger.otherRows(day, day).then(
        (rows) => (this.#others = rows),
        () => {},
      );
    }
    if (this.#sum !== null && now < this.#sumUntil) return this.#sum;
    const rows = [...this.#others.filter((row) => row.day === day), ...this.#ledger.ownRows(day, day)];
    const { rows: lines, total } = usageReport(rows, ['target'], this.#priceOf);
    this.#sumUntil = rows.length > ROWS_QUICK_MAX ? now + SUM_EVERY_MS : -Infinity;
    this.#sum = {
      usd: total.costUsd,
      unpricedCalls: total.unpricedCalls,
      byTarget: lines.slice(0, TARGETS_MAX).map(({ target = '', costUsd, unpricedCalls }) => ({ target, usd: costUsd, unpricedCalls })),
    };
    return this.#sum;
  }
}
