import type { HeaderPairs } from '../core/headers.ts';
import { BreakwaterError } from '../core/errors.ts';
import type { Instant } from '../core/clock.ts';
import type { Protocol } from '../core/request.ts';
import type { Gateway, KnownClient } from '../gateway/gateway.ts';
import { errorResponse, requestIdHeaders } from '../pipeline/delivery/error-response.ts';
import { holderOf } from '../pipeline/request/gateway-request.ts';
import { rejectedEvent } from '../pipeline/request/received.ts';
import type { Feed } from '../telemetry/feed.ts';
import type { Timelines } from '../telemetry/timelines.ts';
import { programOf } from '../wire/clients.ts';
import { ERRORS } from '../wire/dialects.ts';
import type { DecoderGate } from './decoder-gate.ts';
import { rejectedByHead } from './rejected.ts';
import type { LibraryCount } from './library-count.ts';
import type { StallWatch } from './stall-watch.ts';
import type { ByteCharge } from './unread-answer.ts';
import { CallerLeft, type Exchange } from './exchange.ts';

/** What all requests to one server share. */
export interface AppState {
  readonly gateway: Gateway;
  /** Null: none are kept. */
  readonly timelines: Timelines | null;
  /** What `/admin/events` sends; null: nothing is kept. */
  readonly feed: Feed | null;
  /** The Prometheus page; null: no metrics are kept. */
  readonly scrape: (() => Promise<{ readonly contentType: string; readonly body: string }>) | null;
  /** The address that the listener is bound to; null: in process only. */
  readonly boundHost: string | null;
  /** Every answer says that it is simulated. */
  readonly simulated: boolean;
  /** Reads the config again; null where there is none to read. */
  readonly reload: (() => Promise<void>) | null;
  readonly nextId: () => string;
  /** Bodies on their way, and answers that are not read. */
  readonly stalls: StallWatch;
  readonly decoders: DecoderGate;
  readonly libraries: LibraryCount;
  /** From now on new work is refused with `shutting_down`. */
  draining: boolean;
  /** A request with a mark of a proxy has come: from now on a loopback address proves nothing about the caller. */
  proxySeen: boolean;
}

/** What was matched of a request's target. */
export interface Place {
  /** Decoded and normal; API paths begin with one `/v1`. */
  readonly path: string;
  /** With its `?`; empty: none. */
  readonly query: string;
  /** What stands where the route's path has its `*`. */
  readonly rest: string;
}

const nowhere: Place = { path: '/', query: '', rest: '' };

/** One request on its way through the routes. */
export class Call implements ByteCharge {
  readonly app: AppState;
  readonly exchange: Exchange;
  /** As in `x-request-id`. */
  readonly id: string;
  /** The dialect of its errors. */
  protocol: Protocol = 'openai';
  place: Place = nowhere;
  /** Who asks, once it is known. */
  client: KnownClient | null = null;
  /** The key that was presented, whether one is asked for or not. */
  credential: string | null = null;
  /** The engine has taken over and ends the exchange. */
  handedOver = false;

  constructor(app: AppState, exchange: Exchange) {
    this.app = app;
    this.exchange = exchange;
    this.id = app.nextId();
  }

  get gateway(): Gateway {
    return this.app.gateway;
  }

  /** Whose share of memory and of the queue it takes. */
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

  /** A file of our own: nothing in it is masked. */
  sendAsIs(status: number, headers: HeaderPairs, body: Uint8Array): void {
    this.#end(status, ['x-request-id', this.id, ...headers], body);
  }

  /** The head of a response whose body follows as it comes; from here on an error breaks it off. */
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

  /** Ends the call with an error; what is not an error of ours is a bug, of which the caller is told nothing. */
  fail(error: unknown, headers: HeaderPairs = []): void {
    if (error instanceof CallerLeft || this.handedOver) {
      this.exchange.abort();
      return;
    }
    const known = error instanceof BreakwaterError ? error : this.#unexpected(error);
    this.#tellRejected(known);
    const answer = errorResponse(ERRORS[this.protocol], known, this.id, programOf(this.exchange));
    this.#end(answer.status, [...answer.headers, ...headers], this.gateway.secrets.bytes(answer.body));
  }

  #end(status: number, headers: HeaderPairs, body: Uint8Array | undefined): void {
    if (this.app.simulated) headers.push('x-breakwater-simulated', 'true');
    this.exchange.head(status, headers);
    this.exchange.end(body);
  }

  #tellRejected(error: BreakwaterError): void {
    const { events, clock } = this.gateway;
    const path = this.place === nowhere ? (this.exchange.target.split('?', 1)[0] ?? '') : this.place.path;
    const { method } = this.exchange;
    const head = { method, path, protocol: this.protocol, client: this.client?.name ?? null };
    events.emit(rejectedEvent(this.id, clock.now(), error, rejectedByHead(head)));
  }

  #unexpected(error: unknown): BreakwaterError {
    const { clock, events } = this.gateway;
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    events.emit({ type: 'warning', at: clock.now(), message: `internal error in request ${this.id}`, detail });
    return new BreakwaterError('internal_error', 'internal error in Breakwater; see its log');
  }
}
