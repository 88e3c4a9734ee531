/** Asks the scheduler for a permit on behalf of a request, and says no in words that help. */
import type { Instant } from '../../core/clock.ts';
import type { SchedulingClass } from '../../core/request.ts';
import type { Need, Resource } from '../../core/resource.ts';
import type { Source } from '../../core/source.ts';
import { silenceShareMs } from '../../policy/latency/silence.ts';
import { OUTPUT_FIRST } from '../../policy/token-estimate.ts';
import { refusal } from '../../policy/scheduler/refusal.ts';
import type { AdmissionResult, RouteApplicant } from '../admission/admission.ts';
import { answerKind } from '../request/response-kind.ts';
import { callKindOf } from '../request/call-kind.ts';
import { holderOf } from '../request/gateway-request.ts';
import { withHomeFirst } from '../admission/affinity.ts';
import { makersAmong } from '../opaque/preference.ts';
import { noteMissed } from '../admission/skipped-breakers.ts';
import { countsCached, isOutOfOrder, pausedMs } from '../route/route.ts';
import type { RouteTarget, Tiers } from '../route/route.ts';
import type { RetryState } from './retry-state.ts';

const NO_RESOURCES: readonly Resource[] = [];

/** Better tiers are waited for through this share of `queue.maxWait` before a last resort is used. */
const LAST_RESORT_SHARE = 0.9;

export class RunApplicant implements RouteApplicant {
  readonly class: SchedulingClass;
  readonly client: string;
  readonly session: string | null;
  readonly isSide: boolean;
  readonly #waitUntil: Instant;
  #startBy: Instant | null = null;
  #usualMs: number | null = null;
  #preferred: readonly RouteTarget[] | null = null;
  waiting: object | null = null;
  tell: RouteApplicant['tell'] = null;
  tiers: Tiers;
  readonly patienceMs: number;
  readonly maxCooldownWaitMs: number;
  readonly own: readonly Resource[];
  readonly #retry: RetryState;
  /** When a last resort may start: so that it can answer before the deadline, and before `queue.maxWait` is over. */
  readonly #waitedEnoughAt: Instant;
  readonly #hasLastResort: boolean;
  /** What it needs of one target; of the first that was asked about, and of the others if there are any. The same for as long as it waits. */
  #need: Need | null = null;
  #needOf: RouteTarget | null = null;
  #others: Map<RouteTarget, Need> | null = null;

  constructor(retry: RetryState, tiers: Tiers, waitUntil: Instant) {
    this.#retry = retry;
    this.class = retry.active.priority;
    this.client = holderOf(retry.active.request.client);
    this.session = retry.active.request.sessionKey;
    this.isSide = retry.active.request.isSide === true;
    this.#waitUntil = waitUntil;
    this.tiers = tiers;
    // A fallback needs time too: whoever has little left does not spend it all on waiting for something better.
    const now = retry.active.engine.clock.now();
    this.patienceMs = Math.min(retry.active.route.patienceMs, (waitUntil - now) / 2);
    this.#hasLastResort = tiers.at(-1)?.every((target) => target.isLastResort === true) === true;
    this.#waitedEnoughAt = now + retry.active.route.maxWaitMs * LAST_RESORT_SHARE;
    this.maxCooldownWaitMs = retry.active.route.policy.retry.maxRetryAfter;
    this.own = retry.active.clientPermit === null ? retry.active.request.client.resources : NO_RESOURCES;
  }

  get model(): string {
    return this.#retry.active.route.name;
  }

