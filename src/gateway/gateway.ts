import type { Money } from './money/money.ts';
import type { FleetView } from '../cluster/fleet.ts';
import type { Captures } from '../core/captures.ts';
import type { Clock } from '../core/clock.ts';
import type { Blocker, EventBus } from '../core/events.ts';
import type { SecretMask } from '../core/secrets/secret-mask.ts';
import type { FailedQualityCheck } from '../core/quality.ts';
import type { Priority, SchedulingClass } from '../core/request.ts';
import type { SlicedWork } from '../core/sliced-work.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Client, GatewayRequest } from '../pipeline/request/gateway-request.ts';
import type { ResponseSink } from '../pipeline/request/response-sink.ts';
import type { Dialect } from '../wire/dialect.ts';
import type { Config } from './config/index.ts';
import type { LearnedStatus } from './learning.ts';
import type { ConversationHistory } from './response-history.ts';
import type { ResponseStore } from './response-store.ts';
import type { RequestTracer } from './trace-requests.ts';
import type { Store } from '../store/store.ts';
import type { Snapshot } from '../telemetry/snapshot.ts';

/** A configured client: its rights, in addition to its limits. */
export interface KnownClient extends Client {
  readonly priority: Priority;
  readonly maxPriority: Priority;
  /** False: the client's list does not allow this name. */
  mayUse(model: string): boolean;
  /** True: the client has a list of allowed models. */
  readonly isLimited: boolean;
}

export interface ModelEntry {
  readonly id: string;
  readonly ownedBy: string;
}

/** What `/admin/targets` shows of one target. */
export interface TargetStatus {
  readonly target: string;
  readonly provider: string;
  readonly model: string;
  readonly credential: number;
  readonly breaker: { readonly state: string; readonly openForMs: number | null; readonly failureRatio: number };
  readonly cooldownMs: number;
  readonly quarantinedMs: number;
  /** Why its credential is, or was last, quarantined, until a trial succeeds; null: it is usable. */
  readonly quarantine: {
    readonly reason: 'auth' | 'quota';
    readonly status: number | null;
    readonly code: string | null;
    readonly message: string;
  } | null;
  /** The provider rejected the credential once; the request itself may be the cause. */
  readonly suspected: boolean;
  readonly health: number;
  /** `share`: this instance's part of a shared limit. */
  readonly limits: readonly { readonly kind: string; readonly limit: number; readonly available: number; readonly share?: number }[];
  readonly inFlight: number;
  /** Failed quality checks since the start, by reason. */
  readonly failedQualityChecks: Readonly<Partial<Record<FailedQualityCheck, number>>>;
  /** The engine of a local model; null: the model is remote. */
  readonly engine: {
    readonly state: 'idle' | 'loading' | 'ready' | 'failed';
    /** JavaScript heap and buffers of its thread. */
    readonly heapBytes: number;
    /** Growth of the process while it loaded: about the size of weights and runtime. */
    readonly loadedBytes: number;
    readonly crashes: number;
    readonly error: string | null;
  } | null;
  readonly learned: LearnedStatus;
}

/** What `/admin/queue` shows. */
export interface QueueStatus {
  readonly waiting: number;
  readonly waitingByPriority: Readonly<Record<string, number>>;
  readonly inFlight: number;
  readonly heldBytes: number;
  /** The wait of the oldest waiting request, in milliseconds, rounded to seconds. */
  readonly oldestMs: number;
  /** Waiting requests, grouped by what they wait for, largest group first. */
  readonly groups: readonly QueueGroup[];
  /** The number of requests in groups that are not shown. */
  readonly others: number;
}

/** Waiting requests of one class that may use the same targets. */
export interface QueueGroup {
  /** The model that one of them requested. */
  readonly model: string;
  readonly priority: SchedulingClass;
  readonly waiting: number;
  /** In the order of the route; the first few. */
  readonly targets: readonly string[];
  /** How long the first in the queue has waited, and how long it may still wait, in milliseconds. */
  readonly waitedMs: number;
  readonly leftMs: number;
  /** When a new request of this group would start, in milliseconds from now; null: unknown. */
  readonly startsInMs: number | null;
  /** What blocks each target now; `waitMs` null: until another request ends, `never`: permanently, or until an operator intervenes. */
  readonly why: readonly { readonly target: string; readonly kind: Blocker['kind']; readonly waitMs: number | 'never' | null }[];
}

