/**
 * Copies of the bodies of running requests, where the config asks for prompts in the log or bodies in the request log. Otherwise nothing is
 * held, and sinks are passed on as they are. All sizes are bounded; beyond the bounds less is recorded, and no request is affected.
 */
import type { CapturedBodies, CapturedBody, Captures } from '../core/captures.ts';
import type { HeaderPairs } from '../core/headers.ts';
import type { GatewayRequest } from '../pipeline/request/gateway-request.ts';
import type { ResponseSink } from '../pipeline/request/response-sink.ts';
import { conversationText, embeddedText } from '../wire/conversation-text.ts';
import type { Dialect } from '../wire/dialect.ts';
import type { Config } from './config/index.ts';

/** Maximum size of one captured body, in bytes. */
export const BODY_BYTES_MAX = 64 * 1024;
/** Maximum size of all captured responses, in bytes. */
export const RESPONSES_BYTES_MAX = 32 * 1024 * 1024;
/** Maximum number of captures; the oldest is dropped first. */
const CAPTURES_MAX = 10_000;
/** Maximum length of a logged prompt, in UTF-16 units: its end. */
export const PROMPT_LENGTH_MAX = 16_000;

export class BodyCaptures implements Captures {
  readonly #config: () => Config;
  readonly #running = new Map<string, Capture>();
  /** Of all captured responses. */
  #bytes = 0;

  constructor(config: () => Config) {
    this.#config = config;
  }

