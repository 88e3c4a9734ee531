/** Asks the scheduler for a permit on behalf of a request, and says no in words that help. */
import type { Instant } from '../../core/clock.ts';
import { BreakwaterError } from '../../core/errors.ts';
import type { Blocker } from '../../core/events.ts';
import type { Reason } from '../../core/outcome.ts';
import type { SchedulingClass } from '../../core/request.ts';
import type { Need, Resource, ResourceKind } from '../../core/resource.ts';
import type { Source } from '../../core/source.ts';
import { silenceShareMs } from '../../policy/latency/silence.ts';
import { OUTPUT_FIRST } from '../../policy/token-estimate.ts';
import { refusal } from '../../policy/scheduler/refusal.ts';
import type { Refusal } from '../../policy/scheduler/types.ts';
import type { AdmissionResult, Admitted, RouteApplicant } from './admission.ts';
import { answerKind } from '../request/response-kind.ts';
import { callKindOf } from '../request/call-kind.ts';
import { holderOf } from '../request/gateway-request.ts';
import { withHomeFirst } from './affinity.ts';
import { makersAmong } from '../opaque/preference.ts';
import { noteMissed } from './skipped-breakers.ts';
import { countsCached, isKeyOutOfOrder, isOutOfOrder, pausedMs } from '../route/route.ts';
import type { RouteTarget, Tiers } from '../route/route.ts';
import type { RequestRun } from '../run.ts';
import { whyUnavailable } from './why-unavailable.ts';

const NO_RESOURCES: readonly Resource[] = [];

/** Better tiers are waited for through this share of `queue.maxWait` before a last resort is used. */
const LAST_RESORT_SHARE = 0.9;

