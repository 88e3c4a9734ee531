/** The state of the engine at one instant, for admin pages and metrics. */
import type { FleetStatus } from '../cluster/lease-agent.ts';
import type { Instant } from '../core/clock.ts';
import { SCHEDULING_CLASSES } from '../core/request.ts';
import type { SchedulingClass } from '../core/request.ts';
import { ConcurrencyLimiter } from '../policy/concurrency-limiter/concurrency-limiter.ts';
import { refusal } from '../policy/scheduler/refusal.ts';
import type { Scheduler } from '../policy/scheduler/scheduler.ts';
import type { WaitingGroup } from '../policy/scheduler/survey.ts';
import type { RouteApplicant } from '../pipeline/admission/admission.ts';
import type { Engine } from '../pipeline/request/engine.ts';
import { pausedMs } from '../pipeline/route/route.ts';
import type { RouteTarget, TargetState } from '../pipeline/route/route.ts';
import type { EngineStatus } from '../transport/local/local-engine.ts';
import type { ResourceLevel, Snapshot } from '../telemetry/snapshot.ts';
import type { QueueGroup, QueueStatus, TargetStatus } from './gateway.ts';
import { learnedStatus } from './learning.ts';
import { estimateLevels, learnedLevels } from './learned-levels.ts';
import { isLeased, reachOf, wholeLimitOf } from './limits.ts';
import type { LimitRegistry, LimitResource } from './limits.ts';
import type { TargetRegistry } from './targets.ts';

type Queue = Scheduler<RouteTarget, RouteApplicant>;

/** Model names come from callers, so there may be as many groups as requests. */
const GROUPS_SHOWN_MAX = 50;
const TARGETS_SHOWN_MAX = 16;
const NAME_SHOWN_MAX = 200;

export function targetStatus(state: TargetState, engine: EngineStatus | undefined, now: Instant): TargetStatus {
  return {
    target: state.name,
    provider: state.provider,
    model: state.model,
    credential: state.credential.number,
    breaker: {
      state: state.breaker.state,
      openForMs: state.breaker.openForMs(now),
      failureRatio: state.breaker.failureRatio(now),
    },
    cooldownMs: pausedMs(state, now),
    quarantinedMs: state.credential.quarantine.remainingMs(now),
    quarantine: state.credential.quarantine.cause,
    suspected: state.credential.quarantine.isSuspect(now),
    health: state.health.valueAt(now),
    limits: (state.limits as readonly LimitResource[]).map((limit) => ({
      kind: limit.id.slice(limit.id.lastIndexOf(':') + 1),
      limit: wholeLimitOf(limit),
      ...usable(limit, now),
    })),
    inFlight: state.inFlight,
    failedQualityChecks: { ...state.failedQualityChecks },
    engine: engine === undefined ? null : { state: engine.state, ...engine.memory, crashes: engine.crashes, error: engine.error },
    learned: learnedStatus(state, now),
  };
}

export function queueStatus(scheduler: Queue, engine: Engine, heldBytes: number): QueueStatus {
  const now = engine.clock.now();
  const { groups, others } = scheduler.survey(now, GROUPS_SHOWN_MAX);
  return {
    waiting: scheduler.length,
    waitingByPriority: waitingByClass(scheduler),
    inFlight: engine.running.size,
    heldBytes,
    oldestMs: scheduler.oldestMs(now),
    groups: groups.map((group) => queueGroup(group, now)),
    others,
  };
}

function queueGroup(group: WaitingGroup<RouteTarget, RouteApplicant>, now: Instant): QueueGroup {
  const { first, newcomerAt } = group;
  const targets = new Set(first.tiers.flat().map(({ key }) => key));
  const { blockers } = refusal('infeasible', first, now);
  return {
    model: first.model.slice(0, NAME_SHOWN_MAX),
    priority: group.class,
    waiting: group.waiting,
    targets: [...targets].slice(0, TARGETS_SHOWN_MAX),
    waitedMs: now - group.since,
    leftMs: Math.max(0, group.waitUntil - now),
    startsInMs: newcomerAt === null || newcomerAt === Infinity ? null : Math.max(0, newcomerAt - now),
    why: blockers.slice(0, TARGETS_SHOWN_MAX).map(({ target, kind, waitMs }) => {
      return { target, kind, waitMs: waitMs === Infinity ? 'never' : waitMs };
    }),
  };
}

export function snapshotOf(
  scheduler: Queue,
  engine: Engine,
  levels: readonly ResourceLevel[],
  targets: TargetRegistry,
  engines: readonly EngineStatus[],
  heldBytes: number,
  fleet: FleetStatus | null,
): Snapshot {
  const now = engine.clock.now();
  return {
    queueLength: waitingByClass(scheduler),
    inFlight: engine.running.size,
    heldBytes,
    resources: [...levels, ...learnedLevels(targets, now)],
    estimates: estimateLevels(targets),
    engines: engines.map(({ name, state, memory }) => ({ target: name, loaded: state === 'ready', ...memory })),
    fleet: fleet === null ? null : { instances: Math.max(1, fleet.members.length), isLinked: fleet.isLinked },
    breakers: [...new Map(targets.all().map((state) => [state.name, state.breaker.state]))].map(([target, state]) => ({ target, state })),
  };
}

export function configuredLevels(limits: LimitRegistry, now: Instant): ResourceLevel[] {
  return [...limits.all()].flatMap(([, { resource, shownAs }]) => {
    if (shownAs === null) return [];
    return [{ id: shownAs, kind: resource.kind, limit: wholeLimitOf(resource), ...usable(resource, now) }];
  });
}

function waitingByClass(scheduler: Queue): Record<SchedulingClass, number> {
  return Object.fromEntries(SCHEDULING_CLASSES.map((name) => [name, scheduler.waiting(name)])) as Record<SchedulingClass, number>;
}

/** What is left of the limit or, where instances share it, of this one's share. */
function usable(resource: LimitResource, now: Instant): { available: number; share?: number } {
  if (isLeased(resource)) return reachOf(resource, now);
  return { available: resource instanceof ConcurrencyLimiter ? resource.available() : resource.available(now) };
}
