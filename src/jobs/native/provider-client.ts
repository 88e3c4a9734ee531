/** Calls to the batch API of a provider: few, small except for files, and without the limits of its other calls. */
import type { Clock, Timer } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import { firstValue, type HeadersByName } from '../../core/headers.ts';
import type { TargetState } from '../../pipeline/route/route.ts';
import type { Transport, UpstreamCall, UpstreamRequest } from '../../transport/transport.ts';
import { readErrorBody } from '../../wire/error-shape.ts';
import { parseRecord } from '../../wire/json-exact.ts';
import { retryAfterFromHeaders } from '../../wire/retry-hints.ts';
import { LineReader } from '../openai/line-reader.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** Without a byte of the response, in milliseconds: an upload takes a while to be read. */
const SILENCE_MAX_MS = 120_000;
/** The largest response that is read as a whole, in bytes. */
const BODY_MAX = 4 * 1024 * 1024;
/** One line of results, in bytes. */
const LINE_MAX = 64 * 1024 * 1024;
/** Of a provider's error message, in characters. */
const MESSAGE_MAX = 300;
/** Bytes of a file of results that are held before its reading is paused. */
const HELD_MAX = 1024 * 1024;

export interface ProviderReply {
  /** 0: there was no complete response. */
  readonly status: number;
  /** Parsed; null: it was no JSON object. */
  readonly json: Readonly<Record<string, unknown>> | null;
  /** The fault, or the provider's error message. */
  readonly message: string;
  /** The wait that the provider asks for; null: none. */
  readonly retryAfterMs: number | null;
}

export interface ProviderCall {
  readonly method: string;
  /** Below the version. */
  readonly path: string;
  readonly body?: UpstreamRequest['body'];
  /** Names alternating with values, beside those of the target. */
  readonly headers?: readonly string[];
}

export class ProviderClient {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #state: TargetState;
  readonly #closing: AbortSignal;

  /** `closing` aborts running calls. */
  constructor(transport: Transport, clock: Clock, state: TargetState, closing: AbortSignal) {
    this.#transport = transport;
    this.#clock = clock;
    this.#state = state;
    this.#closing = closing;
  }

  /** Never rejects. */
  async call(call: ProviderCall): Promise<ProviderReply> {
    try {
      const running = this.#start(call);
      const chunks: Uint8Array[] = [];
      let bytes = 0;
      for await (const chunk of running.chunks()) {
        bytes += chunk.byteLength;
        if (bytes > BODY_MAX) throw new Error(`the response is larger than ${BODY_MAX} bytes`);
        chunks.push(chunk);
      }
      return toReply(running, Buffer.concat(chunks), this.#clock.epochMs());
    } catch (error) {
      return { status: 0, json: null, message: messageOf(error), retryAfterMs: null };
    }
  }

  /** The lines of a file. Throws if it is incomplete or refused. */
  async *lines(call: ProviderCall): AsyncGenerator<Uint8Array> {
    const running = this.#start(call);
    const reader = new LineReader(LINE_MAX);
    for await (const chunk of running.chunks()) {
      if (running.status !== 200) throw new Error(`the provider responded with status ${running.status}`);
      for (const { bytes } of reader.read(chunk)) if (bytes !== null) yield bytes;
    }
    if (running.status !== 200) throw new Error(`the provider responded with status ${running.status}`);
    for (const { bytes } of reader.end()) if (bytes !== null) yield bytes;
  }

  #start(call: ProviderCall): RunningCall {
    return new RunningCall(this.#transport, this.#clock, this.#request(call), this.#closing);
  }

  #request({ method, path, body = null, headers = [] }: ProviderCall): UpstreamRequest {
    const state = this.#state;
    const { endpoint, credential, model } = state;
    const place = { operation: 'bytes', dialect: state.wire.dialect.name, path, model, stream: false } as const;
    const auth = credential.auth === 'caller' ? [] : credential.auth;
    const all = [...state.headers, ...endpoint.defaultHeaders.filter((_, i) => !isNamed(headers, endpoint.defaultHeaders, i)), ...auth];
    return {
      origin: state.origin,
      path: endpoint.path(state.basePath, place),
      method,
      headers: [...all, 'accept-encoding', 'identity', ...headers],
      body,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      signer: credential.signer?.begin() ?? null,
    };
  }
}