/** A timer may be early by this, in milliseconds. */
const ROUNDING_MS = 1;

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
  readonly #run: RequestRun;
  /** When a last resort may start: so that it can answer before the deadline, and before `queue.maxWait` is over. */
  readonly #waitedEnoughAt: Instant;
  readonly #hasLastResort: boolean;
  /** What it needs of one target; of the first that was asked about, and of the others if there are any. The same for as long as it waits. */
  #need: Need | null = null;
  #needOf: RouteTarget | null = null;
  #others: Map<RouteTarget, Need> | null = null;

  constructor(run: RequestRun, tiers: Tiers, waitUntil: Instant) {
    this.#run = run;
    this.class = run.priority;
    this.client = holderOf(run.request.client);
    this.session = run.request.sessionKey;
    this.isSide = run.request.isSide === true;
    this.#waitUntil = waitUntil;
    this.tiers = tiers;
    // A fallback needs time too: whoever has little left does not spend it all on waiting for something better.
    const now = run.engine.clock.now();
    this.patienceMs = Math.min(run.route.patienceMs, (waitUntil - now) / 2);
    this.#hasLastResort = tiers.at(-1)?.every((target) => target.isLastResort === true) === true;
    this.#waitedEnoughAt = now + run.route.maxWaitMs * LAST_RESORT_SHARE;
    this.maxCooldownWaitMs = run.route.policy.retry.maxRetryAfter;
    this.own = run.clientPermit === null ? run.request.client.resources : NO_RESOURCES;
  }

  get model(): string {
    return this.#run.route.name;
  }

  get kind(): number {
    return answerKind(this.#run.request.facts);
  }

  /** By when it has to start, to be answered in time: what it is ordered by. */
  get deadline(): Instant {
    return (this.#startBy ??= Math.min(this.#run.deadline, this.#run.wantedBy) - this.usualMs);
  }

  get waitUntil(): Instant {
    return Math.min(this.#waitUntil, this.#run.deadline - this.usualMs);
  }

  /**
   * How long the fastest of its targets usually takes to answer it, in milliseconds; 0: nobody knows. While another target is at hand,
   * an attempt may spend only a part of the time left: then it needs more.
   */
  get usualMs(): number {
    return (this.#usualMs ??= this.#reckonUsualMs());
  }

  #reckonUsualMs(): number {
    const { facts } = this.#run.request;
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
    return Math.min(this.#run.standInAt, this.#waitedEnoughAt);
  }

  get source(): Source {
    return this.#run.source;
  }

  get affinityKey(): string | null {
    return this.#run.request.sessionKey;
  }

  get preferred(): readonly RouteTarget[] {
    return (this.#preferred ??= makersAmong(this.#run.engine, this.#run.request, this.#run.tiers));
  }

  get isLast(): boolean {
    return this.#run.attemptsLeft <= 1;
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
    const now = this.#run.engine.clock.now();
    const { facts, client } = this.#run.request;
    const guess = hasOutput(facts.operation) ? state.output.of(client.name) : 0;
    const bound = facts.outputBound;
    // A provider that counts bounds counts something where there is none, and nobody knows what: never less than at first.
    const counted = bound ?? (guess === 0 ? 0 : Math.max(OUTPUT_FIRST, guess));
    return {
      requests: 1,
      inputTokens: state.input.of(facts.inputTokens, countsCached(state)),
      outputTokens: state.countsOutput ? counted : Math.min(bound ?? Infinity, guess),
      source: this.#run.source,
      model: state.model,
      isLone:
        pausedMs(state, now) > 0 &&
        this.tiers.every((tier) => tier.every((other) => other === target || isOutOfOrder(other, now, this.source))),
    };
  }

  notBefore(target: RouteTarget): Instant {
    const run = this.#run;
    const now = run.engine.clock.now();
    // Where a last resort could still answer, a better target that has too little time left can't.
    if (this.#hasLastResort && target.isLastResort !== true && now > run.latestStartOn(target)) return Infinity;
    const own = run.tried.notBefore(target);
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
export function ask(run: RequestRun, tiers: Tiers, waitUntil: Instant): AdmissionResult | Promise<AdmissionResult> {
  if (run.isOver) return { kind: 'cancelled' };
  const { admission, clock } = run.engine;
  const applicant = new RunApplicant(run, tiers, Math.min(waitUntil, run.deadline));
  applicant.tiers = withHomeFirst(tiers, applicant, clock.now(), applicant.patienceMs);
  if (run.deadline <= clock.now()) return refusal('expired', applicant, clock.now());
  const decision = admission.submit(applicant);
  const isNews = run.attempts === 0 && noteMissed(applicant.tiers, decision.kind === 'start' ? decision : null);
  // Who waits is told of by a pump, too, and must be there to be told then.
  if (decision.kind === 'wait') return waitFor(run, applicant, clock.now());
  if (isNews) admission.pump();
  return decision;
}

async function waitFor(run: RequestRun, applicant: RunApplicant, since: Instant): Promise<AdmissionResult> {
  const { admission, clock, events } = run.engine;
  const blockers = refusal('infeasible', applicant, since).blockers;
  run.applicant = applicant;
  run.wake = () => admission.withdraw(applicant);
  const waiting = admission.wait(applicant);
  events.emit({ type: 'queued', requestId: run.request.id, at: since, blockers });
  admission.pump();
  const result = await waiting;
  run.wake = run.applicant = null;
  run.queueMs += clock.now() - since;
  return result;
}

/** The error of a request that was not admitted and never sent. */
export function refusalError(run: RequestRun, refused: Refusal): BreakwaterError {
  const now = run.engine.clock.now();
  const waitMs = refused.earliest === null ? null : Math.max(0, refused.earliest - now);
  const model = JSON.stringify(run.route.name);
  if (refused.why === 'queue_full') {
    return new BreakwaterError('queue_full', 'the queue is full; retry later, or lower the load', {
      retryAfterMs: waitMs === null ? 1000 : Math.max(1000, waitMs),
    });
  }
  if (refused.why === 'expired' && now >= run.deadline) return deadlineError(run, refused.blockers);
  if (refused.earliest === null && isIncapable(refused)) {
    return new BreakwaterError(
      'capability_unsupported',
      `the request needs more tokens at once than the limits of any target for ${model} allow`,
    );
  }
  if (refused.limited) {
    const isUnknown = waitsForUnknownEnd(run, refused);
    const cure = isUnknown ? UNKNOWN_END : cureFor(run, waitMs, refused.why);
    return new BreakwaterError('rate_limited', `every target for ${model} is held back by limits (${describe(refused.blockers)})${cure}`, {
      retryAfterMs: isUnknown ? null : waitMs,
    });
  }
  const limitsOf = ({ key }: RouteTarget): string =>
    run.failures.find(({ target }) => target.key === key)?.failure.message ??
    describe(refused.blockers.filter(({ target }) => target === key));
  const why = whyUnavailable(run.tiers, run.source, now, limitsOf);
  return new BreakwaterError('no_target_available', `no target for ${model} can be used (${why})`, { retryAfterMs: waitMs });
}

const UNKNOWN_END = ': running calls hold every place of a concurrency limit, and when one ends is not known; retry later, or use a batch';

/**
 * Only the end of running calls would have let it start, and the pace of the last starts says nothing of that: it waited in vain, or
 * callers who do not read their answers hold places.
 */
function waitsForUnknownEnd({ engine, tiers, route, queueMs }: RequestRun, { why, blockers }: Refusal): boolean {
  if (why === 'expired' && queueMs + ROUNDING_MS >= route.maxWaitMs) return false; // its own limit
  const ofRunning = blockers.filter(({ kind, waitMs }) => kind === 'concurrency' && waitMs === null);
  if (ofRunning.length === 0 || ofRunning.length < blockers.length) return false;
  const held = new Set(ofRunning.map(({ target }) => target));
  return why === 'expired' || tiers.some((tier) => tier.some(({ key, resources }) => held.has(key) && engine.stalled.holdsAny(resources)));
}

function cureFor(run: RequestRun, waitMs: number | null, why: Refusal['why']): string {
  const { engine, route } = run;
  const now = engine.clock.now();
  if (why === 'expired' && run.queueMs + ROUNDING_MS >= route.maxWaitMs)
    return ': queue.maxWait was over; a longer one, or a batch, would have sufficed';
  if (waitMs === null) return '';
  // What has to start by then has to be answered, too.
  const { usualMs } = new RunApplicant(run, run.tiers, run.deadline);
  const neededMs = Math.ceil(now + waitMs + usualMs - run.startedAt);
  return `: a deadline of ${Math.ceil(neededMs / 1000)} s (x-breakwater-deadline-ms: ${neededMs}) would have sufficed, or a batch`;
}

export function deadlineError(run: RequestRun, blockers: readonly Blocker[] = []): BreakwaterError {
  const totalMs = Math.round(run.deadline - run.startedAt);
  const queueMs = Math.round(run.queueMs);
  const parts = [`${queueMs} ms waiting for capacity${blockers.length === 0 ? '' : ` (${describe(blockers)})`}`];
  for (const { target, failure, judgement } of run.failures) {
    parts.push(`${target.state.name}: ${judgement.reason === 'auth' ? 'refused our credential' : failure.message}`);
  }
  const now = run.engine.clock.now();
  for (const { options, startedAt } of run.group?.silent ?? []) {
    parts.push(`${options.target.state.name}: no answer within ${Math.round(now - startedAt)} ms`);
  }
  const isOver = now >= run.deadline;
  const what = isOver ? 'has passed' : 'leaves too little time';
  return new BreakwaterError('deadline_exceeded', `the deadline of ${totalMs} ms ${what}: ${parts.join('; ')}`);
}

/** Why the first choice was passed over although nobody has failed yet. */
export function skipReason(run: RequestRun, admitted: Admitted): Reason | null {
  if (admitted.target.tier === 0) return null;
  const first = run.tiers[0]![0]!;
  const now = run.engine.clock.now();
  if (first.tier > 0) return 'incapable';
  if (isKeyOutOfOrder(first.state, now, run.source)) return 'benched';
  if (first.state.breaker.state === 'isolated') return 'isolated';
  if (first.state.breaker.state !== 'closed' || first.state.breaker.isRamping) return 'open';
  return 'rate_limited';
}

function isIncapable(refused: Refusal): boolean {
  return refused.blockers.some((b) => b.waitMs === Infinity && (b.kind === 'tokens' || b.kind === 'requests'));
}

const WORDS: Readonly<Record<ResourceKind | 'incapable', string>> = {
  requests: 'request limit',
  tokens: 'token limit',
  concurrency: 'concurrency limit',
  cooldown: 'cooling down',
  bench: 'out of order',
  breaker: 'breaker open',
  client: "the client's own limit",
  budget: 'budget',
  incapable: 'incapable',
};

const TOLD_MAX = 8;

function describe(blockers: readonly Blocker[]): string {
  const told = blockers.slice(0, TOLD_MAX).map((blocker) => {
    const { waitMs } = blocker;
    const until = waitMs === null ? '' : waitMs === Infinity ? ', for good' : ` for ${(waitMs / 1000).toFixed(1)} s`;
    return `${blocker.target}: ${WORDS[blocker.kind]}${until}`;
  });
  return told.length === 0 ? 'busy' : told.join('; ');
}
