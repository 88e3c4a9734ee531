import type { Instant } from '../../core/clock.ts';
import type { SchedulingClass } from '../../core/request.ts';
import { SCHEDULING_CLASSES } from '../../core/request.ts';
import type { Capacity, Need, Resource } from '../../core/resource.ts';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import { ConcurrencyLimiter } from '../concurrency-limiter/concurrency-limiter.ts';
import { Cooldown } from '../cooldown/cooldown.ts';
import { requestLimit, tokenLimit } from '../rate-limiter/measures.fixture.ts';
import { TokenBucket } from '../rate-limiter/token-bucket.ts';
import { Scheduler } from './scheduler.ts';
import type { Applicant, Decision, Refusal, SchedulerOptions, Start } from './types.ts';

/** An applicant with a name. */
export interface TestApplicant extends Applicant<Capacity> {
  readonly name: string;
}

export type TestScheduler = Scheduler<Capacity, TestApplicant>;

export function makeScheduler(options: Partial<SchedulerOptions<Capacity, TestApplicant>> = {}): TestScheduler {
  return new Scheduler({ queueLengthMax: 1000, minShare: {}, choose: (startable) => startable[0]!, ...options });
}

export interface Wish {
  readonly class?: SchedulingClass;
  readonly client?: string;
  readonly session?: string;
  readonly isSide?: boolean;
  readonly deadline?: Instant;
  readonly waitUntil?: Instant;
  readonly patienceMs?: number;
  readonly maxCooldownWaitMs?: number;
  readonly own?: readonly Resource[];
  readonly tokens?: number;
  readonly notBefore?: (target: Capacity) => Instant;
}

const NO_LIMIT: Instant = 1e12;
/** Within one millisecond. */
const POLLS_MAX = 20;

export function applicant(name: string, tiers: Applicant<Capacity>['tiers'], wish: Wish = {}): TestApplicant {
  const need: Need = { requests: 1, inputTokens: wish.tokens ?? 1, outputTokens: 0 };
  const deadline = wish.deadline ?? NO_LIMIT;
  return {
    name,
    class: wish.class ?? 'normal',
    client: wish.client ?? 'client',
    session: wish.session ?? null,
    isSide: wish.isSide ?? false,
    deadline,
    waitUntil: wish.waitUntil ?? deadline,
    waiting: null,
    tiers,
    patienceMs: wish.patienceMs ?? 1000,
    maxCooldownWaitMs: wish.maxCooldownWaitMs ?? 60_000,
    own: wish.own ?? [],
    needOn: () => need,
    notBefore: wish.notBefore ?? (() => -Infinity),
  };
}

export function capacity(key: string, ...resources: Resource[]): Capacity {
  return { key, resources };
}

export function slots(limit: number, id = 'slots'): ConcurrencyLimiter {
  return new ConcurrencyLimiter(id, limit);
}

/** A limit of requests per minute with the whole limit as burst; full at 0. */
export function requests(limit: number, id = 'requests'): TokenBucket {
  return new TokenBucket({ ...requestLimit(limit, 60_000), id }, 0);
}

export function tokens(limit: number, id = 'tokens'): TokenBucket {
  return new TokenBucket({ ...tokenLimit(limit, 60_000), id }, 0);
}

/** Drives a scheduler by hand and records the outcome of every request. */
export class Driver {
  readonly scheduler: TestScheduler;
  now: Instant = 0;
  /** Names in the order of their starts, each with its target. */
  readonly started: { name: string; target: string; at: Instant }[] = [];
  readonly refused: { name: string; refusal: Refusal; at: Instant }[] = [];
  readonly running = new Map<string, Start<Capacity>>();

  constructor(scheduler: TestScheduler = makeScheduler()) {
    this.scheduler = scheduler;
  }

  get names(): string[] {
    return this.started.map((start) => start.name);
  }

  submit(...applicants: TestApplicant[]): void {
    for (const each of applicants) {
      this.#note(each, this.scheduler.submit(this.now, each));
      this.poll();
    }
  }

  poll(): void {
    for (const { applicant: each, decision } of this.scheduler.poll(this.now)) this.#note(each, decision);
  }

  /** Ends a call, and with it the request. */
  settle(name: string): void {
    const start = this.running.get(name)!;
    this.running.delete(name);
    start.permit.settle(this.now, { usage: null, health: 'success' });
    start.clientPermit?.settle(this.now, { usage: null, health: 'success' });
    this.poll();
  }

  /** Advances time, polling only when the scheduler asks for it; repeatedly for one instant only because of rounding. */
  advanceTo(until: Instant): void {
    for (let [polls, since] = [0, this.now]; this.scheduler.wakeAt <= until; polls++) {
      this.now = Math.max(this.now, this.scheduler.wakeAt);
      if (this.now - since >= 1) [polls, since] = [0, this.now];
      if (polls > POLLS_MAX) throw new Error(`the scheduler wakes without end at ${this.now}`);
      this.poll();
    }
    this.now = until;
  }

  #note(each: TestApplicant, decision: Decision<Capacity>): void {
    if (decision.kind === 'start') {
      this.started.push({ name: each.name, target: decision.target.key, at: this.now });
      this.running.set(each.name, decision);
    } else if (decision.kind === 'refuse') {
      this.refused.push({ name: each.name, refusal: decision, at: this.now });
    }
  }
}

export const CLASSES: readonly SchedulingClass[] = SCHEDULING_CLASSES;

/** One slot that is taken, so that every request waits; `next` ends the running request. */
export function oneBusySlot(driver: Driver): { tiers: TestApplicant['tiers']; next: () => void } {
  const tiers = [[capacity('p/m', slots(1))]];
  driver.submit(applicant('running', tiers));
  const next = (): void => {
    const [name] = driver.running.keys();
    if (name !== undefined) driver.settle(name);
  };
  return { tiers, next };
}

/** A running cooldown. */
export function cooling(until: Instant): Cooldown {
  const cooldown = new Cooldown('cooldown', 'cooldown', createSeededRandom(1));
  cooldown.coolUntil(until);
  return cooldown;
}
