import type { Instant } from '../../core/clock.ts';
import type { MoneyBudget } from '../../policy/budget/money-budget.ts';
import type { SessionLimits } from '../../policy/budget/session-limits.ts';
import type { TokenUsage } from '../../core/facts.ts';
import type { RequestFacts, SchedulingClass } from '../../core/request.ts';
import type { RequestTrace } from '../../core/request-trace.ts';
import type { Resource } from '../../core/resource.ts';
import type { ClientProgram } from '../../wire/clients.ts';
import type { Dialect } from '../../wire/dialect.ts';
import type { RequestBody } from '../../wire/request-body.ts';
import type { Caller } from './caller.ts';
import type { RequestPolicy, RouteTarget } from '../route/route.ts';
import type { Transport } from '../../transport/transport.ts';

/** The authenticated client of a request. */
export interface Client {
  readonly name: string;
  /** The client's own limits and budget, charged once per request. */
  readonly resources: readonly Resource[];
  /** One of `resources`; absent: none. */
  readonly budget?: MoneyBudget;
  /** Absent: its sessions have no limits. */
  readonly sessions?: SessionLimits;
  /** The target for requests that the budget has no room for, `provider/model`; absent: they are refused. */
  readonly overBudget?: string;
  /** The owner that memory and queue shares are accounted to, if not the client: the address of a caller without a key. */
  readonly holder?: string;
}

export function holderOf({ name, holder }: Client): string {
  return holder ?? name;
}

/**
 * A response that a provider has made in a batch of its own: the first attempt reads it, and needs no permit. If it is of no use, the request
 * goes on at the other targets.
 */
export interface DeliveredResponse {
  /** What made it; not among the targets of the route, whose state it does not touch. */
  readonly target: RouteTarget;
  /** Delivers it, instead of the network. */
  readonly transport: Transport;
}

/** One accepted request, decoded as far as the pipeline needs: what `server` passes to the engine. */
export interface GatewayRequest {
  readonly id: string;
  /** The dialect of the caller. */
  readonly dialect: Dialect;
  /** The path below the provider's base URL, with its query: `/chat/completions`. */
  readonly path: string;
  readonly method: string;
  readonly facts: RequestFacts;
  readonly body: RequestBody;
  readonly client: Client;
  /** The calling program, by its `User-Agent`; null or absent: unknown. */
  readonly program?: ClientProgram | null;
  readonly priority: SchedulingClass;
  readonly receivedAt: Instant;
  readonly deadline: Instant;
  /** True if the caller set the deadline; otherwise the model's policy may set another. */
  readonly deadlineGiven: boolean;
  /** The longest silence in milliseconds that the caller of a stream tolerates; null or absent: unknown. */
  readonly keepAliveMaxMs?: number | null;
  /** False: `x-breakwater-fallback: off`, only the first tier. */
  readonly fallback: boolean;
  /** The caller's own credential as received, for `apiKey: caller` providers; null if there was none. */
  readonly callerCredential: string | null;
  /** The header it was received in, lower case; absent: `authorization`, after `Bearer`. */
  readonly callerCredentialHeader?: string;
  /** True for a sub-agent or a side task of its session. */
  readonly isSide?: boolean;
  /** Identifies the conversation, to keep it on one credential; null: unknown. */
  readonly sessionKey: string | null;
  /** Request headers that may be forwarded (`openai-organization`, `traceparent`, …): lower-case names alternating with values. */
  readonly forwardHeaders: readonly string[];
  readonly caller: Caller;
  /** The trace that it belongs to; absent: traces are off. */
  readonly trace?: RequestTrace;
  /** A repeat under the same key gets the same response; null: none was given. */
  readonly idempotencyKey: string | null;
  /** `off`: neither reads nor fills the cache; `refresh`: only fills it. */
  readonly cache: 'on' | 'off' | 'refresh';
  /** Unknown `x-breakwater-*` headers of the caller; absent: none. */
  readonly unknownHeaders?: readonly string[];
  /**
   * Present where the body refers to an earlier response: the `provider/model` that made it, and the body with the conversation written
   * out, which every other target is sent.
   */
  readonly history?: { readonly previous: string; readonly maker: string; readonly body: RequestBody } | undefined;
  /** A checkpoint, awaited before the first upstream call. An error it throws ends the request. Absent: none. */
  readonly beforeSending?: () => Promise<void>;
  /** Absent: the provider has not processed it yet. */
  readonly delivered?: DeliveredResponse;
  /** Called once, at its end. */
  readonly onSpent?: (spent: Spent) => void;
  /** Made by Breakwater itself; its response is not checked by another model. */
  readonly isNested?: true;
}

/** What a request has cost, its questions to quality judges included. */
export interface Spent {
  /** Known and estimated usage; null: neither. */
  readonly usage: TokenUsage | null;
  /** The known cost in US dollars; null: none is known, or a call has no price. */
  readonly costUsd: number | null;
  /** Known and estimated cost in US dollars; calls without a price count nothing. */
  readonly chargedUsd: number;
}

/** The longest time in milliseconds that the caller of a stream gets no byte; null: not a stream. */
export function keepAliveMsOf({ facts, keepAliveMaxMs }: GatewayRequest, { stream }: Pick<RequestPolicy, 'stream'>): number | null {
  if (!facts.stream || facts.operation === 'bytes') return null;
  return Math.min(stream.keepAlive, keepAliveMaxMs ?? Infinity);
}
