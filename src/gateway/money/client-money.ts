/**
 * Budgets and session limits of clients: the same objects over reloads. What each process spends is saved under a key of its own; the
 * records of all others in the same period, of earlier processes and of other instances, count as spent elsewhere. Instances that share a
 * store also divide each budget among them, so that its sum is exact.
 */
import type { Clock, Instant, Timer } from '../../core/clock.ts';
import { isRecord } from '../../core/json.ts';
import { LeasedBudget } from '../../policy/budget/leased-budget.ts';
import { MoneyBudget, periodAt } from '../../policy/budget/money-budget.ts';
import type { BudgetRecord } from '../../policy/budget/money-budget.ts';
import { SessionLimits } from '../../policy/budget/session-limits.ts';
import type { ResourceLevel } from '../../telemetry/snapshot.ts';
import type { Store } from '../../store/store.ts';
import type { ClientConfig } from '../config/index.ts';
import type { LimitFleet } from '../limits.ts';

const COLLECTION = 'budget';
/** Instances that share a store read each other's records this often, which the shares of an idle budget do not show, in milliseconds. */
const READ_EVERY_MS = 2_000;
/** Records are kept for so long after the end of their period, as clocks differ, in milliseconds. */
const KEPT_MS = 86_400_000;

export interface BudgetStatus {
  readonly usd: number;
  readonly per: string;
  readonly spentUsd: number;
  /** Neither spent nor reserved by running requests. */
  readonly remainingUsd: number;
  /** Milliseconds until the next period. */
  readonly resetsInMs: number;
}

export class ClientMoney {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #process: string;
  readonly #fleet: LimitFleet | null;
  /** By client; those in effect are named in `#shown`. */
  readonly #budgets = new Map<string, MoneyBudget>();
  readonly #shown = new Set<string>();
  readonly #leased = new Set<MoneyBudget>();
  readonly #sessions = new Map<string, SessionLimits>();
  /** What was saved last, by client. */
  readonly #saved = new Map<string, BudgetRecord>();
  #timer: Timer | null = null;
  #stopListening: (() => void) | null = null;

  /** `fleet`: the instances that share the store; null: it is not shared. */
  constructor(store: Store, clock: Clock, process: string, fleet: LimitFleet | null = null) {
    this.#fleet = fleet;
    this.#store = store;
    this.#clock = clock;
    this.#process = process;
  }

  /** The budget of a client; null: it has none. Takes effect with `showOnly`. */
  budgetOf({ name, budget }: ClientConfig): MoneyBudget | null {
    if (budget === null) return null;
    let known = this.#budgets.get(name);
    if (known === undefined) {
      this.#budgets.set(name, (known = this.#makeBudget(`client ${name}:budget`, budget)));
    }
    return known;
  }

  /** The session limits of a client; null: it has none. Takes effect with `showOnly`. */
  sessionsOf({ name, sessionLimits }: ClientConfig): SessionLimits | null {
    if (sessionLimits === null) return null;
    let known = this.#sessions.get(name);
    if (known === undefined) this.#sessions.set(name, (known = new SessionLimits(sessionLimits)));
    return known;
  }

