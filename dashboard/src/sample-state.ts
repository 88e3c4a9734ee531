/** Fully populated gateway states for unit tests. */
import type {
  FeedState,
  Notice,
  OperatorStatus,
  Point,
  PointColumn,
  QueueStatus,
  RequestSummary,
  TargetActivity,
  TargetStatus,
} from './frames.ts';
import { POINT_COLUMNS } from './points.ts';

export const now = Date.UTC(2026, 10, 30, 14, 0);

export function stateWith(
  change: {
    targets?: TargetStatus[];
    activity?: TargetActivity[];
    queue?: Partial<QueueStatus>;
    phase?: FeedState['phase'];
    costToday?: OperatorStatus['costToday'];
    endings?: OperatorStatus['endings'];
    clients?: FeedState['clients'];
    errors?: FeedState['errors'];
    clientLimits?: OperatorStatus['clientLimits'];
  } = {},
): FeedState {
  return {
    at: now,
    startedAt: now - 600_000,
    phase: change.phase ?? 'running',
    facts: {},
    rates: { seconds: 10, received: 0, succeeded: 0, failed: 0, refused: 0, rejected: 0, cancelled: 0, attempts: 0 },
    targets: change.activity ?? [],
    clients: change.clients ?? [],
    errors: change.errors ?? [],
    running: [],
    status: {
      simulated: false,
      queue: { waiting: 0, waitingByPriority: {}, inFlight: 0, heldBytes: 0, oldestMs: 0, groups: [], others: 0, ...change.queue },
      targets: change.targets ?? [],
      unshownTargets: 0,
      clientLimits: change.clientLimits ?? [],
      sessionLimits: [],
      onlyTargets: [],
      costToday: change.costToday ?? { usd: 0, unpricedCalls: 0, byTarget: [], byClient: [] },
      endings: change.endings ?? [],
    },
  };
}

export function target(change: Partial<TargetStatus> = {}): TargetStatus {
  const name = change.target ?? 'north/writer';
  return {
    target: name,
    provider: name.split('/')[0]!,
    model: name.split('/')[1]!,
    credential: 1,
    breaker: { state: 'closed', openForMs: null, failureRatio: 0 },
    cooldownMs: 0,
    quarantinedMs: 0,
    quarantine: null,
    suspected: false,
    health: 1,
    limits: [],
    inFlight: 0,
    failedQualityChecks: {},
    engine: null,
    learned: { limits: [], concurrency: null, inputFactor: null, cachedShare: null, countsCached: false, outputTokens: {} },
    ...change,
  };
}

export function activity(change: Partial<TargetActivity> = {}): TargetActivity {
  return {
    target: 'north/writer',
    calls: 100,
    failed: 0,
    cancelled: 0,
    causes: [],
    firstContentP50: 200,
    firstContentP95: 900,
    strip: [],
    ...change,
  };
}

export function point(values: Partial<Record<PointColumn, number>> = {}): Point {
  return POINT_COLUMNS.map((name) => values[name] ?? 0);
}

export function notice(change: Partial<Notice> = {}): Notice {
  return { at: now, tone: 'info', text: 'something changed', subject: null, ...change };
}

export function request(change: Partial<RequestSummary> = {}): RequestSummary {
  return {
    id: 'req_1',
    sequence: 1,
    startedAt: new Date(now).toISOString(),
    protocol: 'openai',
    operation: 'chat',
    model: 'summary',
    client: 'web',
    priority: 'normal',
    stream: true,
    outcome: 'success',
    lastEvent: 'finished',
    status: 200,
    code: null,
    target: 'north/writer',
    attempts: 1,
    fallback: null,
    cache: null,
    queueMs: 0,
    durationMs: 300,
    firstContentMs: 100,
    usage: null,
    costUsd: null,
    ...change,
  };
}