/** What configurations of the last day accepted. */
interface FormerAccess {
  /** The client that a request with this key had; null: none. */
  clientOf(credential: string | null, isLocal: boolean): string | null;
  hadModel(model: string): boolean;
}

/** A running gateway without a listener. `server` and `breakwater.fetch` are built on it. */
export interface Gateway {
  readonly config: Config;
  readonly clock: Clock;
  readonly events: EventBus;
  /** Masks secrets in all output. */
  readonly secrets: SecretMask;
  /** The client that the credential belongs to; the anonymous one where no clients are configured; null: unknown. */
  authenticate(credential: string | null): KnownClient | null;
  /** What reloads have replaced within a day, for operators only. */
  readonly former: FormerAccess;
  /** Files and batches; null: the store does not support them. */
  readonly jobs: Jobs | null;
  /** The instances that share the store; null: the store is not shared. */
  readonly fleet: FleetView | null;
  readonly store: Pick<Store, 'kind' | 'health'>;
  /** Begins and continues traces. */
  readonly tracer: RequestTracer;
  /** Prompts and bodies, where the config asks for them. */
  readonly captures: Captures;
  /** Usage, costs, budgets. */
  readonly money: Money;
  /** Runs one request to its end. Always ends the sink, in the caller's protocol; never rejects. */
  handle(request: GatewayRequest, sink: ResponseSink): Promise<void>;
  /** The configured models that the client may use, and those known from the providers' own lists. */
  models(client: KnownClient): Promise<readonly ModelEntry[]>;
  /** A model that this client may request, listed or not; null: unknown or not allowed. */
  findModel(client: Pick<KnownClient, 'mayUse'>, name: string): Promise<ModelEntry | null>;
  /** Whether requests for this model are routed; null: not known, as a provider's own list can't be read at present. */
  hasModel(name: string): Promise<boolean | null>;
  /** Stored responses that later requests of the Responses API may refer to. */
  readonly responses: ResponseStore;
  readonly history: ConversationHistory;
  /** Whether a target of the model counts tokens at `path` of the dialect. `holder`: see `Routes.find`. */
  countsTokens(model: string, holder: string, dialect: Dialect, path: string): Promise<boolean>;
  /** Whether a model of this name is configured, or known from a provider's own list (`PROVIDER/MODEL`). */
  isListed(model: string): boolean;
  /** Runs long computations in slices, between turns of the event loop. */
  readonly slices: SlicedWork;
  /**
   * Counts the bytes of a buffered body; false: the limit is reached (`queue_full`). Released with `releaseBytes`. `holder`: whose share
   * is used, none for bytes of several holders; `reserve`: the share of the limit to leave free; `own`: bytes that this request holds.
   */
  tryHoldBytes(bytes: number, holder?: string, reserve?: number, own?: number): boolean;
  /** Counts bytes that are in memory already, regardless of the limit. */
  holdBytes(bytes: number, holder: string): void;
  releaseBytes(bytes: number, holder?: string): void;
  /** This holder has reached its share of the memory. */
  isOverByteShare(holder: string): boolean;
  targets(): readonly TargetStatus[];
  queue(): QueueStatus;
  /** For the gauges of the metrics. */
  snapshot(): Snapshot;
  /** False if there is no such target. */
  isolate(target: string): boolean;
  reset(target: string): boolean;
  /** Applies a new config at once, or throws and keeps the old one. Running requests are not affected. */
  reload(config: Config): Promise<void>;
  /** Refuses new requests with `shutting_down` from now on; resolves when all running requests have ended. */
  drain(): Promise<void>;
  /** Aborts running requests (with an in-band error), saves the state, and closes sockets and store. */
  close(): Promise<void>;
}
