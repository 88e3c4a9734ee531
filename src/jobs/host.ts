/** What the jobs need from the gateway. */
import type { Clock } from '../core/clock.ts';
import type { ErrorCode } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import type { SlicedWork } from '../core/sliced-work.ts';
import type { Client, GatewayRequest } from '../pipeline/request/gateway-request.ts';
import type { ResponseSink } from '../pipeline/request/response-sink.ts';
import type { NativeHost } from './native/native-host.ts';
import type { ItemError, JobLimits, JobStore } from '../store/jobs/job-store.ts';

/** The client that created a job. */
export interface JobClient extends Client {
  mayUse(model: string): boolean;
  readonly isLimited: boolean;
}

export interface JobSettings extends JobLimits {
  /** The retention of files and finished jobs, in milliseconds. */
  readonly retentionMs: number;
}

export interface AttemptEnd {
  /** Its response is the one returned to the caller. */
  readonly isGood: boolean;
  readonly status: number | null;
  readonly message: string | null;
}

export interface RequestEnd {
  /** Of all its calls, in US dollars; null: none, or not known. */
  readonly costUsd: number | null;
  /** Of the error that Breakwater returned; null: none, or the provider's own. */
  readonly code: ErrorCode | null;
}

export interface RequestListeners {
  readonly begun: (requestId: string) => void;
  /** Breakwater refused the request before its model was resolved. */
  readonly rejected: (requestId: string, error: ItemError) => void;
  readonly ended: (requestId: string, end: AttemptEnd) => void;
  readonly finished: (requestId: string, end: RequestEnd) => void;
}

/** Stored conversations, which later requests of the Responses API refer to. */
export interface ResponseHistory {
  /** The conversation that the request with this body refers to. `hold` is called with the bytes read, and may throw to refuse them. */
  of(client: string, body: Uint8Array, hold?: (bytes: number) => void): Promise<GatewayRequest['history']>;
  /** A background response starts: stores the input of its request for later references. */
  begin(client: string, id: string, body: Uint8Array): void;
  /** Stores the input again if a crash has lost it. False: it is there, or is not stored at all. */
  restore(client: string, id: string, body: Uint8Array): Promise<boolean>;
  /** The response has ended. `maker`: the `provider/model` that made it. */
  end(client: string, id: string, response: Readonly<Record<string, unknown>>, maker: string): Promise<void>;
  delete(client: string, id: string): void;
}

export interface JobHost {
  readonly clock: Clock;
  readonly random: Random;
  readonly slices: SlicedWork;
  readonly store: JobStore;
  /** False: the store is empty, and need not be opened. */
  hasJobs(): Promise<boolean>;
  /** Other instances create and run jobs in it, too. */
  readonly isShared: boolean;
  /** Read on every use, as a reload may change them. */
  readonly settings: () => JobSettings;
  /** Null if the client is no longer configured. */
  client(name: string): JobClient | null;
  /**
   * Whether a request for this model would be routed now. The lists of providers are read if the configuration does not name it; null: one of
   * them can't be read at present.
   */
  hasModel(model: string): Promise<boolean | null>;
  /** Runs one request to its end. Always ends the sink. */
  handle(request: GatewayRequest, sink: ResponseSink): Promise<void>;
  readonly history: ResponseHistory;
  /** The batch APIs of providers. */
  readonly native: NativeHost;
  /** Listens to the attempts and ends of all requests. Returns a function that removes the listeners. */
  onRequests(listeners: RequestListeners): () => void;
  /** Emits a warning for the operator. */
  warn(message: string, detail?: string): void;
}
