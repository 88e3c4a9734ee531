/** The cost of today (UTC) by target and by client, for the dashboard: of all processes that write to the store, before and after a restart. */
import type { Clock } from '../../core/clock.ts';
import { dayOf } from '../../core/day.ts';
import type { UsageLedger } from './usage-ledger.ts';
import { usageReport, type PriceOf, type UsageFigures } from './usage-report.ts';
import type { UsageRow } from './usage-row.ts';

/** How often rows of other processes are read, in milliseconds. Those of this process are always current. */
const READ_EVERY_MS = 60_000;
/** Maximum number of targets and of clients listed, the most expensive first. */
const LISTED_MAX = 200;
/** With more rows than this the sum is computed anew every `SUM_EVERY_MS` only, as it takes some milliseconds. */
const ROWS_QUICK_MAX = 200;
const SUM_EVERY_MS = 10_000;

interface Cost {
  /** In US dollars, without unpriced calls. */
  readonly usd: number;
  readonly unpricedCalls: number;
}

export interface DayCost extends Cost {
  readonly byTarget: readonly (Cost & { readonly target: string })[];
  readonly byClient: readonly (Cost & { readonly client: string })[];
}

export class CostToday {
  readonly #ledger: UsageLedger;
  readonly #clock: Clock;
  readonly #priceOf: PriceOf;
  #others: readonly UsageRow[] = [];
  #readAt = -Infinity;
  #sum: DayCost | null = null;
  #sumUntil = -Infinity;

  constructor(ledger: UsageLedger, clock: Clock, priceOf: PriceOf) {
    this.#ledger = ledger;
    this.#clock = clock;
    this.#priceOf = priceOf;
  }

  /** Also starts to read the rows of other processes, if that was long ago; a later call includes them. */
  read(): DayCost {
    const now = this.#clock.now();
    const day = dayOf(this.#clock.epochMs());
    if (now - this.#readAt >= READ_EVERY_MS) {
      this.#readAt = now;
      void this.#readOthers(day);
    }
    if (this.#sum !== null && now < this.#sumUntil) return this.#sum;
    const rows = [...this.#others.filter((row) => row.day === day), ...this.#ledger.ownRows(day, day)];
    const { rows: targets, total } = usageReport(rows, ['target'], this.#priceOf);
    const { rows: clients } = usageReport(rows, ['client'], this.#priceOf);
    this.#sumUntil = rows.length > ROWS_QUICK_MAX ? now + SUM_EVERY_MS : -Infinity;
    this.#sum = {
      ...costOf(total),
      byTarget: targets.slice(0, LISTED_MAX).map((row) => ({ target: row.target ?? '', ...costOf(row) })),
      byClient: clients.slice(0, LISTED_MAX).map((row) => ({ client: row.client ?? '', ...costOf(row) })),
    };
    return this.#sum;
  }

  /** If the store can't be read, what was read before stays. */
  async #readOthers(day: string): Promise<void> {
    this.#others = (await this.#ledger.otherRows(day)) ?? this.#others;
  }
}

function costOf({ costUsd, unpricedCalls }: UsageFigures): Cost {
  return { usd: costUsd, unpricedCalls };
}
