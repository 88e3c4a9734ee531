import type { HeadersByName } from '../core/headers.ts';
import type { ResponseFacts, Failure, TokenUsage } from '../core/facts.ts';
import { mayBeEmpty } from '../core/finish-reason.ts';
import type { ReadResponse, StreamFold, StreamReader } from '../wire/dialect.ts';
import { isEventStream } from '../wire/framing/framed-reader.ts';
import { createFailure, failedFinishFailure, failureFromResponse } from '../wire/failure.ts';
import { JsonOutline, OUTLINED_BYTES_MIN } from '../wire/json-outline.ts';

/** The form of response that the caller requested, and the conversions from other forms. */
export interface ExpectedForm {
  readonly wants: 'stream' | 'json' | 'bytes';
  /** For bytes: a JSON body is buffered and checked by `read`, and an empty body is a failure. */
  readonly judgesBytes: boolean;
  /** The response is in another dialect than the caller's. */
  readonly isConverted: boolean;
  /** No output was requested: a complete response without content is a success. Absent: false. */
  readonly mayBeEmpty?: boolean;
  /** Reads the response as events, in the framing that its content type names; null: this kind of response never is a stream. */
  createReader(contentType: string | undefined): StreamReader | null;
  /** Checks a whole JSON body. `outline`: of a large body; `isFolded`: the body was folded from events. */
  read(body: Uint8Array, outline: JsonOutline | null, isFolded: boolean): ReadResponse;
  /** A whole JSON body as events. */
  toStream(body: Uint8Array): Uint8Array;
  /** Decides how long a stream is buffered beyond its first content; null: not at all. */
  createHold(): StreamHold | null;
  /** The events of a complete response as one JSON body. */
  fromStream(events: Uint8Array): Uint8Array;
  /** The same, incrementally. */
  createFold(): StreamFold;
}

/** Examines a stream before the caller has seen any of it. */
export interface StreamHold {
  /** Receives every chunk in order; false: the stream can be released. */
  holds(pieces: readonly Uint8Array[]): boolean;
  /** The stream as one response, where all of it is buffered. */
  readonly fold?: StreamFold;
}

/** Maximum size of a JSON body that is converted to a stream, since that takes one turn of the event loop. */
const CONVERTED_BYTES_MAX = 4 * 1024 * 1024;
const CONVERTED_VALUES_MAX = 100_000;

/**
 * A whole JSON body in the requested form, or why it is not a valid response. `known`: its outline, if it was made while the body arrived;
 * `folded`: the facts of the stream that it was folded from; null: not folded.
 */
export function judgeWhole(
  form: ExpectedForm,
  whole: Uint8Array,
  known: JsonOutline | null,
  folded: ResponseFacts | null,
): { facts: ResponseFacts; bytes: Uint8Array; estimatedOutputTokens: number | null } | { failure: Failure; usage: TokenUsage | null } {
  const isStream = form.wants === 'stream';
  const outline = known ?? outlineOf(whole);
  if (isStream && outline !== null && (whole.byteLength > CONVERTED_BYTES_MAX || outline.values > CONVERTED_VALUES_MAX)) {
    return {
      failure: createFailure('malformed', 'answer', 'the response is not a stream, and too large to be converted to one'),
      usage: null,
    };
  }
  const read = refusingFailedFinish(form.read(whole, outline, folded !== null), whole);
  const own = read.converted ?? whole;
  if (read.ok) {
    return { facts: read.facts, bytes: isStream ? form.toStream(own) : own, estimatedOutputTokens: read.estimatedOutputTokens ?? null };
  }
  const { kind, body } = read.failure;
  if (kind === 'empty' && body !== null && form.mayBeEmpty === true) {
    return { facts: emptyFacts(read.usage), bytes: isStream ? form.toStream(own) : own, estimatedOutputTokens: null };
  }
  // An empty response may be the best result in the end, if it is a response at all: a stream without a finish reason is none.
  const isResponse = body !== null && folded?.finishReason !== null;
  const kept = kind !== 'empty' ? whole : !isResponse ? null : isStream ? form.toStream(own) : own;
  return { failure: { ...read.failure, phase: 'answer', body: kept }, usage: read.usage };
}

/** A response that ended in a failed generation is a last resort, as an empty one is. */
function refusingFailedFinish(read: ReadResponse, body: Uint8Array): ReadResponse {
  const failed = read.ok ? read.facts.failedFinish : undefined;
  if (!read.ok || failed === undefined) return read;
  const { facts, converted } = read;
  const failure = failedFinishFailure(failed, 'answer', body);
  return { ok: false, failure, usage: facts.usage, ...(converted === undefined ? {} : { converted }) };
}

function emptyFacts(usage: TokenUsage | null): ResponseFacts {
  return { model: null, usage, finishReason: 'length', hasContent: false };
}

function outlineOf(whole: Uint8Array): JsonOutline | null {
  if (whole.byteLength <= OUTLINED_BYTES_MIN) return null;
  const outline = new JsonOutline();
  outline.push(whole);
  return outline;
}

/** The form of a body by its first non-blank byte: JSON, events, or a web page; null: only blanks so far. */
export function sniff(chunk: Uint8Array): 'json' | 'stream' | 'page' | null {
  for (const byte of chunk) {
    if (isBlank(byte) || byte === 0xef || byte === 0xbb || byte === 0xbf) continue; // a byte order mark is blank too
    if (byte === 0x7b || byte === 0x5b) return 'json';
    return byte === 0x3c ? 'page' : 'stream';
  }
  return null;
}

/** Some providers send empty lines as keep-alives before the content. */
export function isAllBlank(chunk: Uint8Array): boolean {
  for (const byte of chunk) if (!isBlank(byte)) return false;
  return true;
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** The fault of a content type that no model response has; null: the body decides. */
export function contentTypeFault(contentType: string | undefined): string | null {
  const type = (contentType ?? '').split(';')[0]!.trim().toLowerCase();
  if (type === 'text/event-stream' || isEventStream(type) || type.endsWith('json') || GENERIC_TYPES.has(type)) return null;
  return `the response has the content type ${type.slice(0, 100)}`;
}

/** The same for a response in bytes: any type but a web page. */
export function pageFault(contentType: string | undefined): string | null {
  const type = (contentType ?? '').split(';')[0]!.trim().toLowerCase();
  return type === 'text/html' || type === 'application/xhtml+xml' ? `the response has the content type ${type}` : null;
}

/** True if the content type is JSON. */
export function isJson(contentType: string | undefined): boolean {
  return (contentType ?? '').split(';')[0]!.trim().toLowerCase().endsWith('json');
}

/** Types that do not determine the form of the body. */
const GENERIC_TYPES: ReadonlySet<string> = new Set(['', 'text/plain', 'application/octet-stream', 'binary/octet-stream']);

/** Complete without content, and the finish reason does not explain it. */
export function isHollow(facts: ResponseFacts): boolean {
  return !facts.hasContent && !mayBeEmpty(facts.finishReason, facts.usage);
}

/** The failure of an error status with its body. */
export function errorFailure(status: number, headers: HeadersByName, body: Uint8Array, epochMs: number): Failure {
  return failureFromResponse({ status, headers: { get: (name) => headers[name]?.toString() ?? null }, body, epochMs });
}