  get kind(): number {
    return answerKind(this.#retry.active.request.facts);
  }

  /** By when it has to start, to be answered in time: what it is ordered by. */
  get deadline(): Instant {
    return (this.#startBy ??= Math.min(this.#retry.active.deadline, this.#retry.active.wantedBy) - this.usualMs);
  }

  get waitUntil(): Instant {
    return Math.min(this.#waitUntil, this.#retry.active.deadline - this.usualMs);
  }

  /**
   * How long the fastest of its targets usually takes to answer it, in milliseconds; 0: nobody knows. While another target is at hand,
   * an attempt may spend only a part of the time left: then it needs more.
   */
  get usualMs(): number {
    return (this.#usualMs ??= this.#reckonUsualMs());
  }

  #reckonUsualMs(): number {
    const { facts } = this.#retry.active.request;
    let least = Infinity;
    for (const tier of this.tiers) {
      for (const { state } of tier) {
        least = Math.min(least, state.silence.usualMs(callKindOf(facts, state)));
        if (least === 0) return 0;
      }
    }
    const isAlone = this.tiers.length === 1 && this.tiers[0]!.length === 1;
    return isAlone || this.isLast ? least : least / silenceShareMs(1);
  }

  get lastResortAt(): Instant {
    return Math.min(this.#retry.standInAt, this.#waitedEnoughAt);
  }

  get source(): Source {
    return this.#retry.active.source;
  }

  get affinityKey(): string | null {
    return this.#retry.active.request.sessionKey;
  }

  get preferred(): readonly RouteTarget[] {
    return (this.#preferred ??= makersAmong(this.#retry.active.engine, this.#retry.active.request, this.#retry.tiers));
  }

  get isLast(): boolean {
    return this.#retry.attemptsLeft <= 1;
  }

  needOn(target: RouteTarget): Need {
    if (this.#needOf === target) return this.#need!;
    if (this.#needOf === null) {
      this.#needOf = target;
      return (this.#need = this.#reckon(target));
    }
    this.#others ??= new Map();
    let need = this.#others.get(target);
    if (need === undefined) this.#others.set(target, (need = this.#reckon(target)));
    return need;
  }

  #reckon(target: RouteTarget): Need {
    const { state } = target;
    const now = this.#retry.active.engine.clock.now();
    const { facts, client } = this.#retry.active.request;
    const guess = hasOutput(facts.operation) ? state.output.of(client.name) : 0;
    const bound = facts.outputBound;
    // A provider that counts bounds counts something where there is none, and nobody knows what: never less than at first.
    const counted = bound ?? (guess === 0 ? 0 : Math.max(OUTPUT_FIRST, guess));
    return {
      requests: 1,
      inputTokens: state.input.of(facts.inputTokens, countsCached(state)),
      outputTokens: state.countsOutput ? counted : Math.min(bound ?? Infinity, guess),
      source: this.#retry.active.source,
      model: state.model,
      hasNoAlternative:
        pausedMs(state, now) > 0 &&
        this.tiers.every((tier) => tier.every((other) => other === target || isOutOfOrder(other, now, this.source))),
    };
  }

  notBefore(target: RouteTarget): Instant {
    const retry = this.#retry;
    const now = retry.active.engine.clock.now();
    // Where a last resort could still answer, a better target that has too little time left can't.
    if (this.#hasLastResort && target.isLastResort !== true && now > retry.latestStartOn(target)) return Infinity;
    const own = retry.tried.notBefore(target);
    const { bench } = target.state.credential;
    if (!bench.isInDoubtFor(this.source.client, target.state.model)) return own;
    // A trial within the time of a quarantine is for requests that have nothing else.
    const leftMs = bench.remainingMs(now);
    return leftMs > 0 && hasOtherInOrder(this.tiers, target, now, this.source) ? Math.max(own, now + leftMs) : own;
  }
}

function hasOtherInOrder(tiers: Tiers, target: RouteTarget, now: Instant, source: Source): boolean {
  return tiers.some((tier) => tier.some((other) => other !== target && !other.state.runsHere && !isOutOfOrder(other, now, source)));
}

function hasOutput(operation: string): boolean {
  return operation === 'chat' || operation === 'completions';
}

/** Asks for a permit on one of `tiers`, waiting for it until `waitUntil` at most. */
export function ask(retry: RetryState, tiers: Tiers, waitUntil: Instant): AdmissionResult | Promise<AdmissionResult> {
  if (retry.active.isOver) return { kind: 'cancelled' };
  const { admission, clock } = retry.active.engine;
  const applicant = new RunApplicant(retry, tiers, Math.min(waitUntil, retry.active.deadline));
  applicant.tiers = withHomeFirst(tiers, applicant, clock.now(), applicant.patienceMs);
  if (retry.active.deadline <= clock.now()) return refusal('expired', applicant, clock.now());
  const decision = admission.submit(applicant);
  const isNews = retry.attempts === 0 && noteMissed(applicant.tiers, decision.kind === 'start' ? decision : null);
  // Who waits is told of by a pump, too, and must be there to be told then.
  if (decision.kind === 'wait') return waitFor(retry, applicant, clock.now());
  if (isNews) admission.pump();
  return decision;
}

async function waitFor(retry: RetryState, applicant: RunApplicant, since: Instant): Promise<AdmissionResult> {
  const { admission, clock, events } = retry.active.engine;
  const blockers = refusal('infeasible', applicant, since).blockers;
  retry.active.applicant = applicant;
  retry.active.wake = () => admission.withdraw(applicant);
  const waiting = admission.wait(applicant);
  events.emit({ type: 'queued', requestId: retry.active.request.id, at: since, blockers });
  admission.pump();
  const result = await waiting;
  retry.active.wake = retry.active.applicant = null;
  retry.active.queueMs += clock.now() - since;
  return result;
}
