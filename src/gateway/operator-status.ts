/** The state of the gateway for the dashboard, once per second; bounded in size for any configuration. */
import type { Jobs } from '../jobs/jobs.ts';
import type { ResourceLevel } from '../telemetry/snapshot.ts';
import type { Gateway, QueueStatus, TargetStatus } from './gateway.ts';
import type { DayCost } from './money/cost-today.ts';
import { endOfLife } from './money/prices.ts';
import { onlyTargetsOf, sessionLimitsOf, type OnlyTarget, type SessionLimit } from './operator-config.ts';

/** The most targets (one per credential), client limits and jobs in one frame. */
const targetsMax = 200;
const clientLimitsMax = 200;
const jobsMax = 50;
const endingsWithinDays = 90;
const dayMs = 86_400_000;

/** JSON-ready. */
export interface OperatorStatus {
  readonly simulated: boolean;
  readonly queue: QueueStatus;
  readonly targets: readonly TargetStatus[];
  /** The number of targets that are not in `targets`. */
  readonly unshownTargets: number;
  readonly clientLimits: readonly ClientLimit[];
  readonly sessionLimits: readonly SessionLimit[];
  readonly onlyTargets: readonly OnlyTarget[];
  readonly costToday: DayCost;
  /** Models of `targets` that are shut down within 90 days, or were. */
  readonly endings: readonly ModelEnd[];
  /** Batches, newest first. Absent: not supported by the store. */
  readonly jobs?: readonly JobProgress[];
}

export interface JobProgress {
  readonly id: string;
  readonly client: string;
  /** As the API names it: `in_progress`, `cancelling`, … */
  readonly state: string;
  readonly total: number;
  readonly done: number;
  /** Part of `done`. */
  readonly failed: number;
  /** Estimated end at the rate of the last minutes, in milliseconds since the epoch; null: unknown. */
  readonly endsAt: number | null;
}

export interface ModelEnd {
  readonly target: string;
  /** `YYYY-MM-DD`. */
  readonly endsOn: string;
  /** Negative: it is over. */
  readonly daysLeft: number;
  readonly successor: string | null;
}

export interface ClientLimit {
  readonly client: string;
  readonly kind: string;
  readonly limit: number;
  readonly available: number;
  /** Of a budget: the start of its period, in milliseconds since the epoch. */
  readonly renewedAt?: number;
  /** Of a budget: milliseconds until its next period. */
  readonly renewsInMs?: number;
  /** Of a budget: US dollars spent beyond it; absent: none. */
  readonly overrunUsd?: number;
}

export function operatorStatus(gateway: Gateway, simulated: boolean): OperatorStatus {
  const targets = gateway.targets();
  const shown = targets.slice(0, targetsMax);
  return {
    simulated,
    queue: gateway.queue(),
    targets: shown,
    unshownTargets: Math.max(0, targets.length - targetsMax),
    clientLimits: clientLimitsOf(gateway),
    sessionLimits: sessionLimitsOf(gateway.config.clients),
    onlyTargets: onlyTargetsOf(gateway.config),
    costToday: gateway.money.today.read(),
    endings: endingsOf(gateway, shown),
    ...(gateway.jobs !== null && { jobs: jobsOf(gateway.jobs) }),
  };
}

function jobsOf(jobs: Jobs): JobProgress[] {
  return jobs.open
    .toSorted((a, b) => b.createdAtMs - a.createdAtMs)
    .slice(0, jobsMax)
    .map(({ id, client, state, total, succeeded, failed }) => ({
      id,
      client,
      state,
      total,
      done: succeeded + failed,
      failed,
      endsAt: jobs.probableEndMs(id),
    }));
}

function endingsOf({ config, clock }: Gateway, targets: readonly TargetStatus[]): ModelEnd[] {
  const byName = new Map(targets.map((status) => [status.target, status]));
  return Array.from(byName, ([target, { provider, model }]): ModelEnd | null => {
    const configured = config.providers[provider];
    const end = configured === undefined ? null : endOfLife(configured, model);
    if (end === null) return null;
    return { target, ...end, daysLeft: Math.ceil((Date.parse(end.endsOn) - clock.epochMs()) / dayMs) };
  }).filter((end) => end !== null && end.daysLeft <= endingsWithinDays) as ModelEnd[];
}

function renewalOf({ sinceMs, resetsInMs, overrunUsd }: NonNullable<ResourceLevel['period']>) {
  return { renewedAt: sinceMs, renewsInMs: resetsInMs, ...(overrunUsd > 0 && { overrunUsd }) };
}

/** `client web:requestsPerMinute` is a limit of the client `web`. */
function clientLimitsOf(gateway: Gateway): ClientLimit[] {
  if (gateway.config.clients.length === 0) return [];
  return gateway
    .snapshot()
    .resources.flatMap(({ id, limit, available, period }) => {
      const match = /^client (.+):(\w+)$/.exec(id);
      if (match === null || limit === null) return [];
      const [client, kind] = [match[1]!, match[2]!];
      return [{ client, kind, limit, available, ...(period !== undefined && renewalOf(period)) }];
    })
    .slice(0, clientLimitsMax);
}
