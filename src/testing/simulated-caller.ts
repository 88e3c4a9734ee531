/** An in-process caller: sends one request, reads the response as it arrives, and can disconnect early. */
import type { Clock, Instant } from '../core/clock.ts';
import { isRecord } from '../core/json.ts';
import type { BodyGate, Exchange } from '../server/exchange.ts';
import { faultOfContent } from './provider-wire.ts';
import { DIALECTS } from './dialects.ts';
import type { Fields, ReadResponse, SimulatedDialect } from './dialects/dialect.ts';
import { markOf } from './prompt-text.ts';
import { bodyOf, type SimulatedRequest } from './workload.ts';

/** How the response ended for its caller: `left` means that the caller disconnected first. */
export type ResponseEnd = 'ended' | 'broken' | 'left';

export class SimulatedCaller implements Exchange {
  readonly place = 'process';
  readonly address = null;
  readonly isHttp10 = false;
  readonly method = 'POST';
  readonly target: string;
  readonly request: SimulatedRequest;
  readonly startedAt: Instant;
  onLeave: (() => void) | null = null;
  hasLeft = false;
  /** 0 until the head has arrived. */
  status = 0;
  #headers: readonly string[] = [];
  firstByteAt: Instant | null = null;
  endedAt: Instant | null = null;
  /** Null until the response has ended. */
  responseEnd: ResponseEnd | null = null;
  /** Protocol violations, such as a second head or bytes after the end. */
  readonly faults: string[] = [];
  #text = '';
  /** Null for embeddings. */
  readonly #dialect: SimulatedDialect | null;
  readonly #clock: Clock;
  readonly #headersSent: ReadonlyMap<string, string>;
  readonly #onOver: (caller: SimulatedCaller) => void;
  #isReading = false;
  #hasMoved = false;
  #onDrain: (() => void) | null = null;

  constructor(request: SimulatedRequest, key: string | null, clock: Clock, onOver: (caller: SimulatedCaller) => void) {
    this.request = request;
    this.#dialect = request.operation === 'embeddings' ? null : DIALECTS[request.dialect ?? 'openai-chat'];
    this.target = this.#dialect?.path(request) ?? '/v1/embeddings';
    this.#clock = clock;
    this.startedAt = clock.now();
    this.#onOver = onOver;
    this.#headersSent = headersOf(request, key);
  }

  header(name: string): string | undefined {
    return this.#headersSent.get(name);
  }

