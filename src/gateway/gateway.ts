import type { FleetView } from '../cluster/fleet.ts';
import type { Clock } from '../core/clock.ts';
import type { Blocker, EventBus } from '../core/events.ts';
import type { SecretMask } from '../core/secrets/secret-mask.ts';
import type { Shortfall } from '../core/quality.ts';
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
import type { Snapshot } from '../telemetry/snapshot.ts';

/** A client as configured: what it may ask for, beside its limits. */
export interface KnownClient extends Client {
  readonly priority: Priority;
  readonly maxPriority: Priority;
  /** False: the client's list does not allow this name. */
  mayUse(model: string): boolean;
  /** True: it has a list of models. */
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
  readonly benchedMs: number;
  /** Why its credential is quarantined, or was until its next trial; null: it is in order. */
  readonly quarantine: {
    readonly reason: 'auth' | 'quota';
    readonly status: number | null;
    readonly code: string | null;
    readonly message: string;
  } | null;
  /** Its credential was refused to one request, which may itself be the cause. */
  readonly suspected: boolean;
  readonly health: number;
  /** `share`: what this instance may use at once of a limit that several share. */
  readonly limits: readonly { readonly kind: string; readonly limit: number; readonly available: number; readonly share?: number }[];
  readonly inFlight: number;
  /** Answers that were not good enough, by what they lacked, since the start. */
  readonly shortfalls: Readonly<Partial<Record<Shortfall, number>>>;
  /** What runs a model on this machine; null: it runs elsewhere. */
  readonly engine: {
    readonly state: 'idle' | 'loading' | 'ready' | 'failed';
    /** Its thread's JavaScript, heap and buffers. */
    readonly heapBytes: number;
    /** By how much the process grew while it loaded: about what weights and run time take. */
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
  /** Milliseconds that the longest waiting request has waited, to the second. */
  readonly oldestMs: number;
  /** Those who wait by what they wait for, the most first. */
  readonly groups: readonly QueueGroup[];
  /** How many wait in groups that are not shown. */
  readonly others: number;
}

/** Those of one class who may use the same targets. */
export interface QueueGroup {
  /** The model that one of them asked for. */
  readonly model: string;
  readonly priority: SchedulingClass;
  readonly waiting: number;
  /** In the order of the route; the first few. */
  readonly targets: readonly string[];
  /** How long the one that is due first has waited, and how long it may still wait, in milliseconds. */
  readonly waitedMs: number;
  readonly leftMs: number;
  /** When a request like it that comes now would start, in milliseconds from now; null: nobody knows. */
  readonly startsInMs: number | null;
  /** What keeps each target from it now; `waitMs` null: until another request ends, `never`: for good, or until somebody puts it right. */
  readonly why: readonly { readonly target: string; readonly kind: Blocker['kind']; readonly waitMs: number | 'never' | null }[];
}

/** A running gateway without its listener: config in, answers out. `server` and `breakwater.fetch` stand on it. */
export interface Gateway {
  readonly config: Config;
  readonly clock: Clock;
  readonly events: EventBus;
  /** What is masked in all that is shown. */
  readonly secrets: SecretMask;
  /** The client that the credential belongs to; the anonymous one where no clients are configured; null: unknown. */
  authenticate(credential: string | null): KnownClient | null;
  /** Files and batches; null: the store keeps none. */
  readonly jobs: Jobs | null;
  /** Instances that share the store; null: it is this one's own. */
  readonly fleet: FleetView | null;
  /** Runs one request to its end. Always ends the sink, in the caller's protocol; never rejects. */
  handle(request: GatewayRequest, sink: ResponseSink): Promise<void>;
  /** The configured model names that the client may use, and what is known of the providers' own lists. */
  models(client: KnownClient): Promise<readonly ModelEntry[]>;
  /** A name that a request of this client could ask for, listed or not; null: there is no such model for it. */
  findModel(client: KnownClient, name: string): Promise<ModelEntry | null>;
  /** What later requests of the Responses API refer to. */
  readonly responses: ResponseStore;
  readonly history: ConversationHistory;
  /** Whether some target of the name counts tokens at `path` of the dialect. `holder`: whose share of the remembered names it takes. */
  countsTokens(model: string, holder: string, dialect: Dialect, path: string): Promise<boolean>;
  /** Whether a model of this name is configured, or known from a provider's own list (`PROVIDER/MODEL`). */
  isListed(model: string): boolean;
  /** For what takes longer than a turn of the event loop should. */
  readonly slices: SlicedWork;
  /**
   * Room for the bytes of a body in waiting; false: `queue_full`. Give them back with `releaseBytes`. `holder`: whose share they take,
   * none for what belongs to several; `reserve`: the part of all room that is left free for others; `own`: what the same request holds.
   */
  tryHoldBytes(bytes: number, holder?: string, reserve?: number, own?: number): boolean;
  /** For what is in memory already. */
  holdBytes(bytes: number, holder: string): void;
  releaseBytes(bytes: number, holder?: string): void;
  /** This holder's share is what refuses it more bytes, and not the room of all. */
  isOverByteShare(holder: string): boolean;
  targets(): readonly TargetStatus[];
  queue(): QueueStatus;
  /** For the gauges of the metrics. */
  snapshot(): Snapshot;
  /** False if there is no such target. */
  isolate(target: string): boolean;
  reset(target: string): boolean;
  /** Takes a new config over at once, or throws and leaves the old one serving. Running requests are untouched. */
  reload(config: Config): Promise<void>;
  /** From now on new requests are refused with `shutting_down`; resolves when the running ones are over. */
  drain(): Promise<void>;
  /** Breaks off what still runs (in-band error), saves the state and closes sockets and store. */
  close(): Promise<void>;
}
