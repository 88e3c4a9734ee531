/** Everything about money: the usage ledger, budgets, session limits, and warnings about models that end soon. */
import type { Clock, Timer } from '../../core/clock.ts';
import { dayOf } from '../../core/day.ts';
import { BreakwaterError } from '../../core/errors.ts';
import type { EventBus, FinishedEvent } from '../../core/events.ts';
import type { Client, GatewayRequest } from '../../pipeline/request/gateway-request.ts';
import type { Route } from '../../pipeline/route/route.ts';
import type { SessionRefusal } from '../../policy/budget/session-limits.ts';
import type { Store } from '../../store/store.ts';
import type { Config } from '../config/index.ts';
import type { LimitFleet } from '../limits.ts';
import { uniqueName } from '../system-random.ts';
import { ClientMoney } from './client-money.ts';
import { CostToday } from './cost-today.ts';
import { endOfLifeWarnings, priceOfTarget } from './prices.ts';
import { UsageLedger } from './usage-ledger.ts';
import { UsageSums } from './usage-report.ts';
import type { UsageGroup, UsageReport } from './usage-report.ts';

/** Usage and spending are saved this long after a request ended, in milliseconds. */
const SAVE_AFTER_MS = 250;
/** The same where other instances write to the store too. */
const SAVE_AFTER_SHARED_MS = 2_000;
/** Warnings about ends of life are repeated this often, in milliseconds. */
const WARN_EVERY_MS = 86_400_000;

export interface MoneyOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly config: () => Config;
  readonly warn: (message: string) => void;
  /** Null: the store is not shared. */
  readonly fleet: LimitFleet | null;
  /** Masks configured keys. */
  readonly mask: (text: string) => string;
}

export class Money {
  readonly clients: ClientMoney;
  readonly today: CostToday;
  readonly #ledger: UsageLedger;
  readonly #clock: Clock;
  readonly #config: () => Config;
  readonly #warn: (message: string) => void;
  /** Routes with a last tier for requests over budget. */
  readonly #routes = new WeakMap<Route, Map<string, Route>>();
  readonly #saveAfterMs: number;
  #saveTimer: Timer | null = null;
  #warnAt = -Infinity;
  /** The warnings about ends since then. */
  readonly #warned = new Set<string>();
  /** The day on which rows were last merged, at first that of the start. */
  #day: string;

  constructor({ store, clock, events, config, warn, mask, fleet }: MoneyOptions) {
    const process = uniqueName();
    this.clients = new ClientMoney(store, clock, process, fleet);
    this.#ledger = new UsageLedger(store, clock, process, mask);
    this.today = new CostToday(this.#ledger, clock, (target, basis) => priceOfTarget(config(), target, basis));
    this.#clock = clock;
    this.#config = config;
    this.#warn = warn;
    this.#day = dayOf(clock.epochMs());
    this.#saveAfterMs = store.shared === undefined ? SAVE_AFTER_MS : SAVE_AFTER_SHARED_MS;
    events.on('finished', (event) => this.#record(event));
  }

  async start(): Promise<void> {
    // First what earlier processes have spent, for a store without shares of the budgets.
    await this.clients.load();
    this.clients.showOnly(this.#config().clients);
    this.clients.start();
    this.#warnOfEnds();
  }

  /** The config has changed. */
  async reloaded(): Promise<void> {
    await this.clients.load();
    this.#warnOfNewEnds();
  }

  stop(): void {
    this.clients.stop();
    this.#write();
  }

  #record(event: FinishedEvent): void {
    if (event.calls === undefined) return;
    this.#ledger.record(event);
    this.#saveTimer ??= this.#clock.schedule(this.#saveAfterMs, () => this.#save());
  }

  #write(): void {
    this.#saveTimer?.cancel();
    this.#saveTimer = null;
    this.#ledger.save();
    this.clients.save();
  }

  #save(): void {
    this.#write();
    if (this.#clock.now() >= this.#warnAt) this.#warnOfEnds();
    const day = dayOf(this.#clock.epochMs());
    if (day === this.#day) return;
    this.#day = day;
    void this.#ledger.merge();
  }

  /** Why the session of the request may not start another one; null: it may. Counts the request. */
  refusal({ client, sessionKey }: GatewayRequest): BreakwaterError | null {
    if (client.sessions === undefined || sessionKey === null) return null;
    const refused = client.sessions.admit(this.#clock.now(), sessionKey);
    return refused === null ? null : sessionError(refused);
  }

  /** The route with the target for requests over budget, where their client has one. `find`: a route by name. */
  routeFor(route: Route, { overBudget }: Client, find: (name: string) => Route | null): Route {
    if (overBudget === undefined) return route;
    let known = this.#routes.get(route);
    if (known === undefined) this.#routes.set(route, (known = new Map()));
    let extended = known.get(overBudget);
    if (extended === undefined) {
      const target = find(overBudget)?.tiers[0]?.[0];
      // Also where the route has the target already: within the budget that one is used, and charged.
      known.set(overBudget, (extended = target === undefined ? route : route.withOverBudget(target)));
    }
    return extended;
  }

  /** `from`, `to`: days as `YYYY-MM-DD`, both included. */
  async report(by: readonly UsageGroup[], from: string, to: string): Promise<UsageReport> {
    const sums = new UsageSums(by, (target, basis) => priceOfTarget(this.#config(), target, basis));
    const isComplete = await this.#ledger.eachRow(from, to, (row) => sums.add(row));
    return isComplete ? sums.report() : { ...sums.report(), incomplete: true };
  }

  #warnOfEnds(): void {
    this.#warnAt = this.#clock.now() + WARN_EVERY_MS;
    this.#warned.clear();
    this.#warnOfNewEnds();
  }

  #warnOfNewEnds(): void {
    for (const message of endOfLifeWarnings(this.#config(), this.#clock.epochMs())) {
      if (this.#warned.has(message)) continue;
      this.#warned.add(message);
      this.#warn(message);
    }
  }
}

function sessionError(refused: SessionRefusal): BreakwaterError {
  if (refused.limit === 'requestsPerMinute') {
    const message = `this session is limited to ${refused.bound} requests per minute`;
    return new BreakwaterError('rate_limited', message, { retryAfterMs: refused.retryAfterMs });
  }
  const unit = refused.limit === 'usd' ? 'US dollars' : 'tokens';
  const used = Number(refused.used.toPrecision(6));
  return new BreakwaterError(
    'budget_exceeded',
    `this session is limited to ${refused.bound} ${unit} and has used ${used}; start another one`,
  );
}