  headersLike(prefix: string): readonly string[] {
    return [...this.#headersSent.keys()].filter((name) => name.startsWith(prefix));
  }

  hasHeaderLike(prefix: string): boolean {
    return [...this.#headersSent.keys()].some((name) => name.startsWith(prefix));
  }

  addHeaders(): void {}

  stopBody(): void {}

  chargeTo(): void {}

  async readBody(gate: BodyGate): Promise<Uint8Array> {
    const bytes = this.#body();
    gate.accept(bytes.byteLength);
    return bytes;
  }

  async *bodyPieces(): AsyncGenerator<Uint8Array> {
    yield this.#body();
  }

  /** The prompt carries a mark only if the request names its dialect: other callers send OpenAI chat, with their id as `user`. */
  #body(): Buffer {
    const { id, dialect } = this.request;
    return Buffer.from(this.#dialect?.body(this.request, dialect === undefined ? '' : markOf(id)) ?? bodyOf(this.request));
  }

  /** A response header. */
  responseHeader(name: string): string | null {
    const at = this.#headers.indexOf(name);
    return at < 0 ? null : (this.#headers[at + 1] ?? null);
  }

  /** The response so far, as text. */
  get text(): string {
    return this.#text;
  }

  leave(): void {
    if (this.responseEnd !== null) return;
    this.hasLeft = true;
    this.#over('left');
    const tell = this.onLeave;
    this.onLeave = null;
    tell?.();
    this.#wakeWriter();
  }

  head(status: number, headers: readonly string[]): void {
    if (this.status !== 0) this.faults.push('a second head arrived');
    this.status = status;
    this.#headers = headers;
  }

  write(bytes: Uint8Array): boolean {
    if (this.hasLeft) return true;
    this.#take(bytes);
    const { readMs = 0 } = this.request;
    if (readMs <= 0) return true;
    if (!this.#isReading) {
      this.#isReading = true;
      this.#clock.schedule(readMs, () => this.#wakeWriter());
    }
    return false;
  }

  onDrain(listener: () => void): void {
    if (this.#isReading && !this.hasLeft) this.#onDrain = listener;
    else queueMicrotask(listener);
  }

  readerMoved(): boolean {
    const moved = this.#hasMoved || !this.#isReading;
    this.#hasMoved = false;
    return moved;
  }

  end(bytes?: Uint8Array): void {
    if (this.hasLeft) return;
    if (bytes !== undefined) this.#take(bytes);
    this.#over('ended');
  }

  abort(): void {
    if (this.hasLeft || this.responseEnd !== null) return;
    this.#over('broken');
  }

  /** The code of the error in the body or stream; `broken` if the response broke; null if there is none. */
  errorCode(): string | null {
    if (this.responseEnd === 'left') return null;
    if (this.responseEnd === 'broken') return 'broken';
    return readResponse(this.#text, this.#dialect).error;
  }

  /** The violation in the complete response as its caller sees it; null if there is none. */
  faultOfResponse(): string | null {
    if (this.faults.length > 0) return this.faults.join('; ');
    if (this.responseEnd === 'left') return null;
    if (this.status === 0) return 'ended without a head';
    const { content, isWhole, error } = readResponse(this.#text, this.#dialect);
    const hasError = error !== null;
    if (this.status !== 200 && !hasError) return `status ${this.status} without an error in its body`;
    if (isWhole && hasError) return 'is marked as complete and contains an error';
    if (this.responseEnd === 'ended' && !isWhole && !hasError) return 'ended normally, neither complete nor with an error';
    return faultOfContent(content, isWhole);
  }

  #take(bytes: Uint8Array): void {
    if (this.responseEnd !== null) this.faults.push('bytes arrived after the end');
    if (this.status === 0) this.faults.push('bytes arrived before the head');
    this.firstByteAt ??= this.#clock.now();
    this.#text += Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
  }

  #over(end: ResponseEnd): void {
    if (this.responseEnd !== null) this.faults.push('a second end arrived');
    this.responseEnd = end;
    this.endedAt = this.#clock.now();
    this.#onOver(this);
  }

  #wakeWriter(): void {
    this.#isReading = false;
    this.#hasMoved = true;
    const listener = this.#onDrain;
    this.#onDrain = null;
    listener?.();
  }
}

function headersOf(request: SimulatedRequest, key: string | null): ReadonlyMap<string, string> {
  const headers = new Map([['content-type', 'application/json']]);
  if (key !== null) headers.set('authorization', `Bearer ${key}`);
  if (request.dialect === 'anthropic-messages') headers.set('anthropic-version', '2023-06-01');
  if (request.priority !== null) headers.set('x-breakwater-priority', request.priority);
  if (request.session !== undefined) headers.set('x-session-id', request.session);
  if (request.deadlineMs !== null) headers.set('x-breakwater-deadline-ms', String(request.deadlineMs));
  return headers;
}

/** Reads a complete body, or the data of a stream's events. */
function readResponse(text: string, dialect: SimulatedDialect | null): ReadResponse {
  const isBody = text.startsWith('{');
  const data = isBody ? [text] : text.split('\n').flatMap((line) => (line.startsWith('data: ') ? [line.slice(6)] : []));
  const values = data.map(parse);
  if (dialect === null)
    return { ...DIALECTS['openai-chat'].readResponse(values), isWhole: values.some((value) => value['data'] !== undefined) };
  const read = dialect.readResponse(values);
  return data.includes('[DONE]') ? { ...read, isWhole: true } : read;
}

function parse(text: string): Fields {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}
