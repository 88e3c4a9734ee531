import type { Instant } from '../../core/clock.ts';
import type { RequestFacts, SchedulingClass } from '../../core/request.ts';
import type { Resource } from '../../core/resource.ts';
import type { ClientProgram } from '../../wire/clients.ts';
import type { Dialect } from '../../wire/dialect.ts';
import type { RequestBody } from '../../wire/request-body.ts';
import type { Caller } from './caller.ts';
import type { RequestPolicy } from '../route/route.ts';

/** Who asks. */
export interface Client {
  readonly name: string;
  /** The client's own limits and budget, taken once for a request. */
  readonly resources: readonly Resource[];
  /** Whose share of memory and of the queue it takes, where that is not the client's: the address of a caller without a key. */
  readonly holder?: string;
}

export function holderOf({ name, holder }: Client): string {
  return holder ?? name;
}

/** One accepted request, decoded as far as we act on it: what `server` hands to the engine. */
export interface GatewayRequest {
  readonly id: string;
  /** What the caller speaks. */
  readonly dialect: Dialect;
  /** The path below the provider's base URL, with its query: `/chat/completions`. */
  readonly path: string;
  readonly method: string;
  readonly facts: RequestFacts;
  readonly body: RequestBody;
  readonly client: Client;
  /** What the caller is, by its `User-Agent`; null or absent: unknown. */
  readonly program?: ClientProgram | null;
  readonly priority: SchedulingClass;
  readonly receivedAt: Instant;
  readonly deadline: Instant;
  /** True if the caller named the deadline; otherwise the model's own policy may set another. */
  readonly deadlineGiven: boolean;
  /** The caller of a stream gives up if it hears nothing for longer than this, in milliseconds; null or absent: that is not known. */
  readonly keepAliveMaxMs?: number | null;
  /** False: `x-breakwater-fallback: off`, only the first tier. */
  readonly fallback: boolean;
  /** The caller's own credential as it came, for `apiKey: caller` providers; null if there was none. */
  readonly callerCredential: string | null;
  /** The header that it came in, lower case; absent: `authorization`, after `Bearer`. */
  readonly callerCredentialHeader?: string;
  /** A sub-agent or a side task of its session. */
  readonly isSide?: boolean;
  /** What its conversation is known by, to keep it at one credential; null: nothing tells. */
  readonly sessionKey: string | null;
  /** Request headers that may travel on (`openai-organization`, `traceparent`, …), lower case, in turn. */
  readonly forwardHeaders: readonly string[];
  readonly caller: Caller;
  /** What makes repeating it safe: the same key gets the same answer; null: none was given. */
  readonly idempotencyKey: string | null;
  /** `off`: neither a kept answer nor one to be kept; `refresh`: a new one, to be kept. */
  readonly cache: 'on' | 'off' | 'refresh';
  /** `x-breakwater-*` headers of the caller that mean nothing here; absent: none. */
  readonly unknownHeaders?: readonly string[];
  /**
   * Where the body refers to an earlier response: `provider/model` that made that, and the body with the conversation written out, which
   * every other target is sent.
   */
  readonly history?: { readonly previous: string; readonly maker: string; readonly body: RequestBody } | undefined;
  /** A checkpoint: awaited once it may start, before its first upstream call. What it throws ends the request. Absent: none. */
  readonly beforeSending?: () => Promise<void>;
  /** A question of our own, whose answer is not checked by another one. */
  readonly isNested?: true;
}

/** How long the caller of a stream is left without a byte, in milliseconds; null: it asked for no stream. */
export function keepAliveMsOf({ facts, keepAliveMaxMs }: GatewayRequest, { stream }: Pick<RequestPolicy, 'stream'>): number | null {
  if (!facts.stream || facts.operation === 'bytes') return null;
  return Math.min(stream.keepAlive, keepAliveMaxMs ?? Infinity);
}
