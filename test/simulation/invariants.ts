/** The invariants of every simulation at every instant (design section 8). A violation is reported with its instant and its request. */
import type { Instant } from '../../src/core/clock.ts';
import type { BreakerState, BreakwaterEvent, EventOf } from '../../src/core/events.ts';
import { SCHEDULING_CLASSES, type SchedulingClass } from '../../src/core/request.ts';
import type { SimulatedCaller } from '../../src/testing/simulated-caller.ts';
import { isDown } from '../../src/testing/simulated-faults.ts';
import type { ProviderCall } from '../../src/testing/simulated-provider.ts';
import type { Simulation } from '../../src/testing/simulation.ts';
import { BlameWatch } from './blame-watch.ts';
import { RampWatch } from './ramp-watch.ts';
import type { Unknown } from './scene.ts';

export interface Rules {
  readonly maxAttempts: number;
  readonly probes: number;
  readonly retryRatio: number;
  readonly retryPerSecond: number;
  /** Hedges per request; 0: hedging is off. */
  readonly hedgeBudget: number;
  readonly minShare: Readonly<Partial<Record<SchedulingClass, number>>>;
  /** How long a breaker stays open the first time. */
  readonly openForMs: number;
  /** Providers whose limits are not configured: learning those costs some refusals. */
  readonly unknown: ReadonlyMap<string, Unknown>;
}

interface Story {
  readonly received: EventOf<'received'>;
  attempts: number;
  attemptsEnded: number;
  readonly targets: Set<string>;
  /** The targets that it waits for; null: it does not wait. */
  waitsFor: ReadonlySet<string> | null;
  isCommitted: boolean;
  outcome: string | null;
}

/** Timers fire at their instant, but sums of fractions round. */
const TOLERANCE_MS = 1;
const FAULTS_MAX = 20;
/** A breaker needs some failures before it opens, and running calls end late. */
const OUTAGE_GRACE_MS = 20_000;
const OUTAGE_SLACK = 12;
/** Starts of higher classes that a waiting class may see: several times what its share promises. */
const PASSES_PER_SHARE = 3;
const PASSES_SLACK = 40;

/** Sums of shares round, and the budget starts with at least one retry. */
const REPEATS_SLACK = 2;

/** Refusals by limits that are not configured: some at first, then a share of all calls. */
const UNKNOWN_SLACK = { advertised: 10, silent: 40 } as const;
const UNKNOWN_SHARE = { advertised: 0.07, silent: 0.25 } as const;

export class Invariants {
  readonly faults: string[] = [];
  readonly #simulation: Simulation;
  readonly #rules: Rules;
  readonly #stories = new Map<string, Story>();
  readonly #breakers = new Map<string, BreakerState>();
  readonly #probing = new Map<string, number>();
  readonly #firstAttempts = new Map<string, number>();
  readonly #repeats = new Map<string, number>();
  readonly #callsById = new Map<string, number>();
  /** Since when a provider fails every call, and the calls it got after the grace period. */
  readonly #outages = new Map<string, { readonly since: number; calls: number }>();
  readonly #waiting = new Map<SchedulingClass, Set<Story>>(SCHEDULING_CLASSES.map((priority) => [priority, new Set()]));
  readonly #passed = new Map<SchedulingClass, number>();
  /** The last instant at which a waiting class was passed no more often than its share allows. */
  readonly #withinAt = new Map<SchedulingClass, Instant>();
  readonly #probeAttempts = new Set<string>();
  #requestsSent = 0;
  #hedges = 0;
  /** The requests whose last attempt on a target was refused by a rate limit: their next attempt after the pause is not a retry. */
  readonly #sentAway = new Set<string>();

