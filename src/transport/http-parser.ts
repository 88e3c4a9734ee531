/**
 * Node's HTTP parser (llhttp), used on bare sockets.
 *
 * ## Why an internal module
 * node:http and undici spend more time on objects, streams and events per message than the parser does on its bytes
 * (docs/decisions/021). A parser of our own would lack the review that llhttp has had; a second copy of llhttp from a package would need
 * patches of its own, while Node's is patched with Node. It is reachable only as `_http_common`, which Node may change in any
 * release. So only this file uses it, and `loadHttpParser` runs a self-test first: if that fails, callers use node:http and undici, which
 * are slower and equivalent.
 */
import type { HeaderPairs } from '../core/headers.ts';
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import { readings, STRICT, type Binding, type BindingClass, type BodyReading } from './http-parser-binding.ts';
import { methodNames, passesTrial } from './http-parser-trial.ts';

export type { BodyReading } from './http-parser-binding.ts';

/** Callbacks of one parser. They run in the middle of a read: the parser must not use what is closed here. */
export interface ParserOwner {
  onMessageBegin(): void;
  /** Headers as sent. `start.method` is null for responses. Returns how to read the body. */
  onHead(start: MessageStart, headers: HeaderPairs): BodyReading;
  /** A copy, valid after the call. */
  onBody(bytes: Buffer): void;
  onMessageComplete(): void;
  /** All bytes of one read have been parsed; an Error: they are invalid, and parsing has stopped. */
  onParsed(error: ParseError | null): void;
}

export interface MessageStart {
  /** `1.1` */
  readonly version: string;
  readonly method: string | null;
  readonly url: string;
  readonly status: number;
  /** It requests, or confirms, a change of protocol. */
  readonly isUpgrade: boolean;
  readonly keepsAlive: boolean;
}

export type ParseError = Error & { readonly code: string };

export interface HttpParser {
  /** Reads from this socket from now on, bypassing its events. Ticks and microtasks run between two parts of a body. */
  attach(socket: Socket): void;
  /** Parses bytes that were read elsewhere, synchronously. */
  execute(bytes: Uint8Array): void;
  /** The peer has closed its side. Returns an error if that was in the middle of a message. */
  finish(): ParseError | null;
  /** Pauses the attached socket until `resume`; bytes that were read already are still parsed. */
  pause(): void;
  resume(): void;
  /**
   * Frees the 10 KB of the parser until more bytes arrive. Only between two messages, and not in the middle of a read. The next message is
   * parsed even if the last one said that it closes the connection.
   */
  rest(): void;
  /** Frees the parser. Only in the `close` event of its socket: it must not be freed in the middle of a read. */
  close(): void;
}

export interface HttpParsers {
  /** A parser for one connection. `headBytesMax`: a larger head is rejected. */
  create(kind: 'request' | 'response', headBytesMax: number, owner: ParserOwner): HttpParser;
}

interface Handle {
  readonly isStreamBase?: boolean;
  reading?: boolean;
  readStart(): void;
  readStop(): void;
}

type InnerSocket = Socket & { readonly _handle: Handle | null; _unrefTimer?(): void };

let loaded: HttpParsers | null | undefined;

/** Null: the self-test failed with this version of Node. */
export function loadHttpParser(): HttpParsers | null {
  if (loaded === undefined) loaded = tryLoad();
  return loaded;
}

function tryLoad(): HttpParsers | null {
  try {
    // Its list of methods is that of node:http, which would load 18 MB more.
    const { HTTPParser, methods } = createRequire(import.meta.url)('_http_common') as { HTTPParser: BindingClass; methods: string[] };
    return passesTrial(HTTPParser) ? createParsers(HTTPParser, methodNames(HTTPParser, methods)) : null;
  } catch {
    return null;
  }
}

function createParsers(bindingClass: BindingClass, methods: readonly string[]): HttpParsers {
  const Parser = parserClass(bindingClass);
  installCallbacks(Parser.prototype, bindingClass, methods);
  const types = { request: bindingClass.REQUEST, response: bindingClass.RESPONSE };
  return {
    create: (kind, headBytesMax, owner) =>
      new AttachedParser(() => {
        const inner = new Parser(owner);
        inner.initialize(types[kind], {}, headBytesMax, STRICT);
        return inner;
      }),
  };
}

function parserClass(bindingClass: BindingClass): new (owner: ParserOwner) => Inner {
  /** The binding calls its callbacks as methods, so they need no closures. */
  return class Parser extends bindingClass implements Inner {
    readonly owner: ParserOwner;
    socket: InnerSocket | null = null;
    /** Headers of a head that exceeds one callback of the binding, and trailers. */
    collected: string[] = [];
    collectedUrl = '';
    offersUpgrade = false;

    constructor(owner: ParserOwner) {
      super();
      this.owner = owner;
    }

    /** After each read. `bytes`: the bytes that were read; null: the binding has consumed them. */
    settle(outcome: number | Error | undefined, bytes: Uint8Array | null): void {
      const end = this.offersUpgrade && typeof outcome === 'number' ? this.#readOn(bytes ?? this.getCurrentBuffer(), outcome) : outcome;
      this.owner.onParsed(end instanceof Error ? (end as ParseError) : null);
    }

    /**
     * The binding stops after a message that offers another protocol, and reports no error until the next head; only the number of parsed
     * bytes shows one.
     */
    #readOn(bytes: Uint8Array, parsed: number): number | Error | undefined {
      let rest = bytes;
      let outcome: number | Error | undefined = parsed;
      while (outcome !== rest.length) {
        if (typeof outcome !== 'number') return outcome;
        if (!this.offersUpgrade || outcome <= 0 || outcome > rest.length) {
          return Object.assign(new Error('the data after a protocol upgrade is invalid'), { code: 'HPE_INVALID_UPGRADE' });
        }
        rest = rest.subarray(outcome);
        this.offersUpgrade = false;
        outcome = this.execute(rest);
      }
      return outcome;
    }
  };
}

