/**
 * One connection to a provider, from its opening to its end, with one call on it at a time.
 *
 * ## When a connection is reused
 * After a complete response whose head allows it, if the request was fully written, no bytes follow the response, and a turn of the
 * event loop has passed, in which a close by the server is noticed. A connection whose peer has closed its side, or sends
 * unexpected bytes, is closed at once.
 */
import type { HeaderPairs, HeadersByName } from '../core/headers.ts';
import type { Socket } from 'node:net';
import type { Instant } from '../core/clock.ts';
import type { BodyReading, HttpParser, HttpParsers, MessageStart, ParseError, ParserOwner } from './http-parser.ts';
import { atTurnEnd, type TurnWriter } from './turn-end.ts';
import type { UpstreamCall, UpstreamListener, UpstreamRequest } from './transport.ts';

/** Maximum size of a response head, in bytes; a larger one is an error of the provider. */
const HEAD_BYTES_MAX = 64 * 1024;
/** Bodies up to this size are written together with their head, in bytes. */
const JOINED_BYTES_MAX = 8 * 1024;
/** A connection that was idle for at least this long may be reset by its server, in milliseconds. */
const IDLE_MIN_MS = 1000;
/** Default keep-alive of an idle connection, in milliseconds: less than the servers' usual five seconds. */
const IDLE_MS = 4000;
/** With a `keep-alive` header: its timeout less this margin, at most ten minutes. */
const HINT_MARGIN_MS = 2000;
const HINT_MAX_MS = 600_000;
/** A connection that breaks later than this after its request is not one that was closed while idle, in milliseconds. */
const STALE_MS = 500;

/** The peer closed its side before the response was complete. */
class PeerClosed extends Error {
  readonly code = 'EOF';

  constructor() {
    super('the other side closed the connection');
  }
}

function brokenBy(message: string, code: string): Error {
  return Object.assign(new Error(message), { code });
}

/** A request that has not been written yet. */
export interface Waiting {
  readonly call: SocketCall;
  readonly request: UpstreamRequest;
  /** Its head. */
  readonly text: string;
}

/** The pool of a connection. */
export interface ConnectionOwner {
  readonly parsers: HttpParsers;
  now(): Instant;
  /** The connection can be reused. */
  onFree(connection: UpstreamConnection): void;
  onClosed(connection: UpstreamConnection): void;
  /** The server had closed the connection before the request arrived. */
  onStale(): void;
  /** The server closed the connection, or sent unexpected bytes, before the request was written: it needs another connection. */
  onUnsent(waiting: Waiting): void;
}

/** The connection of a call, open or being opened. */
export interface Carrier {
  /** Closes it at once; no callback follows. */
  destroy(): void;
  setPaused(paused: boolean): void;
}

export class SocketCall implements UpstreamCall {
  readonly listener: UpstreamListener;
  connection: Carrier | null = null;
  isOver = false;
  isPaused = false;

  constructor(listener: UpstreamListener) {
    this.listener = listener;
  }

  abort(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.connection?.destroy();
  }

  pause(): void {
    this.isPaused = true;
    this.connection?.setPaused(true);
  }

  resume(): void {
    this.isPaused = false;
    this.connection?.setPaused(false);
  }

  fail(error: Error, isStale: boolean): void {
    if (this.isOver) return;
    this.isOver = true;
    this.listener.onError(error, isStale);
  }
}

export class UpstreamConnection implements ParserOwner, Carrier, TurnWriter {
  readonly #owner: ConnectionOwner;
  readonly #socket: Socket;
  readonly #parser: HttpParser;
  #call: SocketCall | null = null;
  /** The request, until the end of the turn. */
  #unsent: Waiting | null = null;
  #isHead = false;
  /** The head of the current response has arrived. */
  #hasHead = false;
  #isReusable = false;
  /** Unexpected bytes arrived. */
  #isSpoiled = false;
  #idleMs = IDLE_MS;
  /** When its last response ended; Infinity: none yet. */
  #idleSince: Instant = Infinity;
  /** Of the current call, if the connection was used before. */
  #startedAt: Instant = 0;
  #wasReused = false;
  #wasIdle = false;
  #hasIdleTimer = false;