  /** The sink for the response to the request: `sink`, or one that captures what passes. */
  begin(request: GatewayRequest, sink: ResponseSink): ResponseSink {
    const { logs, requests } = this.#config().telemetry;
    const isRecorded = requests.bodies && requests.file !== '';
    if (!logs.prompts && !isRecorded) return sink;
    const capture = new Capture(request, logs.prompts, isRecorded, (bytes) => this.#tryHold(bytes));
    this.#remove(request.id);
    this.#running.set(request.id, capture);
    if (this.#running.size > CAPTURES_MAX) this.#remove(this.#running.keys().next().value!);
    return isRecorded ? new CapturingSink(sink, capture) : sink;
  }

  prompt(requestId: string): string | null {
    if (this.#running.size === 0) return null;
    const capture = this.#running.get(requestId);
    if (capture === undefined) return null;
    if (!capture.isRecorded) this.#remove(requestId);
    return capture.isPromptLogged ? promptOf(capture.request) : null;
  }

  bodies(requestId: string): CapturedBodies | null {
    const capture = this.#running.get(requestId);
    this.#remove(requestId);
    return capture?.isRecorded === true ? { request: requestOf(capture.request), response: capture.response() } : null;
  }

  #tryHold(bytes: number): boolean {
    if (this.#bytes + bytes > RESPONSES_BYTES_MAX) return false;
    this.#bytes += bytes;
    return true;
  }

  #remove(requestId: string): void {
    const capture = this.#running.get(requestId);
    if (capture === undefined) return;
    this.#running.delete(requestId);
    this.#bytes -= capture.close();
  }
}

class Capture {
  readonly request: GatewayRequest;
  readonly isPromptLogged: boolean;
  readonly isRecorded: boolean;
  readonly #tryHold: (bytes: number) => boolean;
  #parts: Buffer[] = [];
  #length = 0;
  #isCut = false;
  #isClosed = false;
  #isStream = false;

  constructor(request: GatewayRequest, isPromptLogged: boolean, isRecorded: boolean, tryHold: (bytes: number) => boolean) {
    this.request = request;
    this.isPromptLogged = isPromptLogged;
    this.isRecorded = isRecorded;
    this.#tryHold = tryHold;
  }

  head(headers: HeaderPairs): void {
    for (let i = 0; i < headers.length; i += 2) {
      if (headers[i]!.toLowerCase() === 'content-type') this.#isStream = headers[i + 1]!.startsWith('text/event-stream');
    }
  }

  write(bytes: Uint8Array): void {
    if (this.#isCut || this.#isClosed) return;
    const part = bytes.subarray(0, BODY_BYTES_MAX - this.#length);
    this.#isCut = part.length < bytes.length || !this.#tryHold(part.length);
    if (this.#isCut && part.length === bytes.length) return;
    // A copy: the bytes may be part of a larger buffer that is reused.
    this.#parts.push(Buffer.from(part));
    this.#length += part.length;
  }

  response(): CapturedBody {
    const bytes = Buffer.concat(this.#parts);
    return this.#isStream ? foldedStream(this.request.dialect, bytes, this.#isCut) : textOf(bytes, this.#isCut);
  }

  /** Captures no more; returns the bytes it held. */
  close(): number {
    this.#isClosed = true;
    return this.#length;
  }
}

class CapturingSink implements ResponseSink {
  readonly #sink: ResponseSink;
  readonly #capture: Capture;

  constructor(sink: ResponseSink, capture: Capture) {
    this.#sink = sink;
    this.#capture = capture;
  }

  head(status: number, headers: HeaderPairs): void {
    this.#capture.head(headers);
    this.#sink.head(status, headers);
  }

  write(bytes: Uint8Array): boolean {
    this.#capture.write(bytes);
    return this.#sink.write(bytes);
  }

  end(bytes?: Uint8Array): void {
    if (bytes !== undefined) this.#capture.write(bytes);
    this.#sink.end(bytes);
  }

  abort(): void {
    this.#sink.abort();
  }

  onDrain(listener: () => void): void {
    this.#sink.onDrain(listener);
  }

  readerMoved(): boolean {
    return this.#sink.readerMoved();
  }
}

function promptOf({ dialect, facts, body }: GatewayRequest): string | null {
  if (facts.operation === 'bytes') return null;
  try {
    const text =
      facts.operation === 'embeddings' ? embeddedText(body, PROMPT_LENGTH_MAX) : conversationText(dialect.name, body, PROMPT_LENGTH_MAX);
    return text === '' ? null : withoutPartialStart(text);
  } catch {
    return null; // valid for its dialect, but not readable as a conversation
  }
}

function requestOf({ body: { bytes } }: GatewayRequest): CapturedBody {
  return textOf(bytes.subarray(0, BODY_BYTES_MAX), bytes.length > BODY_BYTES_MAX);
}

/** The beginning of the prompt may have been cut inside a key. */
function withoutPartialStart(text: string): string {
  if (text.length < PROMPT_LENGTH_MAX) return text;
  let start = 0;
  while (start < text.length && isKeyCharacter(text.charCodeAt(start))) start++;
  return text.slice(start);
}

function textOf(bytes: Uint8Array, isCut: boolean): CapturedBody {
  try {
    // `stream`: the cut may be inside a character.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: isCut });
    return { text: isCut ? withoutPartialEnd(text) : text, isCut };
  } catch {
    return { text: null, isCut };
  }
}

/** No pattern would match a key that was cut. */
function withoutPartialEnd(text: string): string {
  let end = text.length;
  while (end > 0 && isKeyCharacter(text.charCodeAt(end - 1))) end--;
  return text.slice(0, end);
}

function isKeyCharacter(code: number): boolean {
  return (
    (code >= 0x30 && code <= 0x39) ||
    (code >= 0x41 && code <= 0x5a) ||
    (code >= 0x61 && code <= 0x7a) ||
    '-_.~+/*='.includes(String.fromCharCode(code))
  );
}

/**
 * The response that the events add up to. Text that arrives in parts is whole in it, so that a key in it can be recognized; therefore a stream
 * that can't be folded is not recorded.
 */
function foldedStream(dialect: Dialect, bytes: Buffer, isCut: boolean): CapturedBody {
  try {
    const end = bytes.lastIndexOf('\n\n');
    const folded = dialect.response.fromStream(bytes.subarray(0, end < 0 ? 0 : end + 2));
    return { ...textOf(folded, false), isCut };
  } catch {
    return { text: null, isCut };
  }
}