  constructor(simulation: Simulation, rules: Rules) {
    this.#simulation = simulation;
    this.#rules = rules;
    new BlameWatch(simulation, (what, request) => this.#fault(what, request));
    new RampWatch(simulation, rules.probes, (what, request) => this.#fault(what, request));
    simulation.events.onAny((event) => this.#onEvent(event));
  }

  /** True if every accepted request has ended. */
  get accepted(): number {
    return this.#stories.size;
  }

  onCall(provider: string, call: ProviderCall): void {
    const { count, behaviour } = this.#simulation.providers.get(provider)!;
    if (call.fate !== null && call.fate in count.violationsBy && !this.#rules.unknown.has(provider))
      this.#fault(`limit: ${provider} was sent more than its ${call.fate} allow`, call.request.id);
    const calls = (this.#callsById.get(call.request.id) ?? 0) + 1;
    this.#callsById.set(call.request.id, calls);
    if (calls > this.#rules.maxAttempts) this.#fault(`attempts: providers saw ${calls} calls`, call.request.id);
    this.#watchOutage(provider, isDown(behaviour.faults ?? [], call.at), call);
  }

  onOver(caller: SimulatedCaller): void {
    const fault = caller.faultOfResponse();
    if (fault !== null) this.#fault(`answer: ${fault}`, caller.request.id);
  }

  /** All requests have ended and time has passed: everything that was taken must be back. */
  checkRest(): void {
    const { gateway, providers } = this.#simulation;
    for (const [id, story] of this.#stories) if (story.outcome === null) this.#fault('end: accepted and never finished', id);
    const { resources, inFlight, heldBytes, queueLength } = gateway.snapshot();
    for (const { id, limit, available } of resources) {
      if (limit === null || id.endsWith(':inferred')) continue; // that is a rate, of which it holds a part at most
      if (Math.abs(available - limit) > limit * 1e-6 + 1e-3 && !isPartial(available, limit, id, gateway.config)) {
        this.#fault(`permits: ${id} has ${available} of ${limit} at rest`, null);
      }
    }
    const waiting = Object.values(queueLength).reduce((sum, count) => sum + count, 0);
    if (inFlight + heldBytes + waiting > 0) this.#fault(`permits: ${inFlight} run, ${waiting} wait, ${heldBytes} bytes held at rest`, null);
    for (const target of gateway.targets())
      if (target.inFlight !== 0) this.#fault(`permits: ${target.target} has ${target.inFlight} in flight`, null);
    for (const { name, count } of providers.values())
      if (count.running !== 0) this.#fault(`permits: ${count.running} calls still run at ${name}`, null);
    this.#checkRepeats();
    this.#checkUnknown();
  }

  #onEvent(event: BreakwaterEvent): void {
    switch (event.type) {
      case 'breaker':
        this.#breakers.set(event.target, event.to);
        return;
      case 'warning':
        if (event.message.startsWith('internal error')) this.#fault(`${event.message}: ${event.detail ?? ''}`, null);
        return;
      case 'cooldown':
      case 'lifecycle':
      case 'rejected':
        return;
      case 'received':
        return this.#onReceived(event);
      default:
        return this.#onStory(event);
    }
  }

  #onReceived(event: EventOf<'received'>): void {
    if (this.#stories.has(event.requestId)) this.#fault('end: received twice', event.requestId);
    const targets = new Set<string>();
    this.#stories.set(event.requestId, {
      received: event,
      attempts: 0,
      attemptsEnded: 0,
      targets,
      waitsFor: null,
      isCommitted: false,
      outcome: null,
    });
  }

  #onStory(event: EventOf<'queued' | 'attempt' | 'attempt_end' | 'backoff' | 'note' | 'committed' | 'finished'>): void {
    const story = this.#stories.get(event.requestId);
    if (story === undefined) return this.#fault(`end: ${event.type} of a request that was not received`, event.requestId);
    if (story.outcome !== null) return this.#fault(`end: ${event.type} after the request was finished`, event.requestId);
    if (event.type === 'queued') this.#wait(story, new Set(event.blockers.map((blocker) => blocker.target)));
    else if (event.type === 'attempt') this.#onAttempt(story, event);
    else if (event.type === 'attempt_end') this.#onAttemptEnd(story, event);
    else if (event.type === 'committed') this.#onCommitted(story, event);
    else if (event.type === 'finished') this.#onFinished(story, event);
    else if (event.type === 'backoff') this.#wait(story, null);
  }

  #onAttempt(story: Story, event: EventOf<'attempt'>): void {
    story.attempts++;
    if (event.attempt !== story.attempts) this.#fault(`attempts: number ${event.attempt} came as the ${story.attempts}th`, event.requestId);
    if (story.attempts > this.#rules.maxAttempts) this.#fault(`attempts: ${story.attempts} of ${this.#rules.maxAttempts}`, event.requestId);
    const atOnce = story.attempts - story.attemptsEnded;
    if (atOnce > (event.race === null ? 1 : 2)) this.#fault(`attempts: ${atOnce} at once`, event.requestId);
    this.#watchHedges(event);
    if (story.isCommitted) this.#fault('commit: another attempt after it', event.requestId);
    if (event.at > this.#deadlineOf(story) + TOLERANCE_MS) this.#fault('deadline: an attempt began after it', event.requestId);
    this.#wait(story, null);
    const repeats = story.targets.has(event.target) ? this.#repeats : this.#firstAttempts;
    if (!this.#sentAway.delete(`${event.requestId} ${event.target}`)) repeats.set(event.target, (repeats.get(event.target) ?? 0) + 1);
    story.targets.add(event.target);
    this.#watchBreaker(event);
    this.#watchShares(story, event.target);
  }

  /** They are a share of all requests at any time, use only free capacity, and start only on healthy targets. */
  #watchHedges({ attempt, race, target, requestId }: EventOf<'attempt'>): void {
    if (attempt === 1) this.#requestsSent++;
    if (race === null) return;
    if ((this.#breakers.get(target) ?? 'closed') !== 'closed')
      this.#fault(`hedges: one to ${target}, whose breaker is not closed`, requestId);
    if (race !== 'hedge') return;
    this.#hedges++;
    if (this.#hedges > this.#rules.hedgeBudget * this.#requestsSent + 1e-6)
      this.#fault(`hedges: ${this.#hedges} for ${this.#requestsSent} requests`, requestId);
  }

  #watchBreaker({ target, probe, requestId, attempt }: EventOf<'attempt'>): void {
    const state = this.#breakers.get(target) ?? 'closed';
    if (state === 'open' || state === 'isolated') this.#fault(`breaker: ${target} was called while ${state}`, requestId);
    if (!probe) return;
    const probing = (this.#probing.get(target) ?? 0) + 1;
    this.#probing.set(target, probing);
    this.#probeAttempts.add(`${requestId} ${attempt}`);
    if (probing > this.#rules.probes) this.#fault(`breaker: ${probing} probes at ${target} at once`, requestId);
  }

  #onAttemptEnd(story: Story, event: EventOf<'attempt_end'>): void {
    story.attemptsEnded++;
    if (story.attemptsEnded > story.attempts) this.#fault('attempts: one ended twice', event.requestId);
    if (event.reason === 'rate_limited') this.#sentAway.add(`${event.requestId} ${event.target}`);
    if (this.#probeAttempts.delete(`${event.requestId} ${event.attempt}`))
      this.#probing.set(event.target, this.#probing.get(event.target)! - 1);
  }

  #onCommitted(story: Story, event: EventOf<'committed'>): void {
    if (story.isCommitted) this.#fault('commit: twice', event.requestId);
    if (story.attempts - story.attemptsEnded > 1) this.#fault('commit: while another attempt runs', event.requestId);
    story.isCommitted = true;
    if (event.at > this.#deadlineOf(story) + TOLERANCE_MS) this.#fault('deadline: committed after it', event.requestId);
  }

  #onFinished(story: Story, event: EventOf<'finished'>): void {
    story.outcome = event.outcome;
    this.#wait(story, null);
    const lateMs = event.at - this.#deadlineOf(story);
    if (!story.isCommitted && lateMs > TOLERANCE_MS) this.#fault(`deadline: ended ${lateMs.toFixed(1)} ms after it`, event.requestId);
    if (story.attemptsEnded !== story.attempts) this.#fault('attempts: one has not ended', event.requestId);
    if (event.attempts !== story.attempts) this.#fault(`attempts: ${event.attempts} reported, ${story.attempts} made`, event.requestId);
  }

  #deadlineOf({ received }: Story): number {
    return received.at + received.deadlineMs;
  }

  #wait(story: Story, targets: ReadonlySet<string> | null): void {
    const { priority } = story.received;
    const waiting = this.#waiting.get(priority)!;
    story.waitsFor = targets;
    if (targets === null) waiting.delete(story);
    else waiting.add(story);
    if (waiting.size === 0) this.#passed.set(priority, 0);
  }

  /** Higher classes pass a waiting class only a limited number of times; a request that starts at the same instant has not waited. */
  #watchShares(starter: Story, target: string): void {
    const now = this.#simulation.clock.now();
    const rank = SCHEDULING_CLASSES.indexOf(starter.received.priority);
    this.#passed.set(starter.received.priority, 0);
    for (let lower = rank + 1; lower < SCHEDULING_CLASSES.length; lower++) {
      const priority = SCHEDULING_CLASSES[lower]!;
      const share = this.#rules.minShare[priority] ?? 0;
      if (share === 0 || !this.#anyWaitsFor(priority, target)) continue;
      const passed = (this.#passed.get(priority) ?? 0) + 1;
      this.#passed.set(priority, passed);
      const mostPasses = PASSES_PER_SHARE / share + PASSES_SLACK;
      if (passed <= mostPasses) this.#withinAt.set(priority, now);
      else if (now > this.#withinAt.get(priority)!) {
        this.#fault(`share: ${priority} waited while ${passed} of higher classes started`, starter.received.requestId);
        this.#passed.set(priority, 0);
      }
    }
  }

  #anyWaitsFor(priority: SchedulingClass, target: string): boolean {
    for (const story of this.#waiting.get(priority)!) if (story.waitsFor!.has(target)) return true;
    return false;
  }

  /** A provider that fails every call gets only probes, once its breakers have had time to open. */
  #watchOutage(provider: string, isOut: boolean, call: ProviderCall): void {
    if (!isOut) return void this.#outages.delete(provider);
    let outage = this.#outages.get(provider);
    if (outage === undefined) this.#outages.set(provider, (outage = { since: call.at, calls: 0 }));
    const lastingMs = call.at - outage.since - OUTAGE_GRACE_MS;
    if (lastingMs < 0) return;
    outage.calls++;
    const targets = this.#simulation.gateway.targets().filter((target) => target.provider === provider).length;
    const probes = targets * this.#rules.probes * (lastingMs / this.#rules.openForMs);
    if (outage.calls > probes + targets * OUTAGE_SLACK) {
      this.#fault(`breaker: ${provider} fails everything, and saw ${outage.calls} calls in ${Math.round(lastingMs)} ms`, call.request.id);
      outage.calls = -Infinity;
    }
  }

  #checkRepeats(): void {
    const seconds = this.#simulation.clock.now() / 1000;
    const { retryRatio, retryPerSecond } = this.#rules;
    for (const [target, repeats] of this.#repeats) {
      const allowed = retryRatio * (this.#firstAttempts.get(target) ?? 0) + retryPerSecond * (seconds + 10) + REPEATS_SLACK;
      if (repeats > allowed)
        this.#fault(`attempts: ${target} was called again ${repeats} times, its budget allows ${Math.floor(allowed)}`, null);
    }
  }

  /**
   * Limits that are not configured are learned with few refusals. Concurrency limits are not reported by providers: their refusals are not
   * counted.
   */
  #checkUnknown(): void {
    for (const [name, unknown] of this.#rules.unknown) {
      const { calls, violationsBy } = this.#simulation.providers.get(name)!.count;
      const refused = Object.entries(violationsBy).reduce((sum, [by, count]) => sum + (by === 'concurrency' ? 0 : count), 0);
      const allowed = UNKNOWN_SLACK[unknown] + UNKNOWN_SHARE[unknown] * calls;
      if (refused > allowed) this.#fault(`unknown: ${name}, which is ${unknown}, has refused ${refused} of ${calls} calls`, null);
    }
  }

  #fault(what: string, request: string | null): void {
    if (this.faults.length >= FAULTS_MAX) return;
    this.faults.push(`${what} (at ${Math.round(this.#simulation.clock.now())} ms${request === null ? '' : `, ${request}`})`);
  }
}

/** A bucket whose burst is a part of its limit is full with that part. */
function isPartial(available: number, limit: number, id: string, config: Simulation['gateway']['config']): boolean {
  const burst = config.providers[id.slice(0, id.indexOf('#'))]?.limits.burst ?? 1;
  return Math.abs(available - Math.max(limit * burst, Math.min(1, limit))) <= limit * 1e-6 + 1e-3;
}