function installCallbacks(prototype: Record<number, unknown>, bindingClass: BindingClass, methods: readonly string[]): void {
  const { kOnMessageBegin, kOnHeaders, kOnHeadersComplete, kOnBody, kOnMessageComplete, kOnExecute } = bindingClass;

  prototype[kOnMessageBegin] = function (this: Inner): void {
    this.owner.onMessageBegin();
  };
  prototype[kOnHeaders] = function (this: Inner, headers: HeaderPairs, url: string): void {
    for (const part of headers) this.collected.push(part);
    this.collectedUrl += url;
  };
  prototype[kOnHeadersComplete] = function (
    this: Inner,
    major: number,
    minor: number,
    headers: HeaderPairs | undefined,
    method: number | undefined,
    url: string | undefined,
    status: number | undefined,
    _statusText: string | undefined,
    isUpgrade: boolean,
    keepsAlive: boolean,
  ): number {
    const start: MessageStart = {
      version: major === 1 && minor === 1 ? '1.1' : `${major}.${minor}`,
      method: method === undefined ? null : (methods[method] ?? ''),
      url: url ?? this.collectedUrl,
      status: status ?? 0,
      isUpgrade,
      keepsAlive,
    };
    const all = headers ?? this.collected;
    this.collected = [];
    this.collectedUrl = '';
    const reading = this.owner.onHead(start, all);
    this.offersUpgrade = isUpgrade && reading === 'normal';
    return readings[reading];
  };
  prototype[kOnBody] = function (this: Inner, bytes: Buffer): void {
    this.owner.onBody(bytes);
  };
  prototype[kOnMessageComplete] = function (this: Inner): void {
    // Trailers are ignored.
    this.collected = [];
    this.collectedUrl = '';
    this.owner.onMessageComplete();
  };
  prototype[kOnExecute] = function (this: Inner, result: number | Error): void {
    // The socket does not see the bytes and would count the connection as idle.
    this.socket?._unrefTimer?.();
    this.settle(result, null);
  };
}

/** The parser object that the binding calls back. */
interface Inner extends Binding {
  collected: string[];
  collectedUrl: string;
  offersUpgrade: boolean;
  settle(outcome: number | Error | undefined, bytes: Uint8Array | null): void;
  readonly owner: ParserOwner;
  socket: InnerSocket | null;
}

class AttachedParser implements HttpParser {
  readonly #create: () => Inner;
  /** Null: closed, or at rest. */
  #inner: Inner | null;
  #socket: InnerSocket | null = null;
  #handle: Handle | null = null;
  #isConsuming = false;
  #isClosed = false;
  #hasRested = false;

  constructor(create: () => Inner) {
    this.#create = create;
    this.#inner = create();
  }

  attach(socket: Socket): void {
    this.#socket = socket as InnerSocket;
    this.#handle = this.#socket._handle;
    if (this.#handle?.isStreamBase === true) {
      this.#consume(this.#inner!, this.#handle);
      this.resume();
    } else this.#listen(socket);
  }

  #consume(inner: Inner, handle: Handle): void {
    inner.socket = this.#socket;
    this.#isConsuming = true;
    inner.consume(handle);
  }

  #listen(socket: Socket): void {
    socket.on('data', (bytes: Buffer) => this.execute(bytes));
  }

  execute(bytes: Uint8Array): void {
    if (this.#isClosed) return;
    const inner = this.#inner ?? this.#wake();
    inner.settle(inner.execute(bytes), bytes);
  }

  finish(): ParseError | null {
    const result = this.#inner?.finish();
    return result instanceof Error ? (result as ParseError) : null;
  }

  pause(): void {
    // A socket that is not paused starts reading when it connects.
    this.#socket?.pause();
    if (!this.#isConsuming || this.#handle?.reading !== true) return;
    this.#handle.reading = false;
    this.#handle.readStop();
  }

  resume(): void {
    if (!this.#isConsuming) return void this.#socket?.resume();
    // A destroyed socket has no handle any more.
    if (this.#socket?._handle == null || this.#handle === null || this.#handle.reading === true) return;
    this.#handle.reading = true;
    this.#handle.readStart();
  }

  rest(): void {
    const socket = this.#socket;
    if (this.#inner === null || socket?._handle == null || this.#handle?.reading === false) return;
    const wasConsuming = this.#isConsuming;
    this.#free();
    if (!wasConsuming) return;
    // The socket reads the next bytes.
    if (!this.#hasRested) this.#listen(socket);
    this.#hasRested = true;
    socket.resume();
  }

  #wake(): Inner {
    // Node then counts a read as pending, and does not undo a pause that the owner makes during this read.
    this.#socket?.read(0);
    const inner = this.#create();
    this.#inner = inner;
    if (this.#hasRested && this.#handle !== null && this.#socket?._handle === this.#handle) this.#consume(inner, this.#handle);
    return inner;
  }

  close(): void {
    this.#isClosed = true;
    this.#free();
    this.#handle = null;
    this.#socket = null;
  }

  #free(): void {
    const inner = this.#inner;
    if (inner === null) return;
    this.#inner = null;
    if (this.#isConsuming) inner.unconsume();
    this.#isConsuming = false;
    inner.socket = null;
    inner.close();
  }
}
