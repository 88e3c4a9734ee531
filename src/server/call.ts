import { isApiPath } from '../core/api-path.ts';
import type { HeaderPairs } from '../core/headers.ts';
import { BreakwaterError } from '../core/errors.ts';
import type { Instant } from '../core/clock.ts';
import type { RejectedEvent } from '../core/events.ts';
import type { Protocol } from '../core/request.ts';
import { refusalResponse } from '../gateway/gateway-errors.ts';
import type { Gateway, KnownClient } from '../gateway/gateway.ts';
import { requestIdHeaders } from '../pipeline/delivery/error-response.ts';
import { holderOf } from '../pipeline/request/gateway-request.ts';
import { rejectedEvent } from '../pipeline/request/received.ts';
import type { Feed } from '../telemetry/feed.ts';
import type { Timelines } from '../telemetry/timelines.ts';
import { programOf } from '../wire/clients.ts';
import { ERRORS } from '../wire/dialects.ts';
import type { DecoderGate } from './decoder-gate.ts';
import { foreignTrait } from './local-look.ts';
import { rejectedByHead } from './rejected.ts';
import type { LibraryCount } from './library-count.ts';
import type { StallWatch } from './stall-watch.ts';
import type { ByteCharge } from './unread-answer.ts';
import { CallerLeft, type Exchange } from './exchange.ts';

/** The shared state of one server. */
export interface AppState {
  readonly gateway: Gateway;
  /** Null: not recorded. */
  readonly timelines: Timelines | null;
  /** The source of `/admin/events`; null: not available. */
  readonly feed: Feed | null;
  /** The Prometheus page; null: not available. */
  readonly scrape: (() => Promise<{ readonly contentType: string; readonly body: string }>) | null;
  /** The bind address of the listener; null: in process only. */
  readonly boundHost: string | null;
  /** Marks every response as simulated. */
  readonly simulated: boolean;
  /** Reloads the config; null: no config file. */
  readonly reload: (() => Promise<void>) | null;
  readonly nextId: () => string;
  /** Supervises uploads and unread responses. */
  readonly stalls: StallWatch;
  readonly decoders: DecoderGate;
  readonly libraries: LibraryCount;
  /** New requests are refused with `shutting_down`. */
  draining: boolean;
  /** A request had signs of a proxy, so a loopback address no longer proves that a caller is local. */
  proxySeen: boolean;
}

/** The matched parts of a request target. */
export interface Place {
  /** Decoded and normalized; API paths start with one `/v1`. */
  readonly path: string;
  /** Including `?`; empty: none. */
  readonly query: string;
  /** The text that `*` of the route matched. */
  readonly rest: string;
  /** The model in an Azure-style path; absent: none. */
  readonly deployment?: string;
}

const nowhere: Place = { path: '/', query: '', rest: '' };

/** The state of one request in the routes. */
export class Call implements ByteCharge {
  readonly app: AppState;
  readonly exchange: Exchange;
  /** As in `x-request-id`. */
  readonly id: string;
  /** The dialect of its errors. */
  protocol: Protocol = 'openai';
  place: Place = nowhere;
  /** Null until authenticated. */
  client: KnownClient | null = null;
  /** The key in the request, even if none is required. */
  credential: string | null = null;
  /** The model that it is rejected for; null: none so far. */
  rejectedModel: string | null = null;
  /** The response has started, or the engine is responsible for it. */
  handedOver = false;

  constructor(app: AppState, exchange: Exchange) {
    this.app = app;
    this.exchange = exchange;
    this.id = app.nextId();
  }

  get gateway(): Gateway {
    return this.app.gateway;
  }

  /** The holder that its memory and queue usage counts for. */
  get holder(): string {
    return this.client === null ? '' : holderOf(this.client);
  }

  get stalls(): StallWatch {
    return this.app.stalls;
  }

  now(): Instant {
    return this.gateway.clock.now();
  }

