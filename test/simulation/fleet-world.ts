/**
 * Instances that share limits through a virtual store, and a provider that counts; without gateways, so that hundreds of seeds take
 * seconds.
 */
import type { Leasable } from '../../src/core/lease.ts';
import { WHEN_SETTLED, type Need, type Resource } from '../../src/core/resource.ts';
import { LeaseAgent } from '../../src/cluster/lease-agent.ts';
import { LeasedConcurrency } from '../../src/policy/concurrency-limiter/leased-concurrency.ts';
import { LeasedBucket } from '../../src/policy/rate-limiter/leased-bucket.ts';
import { LeasedWindow } from '../../src/policy/rate-limiter/leased-window.ts';
import { createManualClock, type ManualClock } from '../../src/testing/manual-clock.ts';
import type { Random } from '../../src/core/random.ts';
import { createVirtualFleetStore, type VirtualFleetStore, type VirtualMember } from '../../src/testing/virtual-shared-store.ts';

const MINUTE_MS = 60_000;

export interface FleetLimits {
  readonly requests: number;
  readonly tokens: number;
  readonly concurrency?: number;
  readonly window?: 'sliding';
  readonly burst?: number;
  /** Of all but concurrency. Default: a minute. */
  readonly windowMs?: number;
}

export interface FleetInstance {
  readonly agent: LeaseAgent;
  /** What it could start without the store, of requests or of tokens. */
  readonly held: { readonly requests: number; readonly tokens: number };
  readonly queue: readonly Need[];
  readonly started: number;
  readonly isDead: boolean;
  kill(): void;
  leave(): Promise<void>;
  ask(tokens: number): void;
}

export interface FleetWorld {
  readonly clock: ManualClock;
  readonly store: VirtualFleetStore;
  readonly provider: CountingProvider;
  readonly instances: readonly FleetInstance[];
  join(): Promise<FleetInstance>;
}

/** The provider's own count of requests and tokens: a full bucket, or a sliding window. Calls arrive shortly after they are sent. */
export class CountingProvider {
  readonly #clock: ManualClock;
  readonly #limits: FleetLimits;
  readonly calls: { at: number; tokens: number }[] = [];
  readonly #levels: [number, number];
  #at = 0;
  /** For a sliding window. */
  #oldest = 0;
  #recentTokens = 0;
  running = 0;
  /** The most by which a limit was exceeded, as a share of it. */
  overshoot = 0;
  tokens = 0;

  constructor(clock: ManualClock, limits: FleetLimits) {
    this.#clock = clock;
    this.#limits = limits;
    this.#levels = [limits.requests * (limits.burst ?? 1), limits.tokens * (limits.burst ?? 1)];
  }

