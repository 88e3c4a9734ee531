/**
 * One connection to a provider, from its opening to its end, with one call on it at a time.
 *
 * ## When a connection is used again
 * Only after a whole response whose head allows it, when the request was written out, nothing has come behind the response, and a turn of the
 * event loop has passed, in which a server that closes after its response is seen to do so. A connection whose peer has closed
 * its side, or sends something unasked, is closed at once.
 */
import type { HeaderPairs, HeadersByName } from '../core/headers.ts';
import type { Socket } from 'node:net';
import type { Instant } from '../core/clock.ts';
import type { BodyReading, HttpParser, HttpParsers, MessageStart, ParseError, ParserOwner } from './http-parser.ts';
import type { UpstreamCall, UpstreamListener, UpstreamRequest } from './transport.ts';

/** A response whose head is larger than this is an error of the provider, in bytes. */
const HEAD_BYTES_MAX = 64 * 1024;
/** Bodies up to this size are written in one string with their head, in bytes. */
const JOINED_BYTES_MAX = 8 * 1024;
/** A connection that has been idle for so long may have been closed by its server, which then resets it, in milliseconds. */
const IDLE_MIN_MS = 1000;
/** How long a connection is kept idle where its server does not say, in milliseconds: less than the servers' usual five seconds. */
const IDLE_MS = 4000;
/** And where it does: so much less than what it says, at most ten minutes. */
const HINT_MARGIN_MS = 2000;
const HINT_MAX_MS = 600_000;

/** The peer closed its side before the response was whole. */
class PeerClosed extends Error {
  readonly code = 'EOF';

  constructor() {
    super('the other side closed the connection');
  }
}

function brokenBy(message: string, code: string): Error {
  return Object.assign(new Error(message), { code });
}

/** What a connection needs to know of the pool it belongs to. */
export interface ConnectionOwner {
  readonly parsers: HttpParsers;
  now(): Instant;
  /** It may serve again. */
  onFree(connection: UpstreamConnection): void;
  onClosed(connection: UpstreamConnection): void;
  /** Its server had closed it before the request came. */
  onStale(): void;
}

/** What carries a call: a connection that is open, or one that is being opened. */
export interface Carrier {
  /** Closes it at once; the call learns nothing of it. */
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

export class UpstreamConnection implements ParserOwner, Carrier {
  readonly #owner: ConnectionOwner;
  readonly #socket: Socket;
  readonly #parser: HttpParser;
  #call: SocketCall | null = null;
  #isHead = false;
  /** The head of the current response has come. */
  #hasHead = false;
  #isReusable = false;
  /** More came than was asked for. */
  #isSpoiled = false;
  #idleMs = IDLE_MS;
  /** When its last response ended; Infinity: it has carried none. */
  #idleSince: Instant = Infinity;
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

  isExpired(now: Instant): boolean {
    return now - this.#idleSince >= this.#idleMs;
  }

  /** The buffer is used again for the next read of any connection. */
  read(bytes: Uint8Array): void {
    this.#parser.execute(bytes);
  }

  /** Sends a request; nothing else may be on its way here. */
  start(call: SocketCall, { method, body }: UpstreamRequest, text: string): void {
    this.#wasReused = this.#idleSince !== Infinity;
    this.#wasIdle = this.#wasReused && this.#owner.now() - this.#idleSince >= IDLE_MIN_MS;
    this.#isHead = method === 'HEAD';
    this.#hasHead = false;
    this.#call = call;
    call.connection = this;
    if (this.#wasReused) this.#socket.ref();
    if (call.isPaused) this.#socket.pause();
    try {
      call.listener.onSent();
    } catch (error) {
      return this.#break(error as Error, false);
    }
    if (!call.isOver) this.#write(text, body);
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

  /** Closes it at once; a call on it learns nothing of it. */
  destroy(): void {
    this.#call = null;
    this.#socket.destroy();
  }

  /** Closes it at once; a call on it fails. */
  breakOff(error: Error): void {
    this.#break(error, false);
  }

  /** Waits for its next call. */
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
    if (call === null || call.isOver) return 'stop';
    if (status === 101 || isUpgrade) {
      this.#break(brokenBy('the response changes the protocol, which was not asked for', 'HPE_UPGRADE'), false);
      return 'stop';
    }
    // Interim responses say nothing that is acted on here (RFC 9110 15.2).
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
    // An interim response is complete too.
    if (call === null || !this.#hasHead) return;
    this.#call = null;
    this.#idleSince = this.#owner.now();
    if (!this.#isReusable || this.#socket.writableLength > 0) this.#socket.destroy();
    else if (call.isPaused) this.#socket.resume();
    call.connection = null;
    if (call.isOver) return;
    call.isOver = true;
    call.listener.onEnd();
    // Whatever is sent from here on is not for this call.
  }

  onParsed(error: ParseError | null): void {
    if (error !== null) {
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
    // A response may end with its connection.
    const error = call === null ? null : this.#parser.finish();
    if (this.#call !== null)
      this.#break(error === null || error.code === 'HPE_INVALID_EOF_STATE' ? new PeerClosed() : error, this.#wasReused);
    else this.#socket.destroy();
  }

  /** `isStale`: it was used before, and its server closed it in good order. */
  #break(error: Error, isStale: boolean): void {
    const call = this.#call;
    this.#call = null;
    this.#socket.destroy();
    if (call === null) return;
    const wasStale = isStale || this.#wasIdle;
    if (wasStale && !this.#hasHead) this.#owner.onStale();
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

/** A body where none may be could be taken for the next response (RFC 9112 6.3). */
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
    // Every object has a `constructor`, which is no header.
    if (typeof before === 'string') headers[name] = [before, value];
    else headers[name] = Array.isArray(before) ? [...before, value] : value;
  }
  return headers;
}
