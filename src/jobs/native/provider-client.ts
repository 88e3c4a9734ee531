/** Calls to the batch API of a provider: few, small except for files, and without the limits of its other calls. */
import type { Clock, Timer } from '../../core/clock.ts';
import { firstValue, type HeadersByName } from '../../core/headers.ts';
import { isRecord, parseOrUndefined } from '../../core/json.ts';
import type { TargetState } from '../../pipeline/route/route.ts';
import type { Transport, UpstreamCall, UpstreamRequest } from '../../transport/transport.ts';
import { LineReader } from '../openai/line-reader.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** Without a byte of the response, in milliseconds: an upload takes a while to be read. */
const SILENCE_MAX_MS = 120_000;
/** The largest response that is read as a whole, in bytes. */
const BODY_MAX = 4 * 1024 * 1024;
/** One line of results, in bytes. */
const LINE_MAX = 64 * 1024 * 1024;
/** Bytes of a file of results that are held before its reading is paused. */
const HELD_MAX = 1024 * 1024;

export interface ProviderReply {
  /** 0: there was no complete response. */
  readonly status: number;
  /** Parsed; null: it was no JSON object. */
  readonly json: Readonly<Record<string, unknown>> | null;
  /** The fault, or the provider's error message. */
  readonly message: string;
  /** Null if none was given. */
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
    const running = new RunningCall(this.#transport, this.#clock, this.#request(call), this.#closing);
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    try {
      for await (const chunk of running.chunks()) {
        bytes += chunk.byteLength;
        if (bytes > BODY_MAX) throw new Error(`the response is larger than ${BODY_MAX} bytes`);
        chunks.push(chunk);
      }
    } catch (error) {
      return { status: 0, json: null, message: error instanceof Error ? error.message : String(error), retryAfterMs: null };
    }
    const json = toRecord(Buffer.concat(chunks));
    return { status: running.status, json, message: messageOf(json, running.status), retryAfterMs: retryAfterMs(running.headers) };
  }

  /** The lines of a file. Throws if it is incomplete or refused. */
  async *lines(call: ProviderCall): AsyncGenerator<Uint8Array> {
    const running = new RunningCall(this.#transport, this.#clock, this.#request(call), this.#closing);
    const reader = new LineReader(LINE_MAX);
    for await (const chunk of running.chunks()) {
      if (running.status !== 200) throw new Error(`the provider responded with status ${running.status}`);
      for (const { bytes } of reader.read(chunk)) if (bytes !== null) yield bytes;
    }
    if (running.status !== 200) throw new Error(`the provider responded with status ${running.status}`);
    for (const { bytes } of reader.end()) if (bytes !== null) yield bytes;
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
      headers: [...all, ...headers],
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
  readonly #call: UpstreamCall;
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
    this.#awaitBytes();
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
    this.#awaitBytes();
    if (this.#held > HELD_MAX && !this.#isPaused) {
      this.#isPaused = true;
      this.#timer?.cancel();
      this.#call.pause();
    }
    this.#notify();
  }

  #resume(): void {
    this.#isPaused = false;
    if (this.#isEnded) return;
    this.#awaitBytes();
    this.#call.resume();
  }

  #awaitBytes(): void {
    this.#timer?.cancel();
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

function toRecord(bytes: Uint8Array): Readonly<Record<string, unknown>> | null {
  const value = parseOrUndefined(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  return isRecord(value) ? value : null;
}

function messageOf(json: Readonly<Record<string, unknown>> | null, status: number): string {
  const error = json?.['error'] as { message?: unknown } | string | undefined;
  const message = typeof error === 'object' && error !== null ? error.message : error;
  return typeof message === 'string' ? `status ${status}: ${message.slice(0, 300)}` : `status ${status}`;
}

/** Only in seconds; dates and implausible values are ignored. */
function retryAfterMs(headers: HeadersByName): number | null {
  const seconds = Number(firstValue(headers['retry-after']) ?? NaN);
  return Number.isFinite(seconds) && seconds > 0 && seconds <= 3_600 ? seconds * 1000 : null;
}
