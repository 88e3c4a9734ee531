/**
 * One request and its response over node:http. It is on the hot path: one object per request, shared functions instead of closures, and the
 * head is sent with the first bytes in one packet.
 */
import type { HeaderPairs } from '../core/headers.ts';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { BodyReader } from './body-reader.ts';
import { hasLength, isEventStream, isLoopbackAddress, isPrintablePair } from './head-pairs.ts';
import type { Probed } from './half-closed.ts';
import { repeatedHeader } from './repeated-headers.ts';
import { CallerLeft, type BodyGate, type CallerPlace, type Exchange, type ReceivedBody } from './exchange.ts';
import { UNCOUNTED_MAX, UnreadAnswer, UNREAD_MAX_MS, type AnswerOutlet, type ByteCharge } from './unread-answer.ts';

/** Bodies up to this size are written in one string with their head, which saves a vectored write. */
const joinedBodyBytesMax = 4096;
const noBytes = new Uint8Array(0);
/** Writes are always whole events, so a comment is valid between any two. */
const probeComment = ':\n\n';

/** The part of a listener that an exchange depends on. */
export interface Winding {
  /** Every response closes its connection. */
  readonly windingDown: boolean;
  /** All callers are local: a unix socket. */
  readonly isLocal: boolean;
}

/** The exchanges on a connection with pending responses, in order. */
export const openExchanges = Symbol('open exchanges');
const ownExchange = Symbol('exchange');
export type TrackedSocket = Socket & { [openExchanges]: NodeExchange[] };
type TrackedMessage = (IncomingMessage | ServerResponse) & { [ownExchange]: NodeExchange };

export class NodeExchange implements Exchange, Probed, AnswerOutlet {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #listener: Winding;
  readonly #socket: TrackedSocket;
  #awaitsContinue: boolean;
  #status = 0;
  #added: HeaderPairs | null = null;
  #headers: HeaderPairs | null = null;
  #started = false;
  #over = false;
  #left = false;
  /** Bytes of the connection sent at the last call of `readerMoved`. */
  #takenSeen = -1;
  onLeave: (() => void) | null = null;
  #onDrain: (() => void) | null = null;
  #body: BodyReader | null = null;
  #charge: ByteCharge | null = null;
  #unread: UnreadAnswer | null = null;
  /** Ends the wait for the next chunk of a streamed body. */
  #stopPieces: ((error: Error) => void) | null = null;
  /** Why the body is incomplete; null: no error. */
  #bodyError: Error | null = null;

  constructor(request: IncomingMessage, response: ServerResponse, listener: Winding, awaitsContinue: boolean) {
    this.#request = request;
    this.#response = response;
    this.#listener = listener;
    this.#awaitsContinue = awaitsContinue;
    this.#socket = request.socket as TrackedSocket;
    this.#socket[openExchanges].push(this);
    // A write to a broken socket is reported here first, and then to `callerLeft`.
    response.on('error', ignore);
  }

  get method(): string {
    return this.#request.method ?? 'GET';
  }

  get target(): string {
    return this.#request.url ?? '/';
  }

  get place(): CallerPlace {
    return this.#listener.isLocal || isLoopbackAddress(this.#socket.remoteAddress) ? 'loopback' : 'remote';
  }