  hold(bytes: number): void {
    this.gateway.holdBytes(bytes, this.holder);
  }

  release(bytes: number): void {
    this.gateway.releaseBytes(bytes, this.holder);
  }

  sendJson(status: number, value: unknown, headers: HeaderPairs = []): void {
    this.send(status, 'application/json', Buffer.from(JSON.stringify(value)), headers);
  }

  send(status: number, contentType: string, body: Uint8Array, headers: HeaderPairs = []): void {
    this.#end(status, ['content-type', contentType, ...this.#idHeaders(), ...headers], this.gateway.secrets.bytes(body));
  }

  /** Sends a static file, without masking. */
  sendAsIs(status: number, headers: HeaderPairs, body: Uint8Array): void {
    this.#end(status, ['x-request-id', this.id, ...headers], body);
  }

  /** Sends the head of a streamed response; from here on an error aborts the response. */
  beginStream(status: number, headers: HeaderPairs): void {
    this.handedOver = true;
    const simulated = this.app.simulated ? ['x-breakwater-simulated', 'true'] : [];
    this.exchange.head(status, [...headers, ...this.#idHeaders(), ...simulated]);
  }

  sendNothing(status: number, headers: HeaderPairs): void {
    this.#end(status, [...this.#idHeaders(), ...headers], undefined);
  }

  #idHeaders(): HeaderPairs {
    return requestIdHeaders(ERRORS[this.protocol], this.id);
  }

  /** Ends the call with an error. Any other than a BreakwaterError is a bug, whose details are not sent. */
  fail(error: unknown, headers: HeaderPairs = []): void {
    if (error instanceof CallerLeft || this.handedOver) {
      this.exchange.abort();
      return;
    }
    const known = error instanceof BreakwaterError ? error : this.#unexpected(error);
    this.#emitRejected(known);
    const response = refusalResponse(this.gateway.config, ERRORS[this.protocol], known, this.id, programOf(this.exchange));
    this.#end(response.status, [...response.headers, ...headers], this.gateway.secrets.bytes(response.body));
  }

  #end(status: number, headers: HeaderPairs, body: Uint8Array | undefined): void {
    if (this.app.simulated) headers.push('x-breakwater-simulated', 'true');
    this.exchange.head(status, headers);
    this.exchange.end(body);
  }

  #emitRejected(error: BreakwaterError): void {
    const { events, clock } = this.gateway;
    const path = this.place === nowhere ? (this.exchange.target.split('?', 1)[0] ?? '') : this.place.path;
    const { method } = this.exchange;
    const trace = this.gateway.tracer.idsOf(this.exchange.header('traceparent'));
    const head = { method, path, protocol: this.protocol, trace, ...this.#callerOf(error) };
    const model = this.rejectedModel;
    const hadModel = error.code === 'model_not_found' && model !== null && this.gateway.former.hadModel(model);
    events.emit(rejectedEvent(this.id, clock.now(), error, { ...rejectedByHead(head, model), ...(hadModel && { hadModel }) }));
  }

  #callerOf({ code }: BreakwaterError): Pick<RejectedEvent, 'client' | 'keyState'> {
    if (this.client !== null) return { client: this.client.name };
    const isLockedOut = isApiPath(this.place.path) && (code === 'invalid_api_key' || code === 'not_local');
    const client = isLockedOut ? this.gateway.former.clientOf(this.credential, foreignTrait(this.exchange) === null) : null;
    if (client !== null) return { client, keyState: 'former' };
    return { client, ...(this.credential !== null && { keyState: 'unknown' }) };
  }

  #unexpected(error: unknown): BreakwaterError {
    const { clock, events } = this.gateway;
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    events.emit({ type: 'warning', at: clock.now(), message: `internal error in request ${this.id}`, detail });
    return new BreakwaterError('internal_error', 'internal error in Breakwater; see its log');
  }
}