  arrive(tokens: number): void {
    const now = this.#clock.now();
    const { requests, tokens: perMinute, concurrency, window, burst = 1, windowMs = MINUTE_MS } = this.#limits;
    this.calls.push({ at: now, tokens });
    this.tokens += tokens;
    this.running++;
    if (concurrency !== undefined) this.overshoot = Math.max(this.overshoot, (this.running - concurrency) / concurrency);
    if (window === 'sliding') {
      this.#recentTokens += tokens;
      while (this.calls[this.#oldest]!.at <= now - windowMs) this.#recentTokens -= this.calls[this.#oldest++]!.tokens;
      const recent = this.calls.length - this.#oldest;
      this.overshoot = Math.max(this.overshoot, (recent - requests) / requests, (this.#recentTokens - perMinute) / perMinute);
      return;
    }
    const passed = (now - this.#at) / windowMs;
    this.#at = now;
    [requests, perMinute].forEach((limit, i) => {
      this.#levels[i] = Math.min(limit * burst, this.#levels[i]! + passed * limit) - [1, tokens][i]!;
      this.overshoot = Math.max(this.overshoot, -this.#levels[i] / limit - 1e-9);
    });
  }
}

export function createFleet(limits: FleetLimits, random: Random): FleetWorld {
  const clock = createManualClock();
  const store = createVirtualFleetStore(clock);
  const provider = new CountingProvider(clock, limits);
  const instances: FleetInstance[] = [];
  return { clock, store, provider, instances, join: () => join({ clock, store, provider, instances, limits, random }) };
}

interface Joining {
  clock: ManualClock;
  store: VirtualFleetStore;
  provider: CountingProvider;
  instances: FleetInstance[];
  limits: FleetLimits;
  random: Random;
}

async function join(joining: Joining): Promise<FleetInstance> {
  const { clock, store, instances, limits } = joining;
  const shared = store.connect();
  const agent = new LeaseAgent({ clock, shared, onGranted: () => instance.pump() });
  const resources = makeResources(limits, clock.now(), (id) => agent.short(id));
  const instance = new Instance(joining, shared, agent, resources);
  instances.push(instance);
  shared.open({
    linked: (isLinked) => instance.isDead || agent.linked(isLinked),
    message(text) {
      const [kind, ...ids] = text.split('\n');
      if (kind === 'call' && !instance.isDead) agent.called(ids);
    },
  });
  for (const resource of resources) agent.add(resource);
  void agent.start();
  await clock.advanceAsync(10);
  return instance;
}

class Instance implements FleetInstance {
  readonly agent: LeaseAgent;
  readonly queue: Need[] = [];
  started = 0;
  isDead = false;
  readonly #joining: Joining;
  readonly #shared: VirtualMember;
  readonly #resources: readonly Resource[];
  #wakeAt = Infinity;

  constructor(joining: Joining, shared: VirtualMember, agent: LeaseAgent, resources: readonly Resource[]) {
    this.#joining = joining;
    this.#shared = shared;
    this.agent = agent;
    this.#resources = resources;
  }

  get held(): { requests: number; tokens: number } {
    const [requests, tokens] = this.#resources.map((resource) => resource.available!(this.#joining.clock.now()));
    return { requests: requests!, tokens: tokens! };
  }

  ask(tokens: number): void {
    this.queue.push({ requests: 1, inputTokens: tokens, outputTokens: 0 });
    this.pump();
  }

  kill(): void {
    this.isDead = true;
    this.#shared.kill();
  }

  async leave(): Promise<void> {
    this.isDead = true;
    await this.agent.leave();
  }

  pump(): void {
    while (this.queue.length > 0 && !this.isDead) {
      const now = this.#joining.clock.now();
      const at = this.#resources.map((resource) => resource.earliest(now, this.queue[0]!));
      if (at.includes(WHEN_SETTLED)) return;
      const latest = Math.max(...at);
      if (latest > now) return this.#sleep(latest);
      this.#start(this.queue.shift()!);
    }
  }

  #sleep(until: number): void {
    const { clock } = this.#joining;
    if (until >= this.#wakeAt && this.#wakeAt > clock.now()) return;
    this.#wakeAt = until;
    clock.schedule(until - clock.now(), () => {
      if (this.#wakeAt === until) this.#wakeAt = Infinity;
      this.pump();
    });
  }

  #start(need: Need): void {
    const { clock, random, provider } = this.#joining;
    const now = clock.now();
    const tickets = this.#resources.map((resource) => resource.reserve(now, need));
    this.started++;
    const travelMs = random.next() * 40;
    clock.schedule(travelMs, () => provider.arrive(need.inputTokens));
    clock.schedule(travelMs + 300 + random.next() * 1_000, () => {
      provider.running--;
      this.#resources.forEach((resource, i) => resource.settle(clock.now(), tickets[i]!, need, { usage: null, health: 'success' }));
      this.pump();
    });
  }
}

function makeResources(limits: FleetLimits, now: number, onShort: (id: string) => void): (Resource & Leasable)[] {
  const { burst = 1, windowMs = MINUTE_MS } = limits;
  const requests = { of: (need: Need) => need.requests, used: () => null };
  const tokens = { of: (need: Need) => need.inputTokens, used: () => null };
  const resources: (Resource & Leasable)[] = [
    { id: 'requests', limit: limits.requests, measure: requests, kind: 'requests' as const },
    { id: 'tokens', limit: limits.tokens, measure: tokens, kind: 'tokens' as const },
  ].map(({ id, limit, measure, kind }) => {
    const options = { id, kind, limit, windowMs, burst, measure };
    return limits.window === 'sliding'
      ? new LeasedWindow(options, now, () => onShort(id))
      : new LeasedBucket(options, now, () => onShort(id));
  });
  if (limits.concurrency !== undefined) resources.push(new LeasedConcurrency('places', limits.concurrency, now, () => onShort('places')));
  return resources;
}