  get address(): string | null {
    return this.place === 'loopback' ? null : (this.#socket.remoteAddress ?? null);
  }

  get isHttp10(): boolean {
    return this.#request.httpVersionMajor === 1 && this.#request.httpVersionMinor === 0;
  }

  header(name: string): string | undefined {
    return this.#request.headers[name] as string | undefined;
  }

  headersLike(prefix: string): readonly string[] {
    return Object.keys(this.#request.headers).filter((name) => name.startsWith(prefix));
  }

  hasHeaderLike(prefix: string): boolean {
    for (const name in this.#request.headers) if (name.startsWith(prefix)) return true;
    return false;
  }

  repeatedHeader(): string | null {
    return repeatedHeader(this.#request);
  }

  get hasLeft(): boolean {
    return this.#left;
  }

  readBody(gate: BodyGate): Promise<ReceivedBody> {
    const { headers } = this.#request;
    const length = headers['content-length'];
    if (length === undefined && headers['transfer-encoding'] === undefined) return Promise.resolve(noBytes);
    return new Promise((resolve, reject) => {
      if (this.#left) throw new CallerLeft();
      if (this.#bodyError !== null) throw this.#bodyError;
      if (length !== undefined) gate.announce(Number(length));
      if (this.#awaitsContinue) this.#response.writeContinue();
      this.#awaitsContinue = false;
      this.#body = new BodyReader(gate, resolve, reject);
      const request = this.#request as IncomingMessage & TrackedMessage;
      request[ownExchange] = this;
      request.on('data', onBodyData);
      request.on('end', onBodyEnd);
    });
  }

  // A pending read is abandoned when the body is stopped.
  async *bodyPieces(): AsyncGenerator<Uint8Array> {
    const { headers } = this.#request;
    if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) return;
    if (this.#awaitsContinue) this.#response.writeContinue();
    this.#awaitsContinue = false;
    let isWhole = false;
    try {
      const pieces = this.#request.iterator({ destroyOnReturn: false });
      const stopped = new Promise<never>((_resolve, reject) => (this.#stopPieces = reject));
      for (;;) {
        const read = await Promise.race([pieces.next(), stopped]);
        if (read.done === true) break;
        yield read.value as Uint8Array;
      }
      isWhole = true;
    } catch (error) {
      if (error === this.#bodyError) throw error;
      throw this.#left || !this.#request.complete ? new CallerLeft() : error;
    } finally {
      this.#stopPieces = null;
      if (!isWhole) {
        // The rest is discarded, so that the sender reads the response.
        this.#bodyError ??= new Error('the body was not read to its end');
        this.#request.resume();
      }
    }
    if (!this.#request.complete) throw new CallerLeft();
  }

  stopBody(error: Error): void {
    this.#body?.fail(error);
    this.#body = null;
    this.#bodyError ??= error;
    this.#stopPieces?.(error);
  }

  /** The request is complete. */
  get isReceived(): boolean {
    return this.#request.complete;
  }

  /** Calls back when the whole response was passed to the operating system; never if it is aborted. */
  onceSent(listener: () => void): void {
    this.#response.once('finish', listener);
  }

  get socket(): TrackedSocket {
    return this.#socket;
  }

  bodyCame(chunk: Uint8Array): void {
    if (this.#body?.take(chunk) === false) this.#body = null;
  }

  bodyEnded(): void {
    this.#body?.finish();
    this.#body = null;
  }

  head(status: number, headers: HeaderPairs): void {
    this.#status = status;
    this.#headers = this.#added === null ? headers : [...headers, ...this.#added];
  }

  addHeaders(headers: HeaderPairs): void {
    this.#added = headers;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#over) return true;
    if (!this.#started) this.#start(-1);
    const isRoomy = this.#response.write(bytes);
    if (!isRoomy) this.#chargeUnread();
    else this.#unread?.set(0);
    return isRoomy;
  }

  chargeTo(charge: ByteCharge): void {
    this.#charge = charge;
  }

  #chargeUnread(): void {
    const bytes = this.#response.writableLength;
    if (this.#charge === null || bytes <= UNCOUNTED_MAX) return this.#unread?.set(0);
    if (this.#unread === null) {
      this.#unread = new UnreadAnswer(this.#charge, this);
      const response = this.#response as ServerResponse & TrackedMessage;
      response[ownExchange] = this;
      response.once('close', onAnswerOver);
    }
    this.#unread.set(bytes);
  }

  /** The response was read by the caller, or aborted. */
  answerOver(): void {
    this.#unread?.set(0);
  }

  get hasEnded(): boolean {
    return this.#over;
  }

  breakOff(): void {
    this.#socket.destroy();
  }

  probe(): boolean {
    if (this.#response.socket === null || this.#request.httpVersionMinor === 0) return false;
    // Every client must be able to parse this interim response, and may discard it (RFC 9110 15.2).
    if (!this.#started) this.#response.writeProcessing();
    else if (this.#headers?.some(isEventStream) === true) this.#response.write(probeComment);
    else return false;
    return true;
  }

  readerMoved(): boolean {
    // A response that waits for another one on its connection cannot progress.
    if (this.#response.socket === null) return true;
    const taken = this.takenBytes;
    const moved = taken !== this.#takenSeen;
    this.#takenSeen = taken;
    return moved;
  }

  get takenBytes(): number {
    // Like the timeouts of node:net, since only the queue size shows the rest of a large write.
    const { _handle: handle } = this.#socket as unknown as { _handle: { writeQueueSize?: number } | null };
    return this.#socket.bytesWritten - this.#socket.writableLength - (handle?.writeQueueSize ?? 0);
  }

  onDrain(listener: () => void): void {
    if (this.#over) {
      queueMicrotask(listener);
      return;
    }
    if (this.#onDrain === null) {
      (this.#response as ServerResponse & TrackedMessage)[ownExchange] = this;
      this.#response.once('drain', onDrain);
    }
    this.#onDrain = listener;
  }

  flushed(): void {
    // This limit must not apply to the next response; for an idle connection Node.js has set its own.
    if (this.#socket[openExchanges].length > 0) this.#socket.setTimeout(0);
  }

  end(bytes: Uint8Array = noBytes): void {
    if (this.#over) return;
    const wasStarted = this.#started;
    if (!wasStarted) this.#endWhole(bytes);
    else {
      // The head was sent before winding down began, without `connection: close`.
      if (this.#listener.windingDown) this.#response.once('finish', () => destroySoon(this.#socket));
      if (bytes.length > 0) this.#response.end(bytes);
      else this.#response.end();
    }
    this.#finish();
    if (this.#socket.writableNeedDrain || (wasStarted && this.#socket.writableLength > 0)) this.#limitFlush();
  }

  abort(): void {
    if (this.#over) return;
    this.#finish();
    // Without chunked encoding only a reset distinguishes an aborted response from a complete one (RFC 9112 6.3).
    if (this.#started && this.#request.httpVersionMinor === 0) this.#socket.resetAndDestroy();
    else if (!this.#started || this.#socket.writableNeedDrain) {
      this.#socket.destroy();
      this.answerOver();
    } else {
      this.#socket.setTimeout(UNREAD_MAX_MS);
      // Node.js passes the last write to the socket in the next tick.
      process.nextTick(destroySoon, this.#socket);
    }
  }

  callerLeft(): void {
    this.#left = true;
    this.#over = true;
    this.#body?.fail(new CallerLeft());
    this.#body = null;
    this.answerOver();
    const { onLeave } = this;
    this.onLeave = null;
    onLeave?.();
    this.wakeWriter();
  }

  /** Limits the time to flush the rest of an ended response. */
  #limitFlush(): void {
    this.#chargeUnread();
    this.#socket.setTimeout(UNREAD_MAX_MS);
    const response = this.#response as ServerResponse & TrackedMessage;
    response[ownExchange] = this;
    response.once('finish', onFlushed);
  }

  #endWhole(bytes: Uint8Array): void {
    this.#start(bytes.length);
    if (bytes.length === 0) this.#response.end();
    else if (bytes.length > joinedBodyBytesMax) this.#response.end(bytes);
    else this.#response.end(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1'), 'latin1');
  }

  /** `bodyBytes`: the length of the whole body; -1: unknown. */
  #start(bodyBytes: number): void {
    this.#started = true;
    const headers = this.#headers ?? [];
    if (bodyBytes >= 0 && !hasLength(headers) && this.#status !== 204) headers.push('content-length', String(bodyBytes));
    if (this.#listener.windingDown || this.#bodyError !== null) headers.push('connection', 'close');
    try {
      this.#response.writeHead(this.#status, headers);
    } catch {
      this.#response.writeHead(this.#status, headers.filter(isPrintablePair));
    }
  }

  #finish(): void {
    this.#over = true;
    this.wakeWriter();
    const open = this.#socket[openExchanges];
    const index = open.indexOf(this);
    if (index >= 0) open.splice(index, 1);
  }

  drained(): void {
    this.#unread?.set(0);
    this.wakeWriter();
  }

  wakeWriter(): void {
    const listener = this.#onDrain;
    this.#onDrain = null;
    listener?.();
  }
}

function onBodyData(this: IncomingMessage, chunk: Uint8Array): void {
  (this as unknown as TrackedMessage)[ownExchange].bodyCame(chunk);
}

function onBodyEnd(this: IncomingMessage): void {
  (this as unknown as TrackedMessage)[ownExchange].bodyEnded();
}

function onDrain(this: ServerResponse): void {
  (this as unknown as TrackedMessage)[ownExchange].drained();
}

function onAnswerOver(this: ServerResponse): void {
  (this as unknown as TrackedMessage)[ownExchange].answerOver();
}

function onFlushed(this: ServerResponse): void {
  (this as ServerResponse & TrackedMessage)[ownExchange].flushed();
}

function destroySoon(socket: Socket): void {
  socket.destroySoon();
}

function ignore(): void {}
