import type { AnswerFacts, Failure, TokenUsage } from '../core/facts.ts';
import { mayBeEmpty } from '../core/finish-reason.ts';
import type { ReadResponse, StreamFold, StreamReader } from '../wire/dialect.ts';
import { createFailure, failureFromResponse } from '../wire/failure.ts';
import type { ResponseHeaders } from './transport.ts';
import { JsonOutline, OUTLINED_BYTES_MIN } from '../wire/json-outline.ts';

/** What the caller asked for, and how an answer in the other form becomes it. */
export interface AnswerForm {
  readonly wants: 'stream' | 'plain' | 'bytes';
  /** Of bytes: a JSON text is held whole and judged by `read`, and no bytes at all are no answer. */
  readonly judgesBytes: boolean;
  /** No output was asked for: a complete answer without content is what was wanted. Absent: false. */
  readonly mayBeEmpty?: boolean;
  /** Reads the answer as events; null: an answer of this kind never is. */
  createReader(): StreamReader | null;
  /** Judges a whole JSON text. `outline`: of a large one; `isFolded`: it was made of what a reader gave. */
  read(answer: Uint8Array, outline: JsonOutline | null, isFolded: boolean): ReadResponse;
  /** A whole JSON text as events. */
  toStream(answer: Uint8Array): Uint8Array;
  /** What decides how long a stream is held back beyond its first content; null: not at all. */
  createHold(): StreamHold | null;
  /** The events of a complete answer as one JSON text. */
  toPlain(events: Uint8Array): Uint8Array;
  /** The same as the events come. */
  createFold(): StreamFold;
}

/** Looks at a stream that nobody has seen yet. */
export interface StreamHold {
  /** Is shown every piece in turn; false: it need not be held back any longer. */
  holds(pieces: readonly Uint8Array[]): boolean;
  /** The stream as one answer, where it is held whole. */
  readonly fold?: StreamFold;
}

/** A JSON text is made a stream in one turn of the event loop. */
const CONVERTED_BYTES_MAX = 4 * 1024 * 1024;
const CONVERTED_VALUES_MAX = 100_000;

/**
 * A whole JSON text: as the answer that was asked for, or why it is none. `known`: its outline, where it was read as it came; `folded`: the
 * facts of the stream that it was made of; null: it came whole.
 */
export function judgeWhole(
  form: AnswerForm,
  whole: Uint8Array,
  known: JsonOutline | null,
  folded: AnswerFacts | null,
): { facts: AnswerFacts; bytes: Uint8Array; saidTokens: number | null } | { failure: Failure; usage: TokenUsage | null } {
  const isStream = form.wants === 'stream';
  const outline = known ?? outlineOf(whole);
  if (isStream && outline !== null && (whole.byteLength > CONVERTED_BYTES_MAX || outline.values > CONVERTED_VALUES_MAX)) {
    return { failure: createFailure('malformed', 'answer', 'the answer is no stream, and too large to be made one'), usage: null };
  }
  const answer = form.read(whole, outline, folded !== null);
  const own = answer.converted ?? whole;
  if (answer.ok) {
    return { facts: answer.facts, bytes: isStream ? form.toStream(own) : own, saidTokens: answer.saidTokens ?? null };
  }
  const { kind, body } = answer.failure;
  if (kind === 'empty' && body !== null && form.mayBeEmpty === true) {
    return { facts: emptyFacts(answer.usage), bytes: isStream ? form.toStream(own) : own, saidTokens: null };
  }
  // What is empty may be the best there is, if it is an answer at all: a stream without a finish reason is none.
  const isAnswer = body !== null && folded?.finishReason !== null;
  const kept = kind !== 'empty' ? whole : !isAnswer ? null : isStream ? form.toStream(own) : own;
  return { failure: { ...answer.failure, phase: 'answer', body: kept }, usage: answer.usage };
}

function emptyFacts(usage: TokenUsage | null): AnswerFacts {
  return { model: null, usage, finishReason: 'length', hasContent: false, toolCallOpen: false };
}

function outlineOf(whole: Uint8Array): JsonOutline | null {
  if (whole.byteLength <= OUTLINED_BYTES_MIN) return null;
  const outline = new JsonOutline();
  outline.push(whole);
  return outline;
}

/** What a body is by its first byte that says anything: one JSON text, events, or a page; null: only blanks so far. */
export function sniff(chunk: Uint8Array): 'plain' | 'stream' | 'page' | null {
  for (const byte of chunk) {
    if (isBlank(byte) || byte === 0xef || byte === 0xbb || byte === 0xbf) continue; // a byte order mark is blank too
    if (byte === 0x7b || byte === 0x5b) return 'plain';
    return byte === 0x3c ? 'page' : 'stream';
  }
  return null;
}

/** Some providers send empty lines until they begin: those are liveness, not content. */
export function isAllBlank(chunk: Uint8Array): boolean {
  for (const byte of chunk) if (!isBlank(byte)) return false;
  return true;
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** The fault of a content type that no answer of a model has; null: what the body is, it says itself. */
export function contentTypeFault(contentType: string | undefined): string | null {
  const type = (contentType ?? '').split(';')[0]!.trim().toLowerCase();
  if (type === 'text/event-stream' || type.endsWith('json') || UNTOLD.has(type)) return null;
  return `the answer has the content type ${type.slice(0, 100)}`;
}

/** The same for an answer in bytes: it may be anything but a web page. */
export function pageFault(contentType: string | undefined): string | null {
  const type = (contentType ?? '').split(';')[0]!.trim().toLowerCase();
  return type === 'text/html' || type === 'application/xhtml+xml' ? `the answer has the content type ${type}` : null;
}

/** True if the body is one JSON text by its content type. */
export function isJson(contentType: string | undefined): boolean {
  return (contentType ?? '').split(';')[0]!.trim().toLowerCase().endsWith('json');
}

/** Types that say nothing of what the body is. */
const UNTOLD: ReadonlySet<string> = new Set(['', 'text/plain', 'application/octet-stream', 'binary/octet-stream']);

/** Complete but without anything in it, and its finish reason does not say why. */
export function isHollow(facts: AnswerFacts): boolean {
  return !facts.hasContent && !mayBeEmpty(facts.finishReason, facts.usage);
}

/** An error status, and what its body says. */
export function errorFailure(status: number, headers: ResponseHeaders, body: Uint8Array, epochMs: number): Failure {
  return failureFromResponse({ status, headers: { get: (name) => headers[name]?.toString() ?? null }, body, epochMs });
}