  /** `socket`: open, TLS included. */
  constructor(owner: ConnectionOwner, socket: Socket) {
    this.#owner = owner;
    this.#socket = socket;
    this.#parser = owner.parsers.create('response', HEAD_BYTES_MAX, this);
    socket.on('error', (error) => this.#break(error, false));
    socket.on('end', () => this.#peerClosed());
    socket.on('timeout', () => this.#onTimeout());
    socket.on('close', () => {
      this.#parser.close();
      this.#break(brokenBy('the connection was closed', 'ECONNRESET'), false);
      owner.onClosed(this);
    });
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed && !this.#isSpoiled;
  }

  /** Everything was passed to the operating system. A TLS socket reports that at the end of a turn, possibly after the response has arrived. */
  get isWritten(): boolean {
    return this.#socket.writableLength === 0;
  }

  isExpired(now: Instant): boolean {
    return now - this.#idleSince >= this.#idleMs;
  }

  /** The buffer is shared by all connections and overwritten by the next read. */
  read(bytes: Uint8Array): void {
    this.#parser.execute(bytes);
  }

  /** Sends a request at the end of this turn of the event loop; no other call may be running on this connection. */
  start(waiting: Waiting): void {
    const { call, request } = waiting;
    this.#wasReused = this.#idleSince !== Infinity;
    if (this.#wasReused) this.#startedAt = this.#owner.now();
    this.#wasIdle = this.#wasReused && this.#startedAt - this.#idleSince >= IDLE_MIN_MS;
    this.#isHead = request.method === 'HEAD';
    this.#hasHead = false;
    this.#call = call;
    call.connection = this;
    if (this.#wasReused) this.#socket.ref();
    if (call.isPaused) this.#socket.pause();
    this.#unsent = waiting;
    atTurnEnd(this);
  }

  onTurnEnd(): void {
    const call = this.#call;
    const unsent = this.#unsent;
    this.#unsent = null;
    if (unsent === null || call === null || call.isOver) return;
    try {
      call.listener.onSent();
    } catch (error) {
      return this.#break(error as Error, false);
    }
    if (!call.isOver) this.#write(unsent.text, unsent.request.body);
  }

  #write(text: string, body: UpstreamRequest['body']): void {
    const socket = this.#socket;
    if (body === null) return void socket.write(text, 'latin1');
    if (body instanceof Uint8Array && body.byteLength <= JOINED_BYTES_MAX) {
      const { buffer, byteOffset, byteLength } = body;
      socket.write(text + Buffer.from(buffer, byteOffset, byteLength).toString('latin1'), 'latin1');
      return;
    }
    socket.cork();
    socket.write(text, 'latin1');
    for (const piece of body instanceof Uint8Array ? [body] : body) socket.write(piece);
    socket.uncork();
  }

  setPaused(paused: boolean): void {
    if (paused) this.#socket.pause();
    else this.#socket.resume();
  }

  /** Closes it at once; no callback of its call follows. */
  destroy(): void {
    this.#call = null;
    this.#socket.destroy();
  }

  /** Closes it at once; a call on it fails. */
  breakOff(error: Error): void {
    this.#unsent = null;
    this.#break(error, false);
  }

  /** Becomes idle. */
  rest(): void {
    this.#socket.unref();
    if (this.#hasIdleTimer) return;
    this.#hasIdleTimer = true;
    this.#socket.setTimeout(this.#idleMs);
  }

  onMessageBegin(): void {
    if (this.#call === null) this.#isSpoiled = true;
  }

  onHead({ status, keepsAlive, isUpgrade }: MessageStart, pairs: string[]): BodyReading {
    const call = this.#call;
    if (call === null || call.isOver || this.#unsent !== null) return 'stop';
    if (status === 101 || isUpgrade) {
      this.#break(brokenBy('the response changes the protocol, which was not requested', 'HPE_UPGRADE'), false);
      return 'stop';
    }
    // Interim responses are ignored (RFC 9110 15.2).
    if (status < 200) return 'none';
    this.#hasHead = true;
    const headers = headersOf(pairs);
    this.#isReusable = keepsAlive && !hasDoubtfulEnd(status, headers);
    this.#takeHint(headers['keep-alive']);
    try {
      call.listener.onHeaders(status, headers);
    } catch (error) {
      this.#break(error as Error, false);
    }
    return this.#isHead ? 'none' : 'normal';
  }

  onBody(bytes: Buffer): void {
    const call = this.#call;
    if (call === null || call.isOver) return;
    try {
      call.listener.onData(bytes);
    } catch (error) {
      this.#break(error as Error, false);
    }
  }

  onMessageComplete(): void {
    const call = this.#call;
    // Interim responses complete too.
    if (call === null || !this.#hasHead) return;
    this.#call = null;
    this.#idleSince = this.#owner.now();
    if (!this.#isReusable) this.#socket.destroy();
    else if (call.isPaused) this.#socket.resume();
    call.connection = null;
    if (call.isOver) return;
    call.isOver = true;
    call.listener.onEnd();
    // Later bytes do not belong to this call.
  }

  onParsed(error: ParseError | null): void {
    if (this.#unsent !== null) this.#break(brokenBy('a response came before the request', 'HPE_UNEXPECTED'), false);
    else if (error !== null) {
      this.#isSpoiled = true;
      this.#break(error, false);
    } else if (this.#call === null && !this.#socket.destroyed) {
      if (this.#isSpoiled) this.#socket.destroy();
      else if (this.#hasHead) this.#owner.onFree(this);
      this.#hasHead = false;
    }
  }

  #peerClosed(): void {
    const call = this.#call;
    // The close may delimit the response.
    const error = call === null ? null : this.#parser.finish();
    if (this.#call !== null)
      this.#break(error === null || error.code === 'HPE_INVALID_EOF_STATE' ? new PeerClosed() : error, this.#wasReused);
    else this.#socket.destroy();
  }

  /** `isStale`: the connection was used before, and its server closed it cleanly. */
  #break(error: Error, isStale: boolean): void {
    const call = this.#call;
    const unsent = this.#unsent;
    this.#call = null;
    this.#unsent = null;
    this.#socket.destroy();
    if (call === null || call.isOver) return;
    if (unsent !== null && this.#wasReused) return this.#owner.onUnsent(unsent);
    const wasStale = isStale || this.#wasIdle;
    if (wasStale && !this.#hasHead && this.#owner.now() - this.#startedAt < STALE_MS) this.#owner.onStale();
    call.fail(error, wasStale);
  }

  #onTimeout(): void {
    this.#hasIdleTimer = false;
    if (this.#call !== null) return;
    if (this.isExpired(this.#owner.now())) this.#socket.destroy();
    else this.rest();
  }

  #takeHint(hint: string | string[] | undefined): void {
    const seconds = hint === undefined ? undefined : /timeout=\s*(\d+)/i.exec(String(hint))?.[1];
    this.#idleMs = seconds === undefined ? IDLE_MS : Math.min(Number(seconds) * 1000 - HINT_MARGIN_MS, HINT_MAX_MS);
    if (this.#idleMs <= 0) this.#isReusable = false;
  }
}

/** A body where none is permitted could be parsed as the next response (RFC 9112 6.3). */
function hasDoubtfulEnd(status: number, headers: HeadersByName): boolean {
  if (status !== 204 && status !== 304) return false;
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function headersOf(pairs: Readonly<HeaderPairs>): HeadersByName {
  const headers: Record<string, string | string[]> = {};
  for (let i = 0; i < pairs.length; i += 2) {
    const name = pairs[i]!.toLowerCase();
    const value = pairs[i + 1]!;
    const before = headers[name];
    // The inherited `constructor` is not a header.
    if (typeof before === 'string') headers[name] = [before, value];
    else if (Array.isArray(before)) before.push(value);
    else headers[name] = value;
  }
  return headers;
}