/** Whether the pair that index `i` belongs to stands in `headers` too. */
function isNamed(headers: readonly string[], defaults: readonly string[], i: number): boolean {
  const name = defaults[i - (i % 2)];
  return headers.some((header, at) => at % 2 === 0 && header === name);
}

/** The chunks of one response, with back-pressure. */
class RunningCall {
  status = 0;
  headers: HeadersByName = {};
  readonly #clock: Clock;
  readonly #closing: AbortSignal;
  /** Null while `send` runs. */
  #call: UpstreamCall | null = null;
  #chunks: Uint8Array[] = [];
  #held = 0;
  #isPaused = false;
  #isEnded = false;
  #error: Error | null = null;
  #timer: Timer | null = null;
  #wake: (() => void) | null = null;

  constructor(transport: Transport, clock: Clock, request: UpstreamRequest, closing: AbortSignal) {
    this.#clock = clock;
    this.#closing = closing;
    this.#call = transport.send(request, {
      onSent: () => this.#awaitBytes(),
      onHeaders: (status, headers) => {
        this.status = status;
        this.headers = headers;
        this.#awaitBytes();
      },
      onData: (chunk) => this.#push(chunk),
      onEnd: () => this.#end(null),
      onError: (error) => this.#end(error),
    });
    this.#awaitBytes();
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    const close = (): void => this.#end(new Error('the gateway stops'));
    if (this.#closing.aborted) close();
    this.#closing.addEventListener('abort', close);
    try {
      for (;;) {
        const chunk = this.#chunks.shift();
        if (chunk !== undefined) {
          this.#held -= chunk.byteLength;
          if (this.#isPaused && this.#held <= HELD_MAX / 2) this.#resume();
          yield chunk;
        } else if (this.#error !== null) throw this.#error;
        else if (this.#isEnded) return;
        else await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      this.#closing.removeEventListener('abort', close);
      this.#end(null);
    }
  }

  #push(chunk: Uint8Array): void {
    this.#chunks.push(new Uint8Array(chunk)); // the buffer may be reused
    this.#held += chunk.byteLength;
    if (this.#held > HELD_MAX && !this.#isPaused) {
      this.#isPaused = true;
      this.#call?.pause();
    }
    this.#awaitBytes();
    this.#notify();
  }

  #resume(): void {
    this.#isPaused = false;
    if (this.#isEnded) return;
    this.#awaitBytes();
    this.#call?.resume();
  }

  /** No timer runs while it is paused, since then the silence is that of its reader, nor after its end. */
  #awaitBytes(): void {
    this.#timer?.cancel();
    if (this.#isPaused || this.#isEnded) return;
    this.#timer = this.#clock.schedule(SILENCE_MAX_MS, () => this.#end(new Error(`no byte within ${SILENCE_MAX_MS / 1000} s`)));
  }

  #end(error: Error | null): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#error = error;
    this.#timer?.cancel();
    this.#call?.abort();
    this.#notify();
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = null;
  }
}

function toReply({ status, headers }: RunningCall, body: Uint8Array, epochMs: number): ProviderReply {
  const error = status < 400 ? null : readErrorBody(body);
  const hint = retryAfterFromHeaders({ get: (name) => firstValue(headers[name]) ?? null }, epochMs);
  return {
    status,
    json: parseRecord(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8')),
    message: error?.message == null ? `status ${status}` : `status ${status}: ${error.message.slice(0, MESSAGE_MAX)}`,
    retryAfterMs: hint ?? error?.retryAfterMs ?? null,
  };
}