  /**
   * Applies a config: amounts, periods and bounds change; other budgets are hidden. A hidden budget keeps what was spent in its period, so
   * that turning a budget off and on forgets nothing. Sessions are dropped with their client.
   */
  showOnly(clients: readonly ClientConfig[]): void {
    const now = this.#clock.now();
    const names = new Set(clients.map(({ name }) => name));
    this.#shown.clear();
    for (const { name, budget, sessionLimits } of clients) {
      if (sessionLimits !== null) this.#sessions.get(name)?.configure(sessionLimits);
      if (budget === null) continue;
      this.#budgets.get(name)?.configure(budget.usd, budget.per);
      this.#shown.add(name);
    }
    for (const [name, budget] of this.#budgets) {
      const isKept = this.#shown.has(name) || !budget.isUntouched(now);
      if (!isKept) this.#budgets.delete(name);
      this.#lease(budget, isKept);
    }
    for (const name of this.#sessions.keys()) if (!names.has(name)) this.#sessions.delete(name);
  }

  /** By client. */
  status(): ReadonlyMap<string, BudgetStatus> {
    const now = this.#clock.now();
    return new Map(
      this.#visible().map(([name, budget]) => [
        name,
        {
          usd: budget.usd,
          per: budget.per,
          spentUsd: rounded(budget.spentUsd(now)),
          remainingUsd: rounded(Math.max(0, budget.remainingUsd(now))),
          resetsInMs: resetsInMs(budget, now),
        },
      ]),
    );
  }

  /** Budgets as resources, for metrics and the dashboard. */
  levels(): ResourceLevel[] {
    const now = this.#clock.now();
    return this.#visible().map(([, budget]) => ({
      id: budget.id,
      kind: budget.kind,
      limit: budget.usd,
      available: rounded(Math.max(0, budget.remainingUsd(now))),
      period: {
        sinceMs: budget.sinceMs(now),
        resetsInMs: resetsInMs(budget, now),
        overrunUsd: rounded(Math.max(0, budget.spentUsd(now) - budget.usd)),
      },
    }));
  }

  /** Reads what other processes have spent: at the start, and when a budget was added. */
  async load(): Promise<void> {
    await this.#read();
  }

  /** Reads the spending of other instances from time to time, where there are any, and of all processes when the store recovers. */
  start(): void {
    this.#stopListening ??= this.#store.onHealthChange(({ state }) => {
      if (state === 'ok') void this.#read();
    });
    if (this.#store.shared === undefined) return;
    this.#timer = this.#clock.schedule(READ_EVERY_MS, () => {
      if (this.#budgets.size > 0) void this.#read();
      this.start();
    });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#stopListening?.();
    this.#stopListening = null;
  }

  save(): void {
    const now = this.#clock.now();
    for (const [name, budget] of this.#budgets) {
      const record = budget.save(now);
      const { usd = 0, sinceMs = record.sinceMs } = this.#saved.get(name) ?? {};
      if (usd === record.usd && (usd === 0 || sinceMs === record.sinceMs)) continue;
      this.#saved.set(name, record);
      this.#store.put(
        COLLECTION,
        keyOf(name, this.#process),
        { client: name, per: budget.per, ...record },
        { expiresAtMs: periodAt(record.sinceMs, budget.per)[1] + KEPT_MS },
      );
    }
  }

  #makeBudget(id: string, { usd, per }: NonNullable<ClientConfig['budget']>): MoneyBudget {
    const clock = this.#clock;
    const fleet = this.#fleet;
    const options = { id, usd, per, toEpochMs: (now: number): number => clock.epochMs() + now - clock.now() };
    return fleet === null ? new MoneyBudget(options) : new LeasedBudget(options, clock.now(), () => fleet.short(id));
  }

  /** Only the budgets of a config that took effect, and those that were used, have a share. */
  #lease(budget: MoneyBudget, isKept: boolean): void {
    if (!(budget instanceof LeasedBudget) || this.#leased.has(budget) === isKept) return;
    if (isKept) {
      this.#leased.add(budget);
      this.#fleet!.add(budget);
    } else {
      this.#leased.delete(budget);
      this.#fleet!.remove(budget.id);
    }
  }

  #visible(): [name: string, budget: MoneyBudget][] {
    return [...this.#budgets].filter(([name]) => this.#shown.has(name));
  }

  async #read(): Promise<void> {
    const stored = await this.#store.getAll(COLLECTION);
    const now = this.#clock.now();
    for (const [name, budget] of this.#budgets) {
      const { sinceMs } = budget.save(now);
      let usd = 0;
      for (const [key, value] of stored) {
        const record = readRecord(value, name, budget.per);
        if (record !== null && record.sinceMs === sinceMs && key !== keyOf(name, this.#process)) usd += record.usd;
      }
      budget.setElsewhere(now, { sinceMs, usd });
    }
  }
}

/** Without the error of binary fractions. */
function resetsInMs(budget: MoneyBudget, now: Instant): number {
  return Math.ceil(budget.nextPeriod(now) - now);
}

function rounded(usd: number): number {
  return Number(usd.toFixed(9));
}

function keyOf(client: string, process: string): string {
  return `${process} ${client}`;
}

function readRecord(value: unknown, client: string, per: string): BudgetRecord | null {
  if (!isRecord(value) || value['client'] !== client || value['per'] !== per) return null;
  const { sinceMs, usd } = value;
  return typeof sinceMs === 'number' && typeof usd === 'number' && usd >= 0 ? { sinceMs, usd } : null;
}
