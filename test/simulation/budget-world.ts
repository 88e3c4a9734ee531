/** Instances that share the budget of one client through a virtual store, and the provider's books; in virtual time, without gateways. */
import { LeaseAgent } from '../../src/cluster/lease-agent.ts';
import type { Random } from '../../src/core/random.ts';
import { WHEN_SETTLED } from '../../src/core/resource.ts';
import type { Need } from '../../src/core/resource.ts';
import { LeasedBudget } from '../../src/policy/budget/leased-budget.ts';
import { periodAt, type BudgetPeriod } from '../../src/policy/budget/money-budget.ts';
import { createManualClock, type ManualClock } from '../../src/testing/manual-clock.ts';
import { createVirtualFleetStore, type VirtualFleetStore, type VirtualMember } from '../../src/testing/virtual-shared-store.ts';

export interface BudgetOptions {
  readonly usd: number;
  readonly per: BudgetPeriod;
  /** The cost of a call over its estimate, at most; 1: estimates are exact. Default 1. */
  readonly costMax?: number;
  /** How long a call runs, in milliseconds. Default: 300 to 1,300. */
  readonly callMs?: number;
}

/** What the provider has billed, by the start of the period in which a call ended. */
export class Books {
  readonly billed = new Map<number, number>();

  add(sinceMs: number, usd: number): void {
    this.billed.set(sinceMs, (this.billed.get(sinceMs) ?? 0) + usd);
  }
}

export class BudgetWorld {
  readonly clock: ManualClock = createManualClock();
  readonly store: VirtualFleetStore = createVirtualFleetStore(this.clock);
  readonly books = new Books();
  readonly random: Random;
  readonly options: BudgetOptions;
  readonly instances: BudgetInstance[] = [];
  /** The estimates of all running calls, at most. */
  runningMaxUsd = 0;

  constructor(options: BudgetOptions, random: Random) {
    this.options = options;
    this.random = random;
  }

  get live(): readonly BudgetInstance[] {
    return this.instances.filter(({ isDead, isDraining }) => !isDead && !isDraining);
  }

  /** Billed in the current period. */
  get billedUsd(): number {
    return this.books.billed.get(this.sinceMs) ?? 0;
  }

  get sinceMs(): number {
    return periodAt(this.clock.epochMs(), this.options.per)[0];
  }

  async join(): Promise<BudgetInstance> {
    const instance = new BudgetInstance(this, this.store.connect());
    this.instances.push(instance);
    await this.clock.advanceAsync(10);
    return instance;
  }
}

interface Waiting {
  readonly need: Need & { readonly usd: number };
  readonly until: number;
}

export class BudgetInstance {
  readonly agent: LeaseAgent;
  readonly budget: LeasedBudget;
  readonly queue: Waiting[] = [];
  started = 0;
  /** Refused until the next period, and after a wait. */
  refused = 0;
  expired = 0;
  isDead = false;
  isDraining = false;
  #running = 0;
  /** What its running calls were estimated to cost. */
  runningUsd = 0;
  readonly #world: BudgetWorld;
  readonly #shared: VirtualMember;
  #wakeAt = Infinity;

  constructor(world: BudgetWorld, shared: VirtualMember) {
    const { clock, options } = world;
    this.#world = world;
    this.#shared = shared;
    this.agent = new LeaseAgent({ clock, shared, onGranted: () => this.pump() });
    const toEpochMs = (now: number): number => clock.epochMs() + now - clock.now();
    this.budget = new LeasedBudget({ id: 'client web:budget', ...options, toEpochMs }, clock.now(), () =>
      this.agent.short('client web:budget'),
    );
    this.agent.add(this.budget);
    shared.open({
      linked: (isLinked) => this.isDead || this.agent.linked(isLinked),
      message: (text) => {
        const [kind, ...ids] = text.split('\n');
        if (kind === 'call' && !this.isDead) this.agent.called(ids);
      },
    });
    void this.agent.start();
  }

  get member(): string {
    return this.#shared.member!;
  }

  ask(usd: number, waitMs = 10_000): void {
    this.queue.push({ need: { requests: 1, inputTokens: 1, outputTokens: 1, usd }, until: this.#world.clock.now() + waitMs });
    this.pump();
  }

  kill(): void {
    this.isDead = true;
    this.#shared.kill();
  }

  /** Starts nothing more, and leaves when its running calls have ended. */
  leave(): void {
    this.isDraining = true;
    this.#leaveIfIdle();
  }

  #leaveIfIdle(): void {
    if (!this.isDraining || this.isDead || this.#running > 0) return;
    this.isDead = true;
    void this.agent.leave();
  }

  pump(): void {
    const { clock } = this.#world;
    while (this.queue.length > 0 && !this.isDead && !this.isDraining) {
      const now = clock.now();
      const { need, until } = this.queue[0]!;
      const at = this.budget.earliest(now, need);
      if (at === now) this.#start(this.queue.shift()!.need);
      else if (at > until || now >= until) {
        this.queue.shift();
        if (now >= until) this.expired++;
        else this.refused++;
      } else return this.#sleep(at === WHEN_SETTLED ? until : Math.min(at, until));
    }
  }

  #sleep(until: number): void {
    const { clock } = this.#world;
    if (until >= this.#wakeAt && this.#wakeAt > clock.now()) return;
    this.#wakeAt = until;
    clock.schedule(until - clock.now(), () => {
      if (this.#wakeAt === until) this.#wakeAt = Infinity;
      this.pump();
    });
  }

  #start(need: Waiting['need']): void {
    const { clock, random, books, options } = this.#world;
    const now = clock.now();
    const ticket = this.budget.reserve(now, need);
    this.started++;
    this.#running++;
    this.runningUsd += need.usd;
    this.#world.runningMaxUsd = Math.max(
      this.#world.runningMaxUsd,
      this.#world.instances.reduce((sum, each) => sum + each.runningUsd, 0),
    );
    const { costMax = 1 } = options;
    const usd = need.usd * (costMax === 1 ? 1 : costMax * random.next());
    clock.schedule(options.callMs ?? 300 + random.next() * 1_000, () => {
      // The provider bills calls of an instance that is gone, too.
      books.add(this.#world.sinceMs, usd);
      this.runningUsd -= need.usd;
      this.#running--;
      if (this.isDead) return;
      this.budget.settle(clock.now(), ticket, need, { usage: null, usd, health: 'success' });
      this.#leaveIfIdle();
      this.pump();
    });
  }
}
