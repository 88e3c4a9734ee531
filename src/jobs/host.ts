/** What the jobs need of the gateway around them. */
import type { Clock } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import type { SlicedWork } from '../core/sliced-work.ts';
import type { Client, GatewayRequest } from '../pipeline/request/gateway-request.ts';
import type { ResponseSink } from '../pipeline/request/response-sink.ts';
import type { JobLimits, JobStore } from '../store/jobs/job-store.ts';

/** Whose requests the items are. */
export interface JobClient extends Client {
  mayUse(model: string): boolean;
  readonly isLimited: boolean;
}

export interface JobSettings extends JobLimits {
  /** Files and finished jobs are kept for so long, in milliseconds. */
  readonly retentionMs: number;
}

export interface AttemptEnd {
  /** Its response is the one that goes to the caller. */
  readonly isGood: boolean;
  readonly status: number | null;
  readonly message: string | null;
}

export interface AttemptListeners {
  readonly begun: (requestId: string) => void;
  readonly ended: (requestId: string, end: AttemptEnd) => void;
}

/** What later requests of the Responses API refer to. */
export interface ResponseHistory {
  /** What the request with this body refers to. `hold` is called with what is read, in bytes, and may throw to refuse. */
  of(client: string, body: Uint8Array, hold?: (bytes: number) => void): Promise<GatewayRequest['history']>;
  /** A background response begins: keeps the input of its request for what refers to it later. */
  begin(client: string, id: string, body: Uint8Array): void;
  /** It has ended. `maker`: `provider/model` that made it. */
  end(client: string, id: string, response: Readonly<Record<string, unknown>>, maker: string): Promise<void>;
  delete(client: string, id: string): void;
}

export interface JobHost {
  readonly clock: Clock;
  readonly random: Random;
  readonly slices: SlicedWork;
  readonly store: JobStore;
  /** Other instances create and run jobs in it, too. */
  readonly isShared: boolean;
  /** Read each time, because a reload may change them. */
  readonly settings: () => JobSettings;
  /** Null: there is no client of this name any more. */
  client(name: string): JobClient | null;
  /** Runs one request to its end; ends the sink whatever happens. */
  handle(request: GatewayRequest, sink: ResponseSink): Promise<void>;
  readonly history: ResponseHistory;
  /** Listens to the attempts of all requests; returns how to stop. */
  onAttempts(listeners: AttemptListeners): () => void;
  /** Something that an operator should know. */
  warn(message: string, detail?: string): void;
}
