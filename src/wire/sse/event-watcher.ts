/**
 * Reads a stream of server-sent events as it passes: returns the original bytes of complete events, so that nothing is rewritten, and
 * detects the end. The meaning of an event is up to the dialect, which extends this class.
 */
import { Buffer } from 'node:buffer';
import type { ResponseFacts, Failure, Phase } from '../../core/facts.ts';
import type { SecretScan } from '../../core/secrets/secret-scan.ts';
import type { StreamPush, StreamReader } from '../dialect.ts';
import { createFailure } from '../failure.ts';
import { CHARS_PER_TOKEN } from '../usage.ts';
import type { EventForm } from './event-template.ts';
import { SseFramer } from './sse-framer.ts';
import { TemplateList } from './template-list.ts';

/** A valid line of an event stream: a known field, a comment, or an empty line. */
const FIELD = /^$|^:|^(data|event|id|retry)(:|$)/;
/** Bytes of a block that are checked to recognize it. */
const FIELDS_LENGTH_MAX = 16 * 1024;
/** In bytes; shorter remainders of a chunk can't contain an event that matches a template. */
const KNOWN_EVENT_MIN = 32;
const NO_CHUNKS: readonly Uint8Array[] = [];
const NOTHING: StreamPush = { pieces: NO_CHUNKS, hasContent: false, done: false, failure: null };

/**
 * What happens to an event:
 * - `pass` and `strip`: its bytes are passed on, or removed
 * - `done`: it is passed on, and the stream is complete
 * - `end`: it is removed, and the stream is completed with the dialect's own terminator
 * - bytes: they replace it
 * - a failure: the stream has failed
 */
export type Step = 'pass' | 'strip' | 'done' | 'end' | Uint8Array | Failure;

export interface EventWatcherOptions {
  /** In bytes; a larger event is `malformed`. */
  readonly maxEventSize: number;
  /** Secrets to look for. Default: none. */
  readonly secrets?: SecretScan | null | undefined;
  /** Events of this form are recognized without parsing each. Default: none. */
  readonly form?: EventForm | null | undefined;
  /** False parses every event, for comparison in a test. Default: true. */
  readonly shortcut?: boolean | undefined;
}

export abstract class EventWatcher implements StreamReader {
  readonly facts: ResponseFacts = { model: null, usage: null, finishReason: null, hasContent: false };
  protected readonly framer: SseFramer;
  protected readonly maxEventSize: number;
  /** An event with data has arrived. */
  protected sawEvent = false;
  #closed = false;
  /** The terminator has passed, except for the LF of its last CRLF. */
  #awaitsLineFeed = false;
  /** What happened to the last complete block. */
  #lastStep: 'pass' | 'strip' = 'pass';
  /** The output of the current push. */
  #pieces: Uint8Array[] | null = null;
  #hasContent = false;
  /** Null: it does not look for secrets, or has found a possible one. */
  protected secrets: SecretScan | null;
  /** Null: every event is parsed. */
  readonly #templates: TemplateList | null;
  /** The number of events with content, and about how many characters were in them. */
  #events = 0;
  #chars = 0;

  constructor({ maxEventSize, secrets = null, form = null, shortcut = true }: EventWatcherOptions) {
    this.maxEventSize = maxEventSize;
    this.#templates = form === null || !shortcut ? null : new TemplateList(form);
    this.framer = new SseFramer(maxEventSize);
    // A secret that extends beyond one string is not found event by event.
    this.secrets = secrets?.isWithinStrings === true ? secrets : null;
  }

  /** False: nothing that it has passed so far contains a secret or a part of one. */
  get mayHoldSecret(): boolean {
    return this.secrets === null;
  }

  /** Many servers send one event per token, others a sentence in each. */
  get estimatedOutputTokens(): number {
    return Math.max(this.#events, Math.ceil(this.#chars / CHARS_PER_TOKEN));
  }

  /** What ends a stream of the dialect. */
  protected abstract readonly terminator: Uint8Array;

  /** Every choice has finished: only usage and the terminator may follow. */
  protected abstract readonly isWhole: boolean;

  /** Reads the framer's current block. */
  protected abstract readBlock(): Step;

  /** Makes a template of the event just read, which has content and nothing else of significance. */
  protected addTemplate(model: string | null): void {
    if (this.#templates?.isDue() === true) this.#templates.add(this.framer.readText(), model);
  }

  /** Passes events that match a template; true if there were any. */
  #skipKnownEvents(): boolean {
    const templates = this.#templates;
    const { framer } = this;
    const start = framer.position;
    if (templates === null || !framer.atBoundary || framer.chunk.length - start < KNOWN_EVENT_MIN) return false;
    const end = templates.match(framer.text, start, this.maxEventSize, this.secrets);
    if (end === start) return false;
    framer.skipTo(end);
    if (templates.holdsSecret) this.secrets = null;
    this.#noteKnownEvents(templates);
    return true;
  }

  /** An event that spans chunks matches a template. */
  #isKnownBlock(): boolean {
    const { framer } = this;
    const templates = this.#templates;
    if (templates === null || !framer.joined || framer.outline !== null) return false;
    if (templates.match(framer.readText(), 0, this.maxEventSize) !== framer.end) return false;
    this.#noteKnownEvents(templates);
    return true;
  }

  #noteKnownEvents({ model, events, chars }: TemplateList): void {
    this.noteContent();
    this.sawEvent = true;
    this.facts.model = model ?? this.facts.model;
    this.#events += events;
    this.#chars += chars;
  }

  /** An event had content of about this many characters. */
  protected countContent(chars: number): void {
    this.noteContent();
    this.#events++;
    this.#chars += chars;
  }

  protected noteContent(): void {
    this.#hasContent = true;
    this.facts.hasContent = true;
  }

  protected get phase(): Phase {
    return this.facts.hasContent ? 'answer' : 'first_content';
  }

  get isComplete(): boolean {
    return this.#awaitsLineFeed || this.isWhole;
  }

  push(chunk: Uint8Array): StreamPush {
    if (this.#closed) return NOTHING;
    const { framer } = this;
    framer.push(chunk);
    if (this.#awaitsLineFeed) return this.#endWithLineFeed();
    const bytes = framer.chunk.length === chunk.length ? chunk : framer.chunk;
    // Events that pass are returned as runs of the chunk; `runStart` is the start of the current run.
    let runStart = 0;
    for (;;) {
      if (this.#skipKnownEvents()) {
        this.#lastStep = 'pass';
        continue;
      }
      if (!framer.next()) break;
      const step = framer.isLateLineFeed ? this.#lastStep : this.#isKnownBlock() ? 'pass' : this.readBlock();
      if (step === 'pass') {
        this.#lastStep = step;
        this.#search(framer.bytes, framer.start, framer.end);
        if (!framer.joined) continue;
        this.#addPiece(framer.bytes);
      } else {
        if (!framer.joined) this.#addRun(bytes, runStart, step === 'done' ? framer.end : framer.start);
        else if (step === 'done') this.#addPiece(framer.bytes);
        if (step === 'done') this.#search(framer.bytes, framer.start, framer.end);
        if (step === 'done' && framer.awaitsLineFeed) return this.#waitForLineFeed();
        if (step instanceof Uint8Array) this.#addWritten(step);
        else if (step !== 'strip') return this.#close(step);
        this.#lastStep = 'strip';
      }
      runStart = framer.position;
    }
    this.#addRun(bytes, runStart, framer.blockEnd);
    if (framer.tooLarge) {
      return this.#close(createFailure('malformed', this.phase, `an event of the stream is larger than ${this.maxEventSize} bytes`));
    }
    return this.#take(false, null);
  }

  end(): StreamPush {
    if (this.#closed) return NOTHING;
    if (this.#awaitsLineFeed) return this.#close('done');
    const { framer } = this;
    let isUnrecognized = false;
    if (framer.finish()) {
      const step = this.readBlock();
      isUnrecognized = !isFields(framer.bytes);
      if (step instanceof Uint8Array) this.#addWritten(step);
      else if (typeof step === 'object') {
        // An incomplete event is ignored: the checks below detect what the stream lacks.
        if (step.kind !== 'malformed') return this.#close(step);
      } else {
        if (step === 'end') return this.#close(step);
        if (step === 'done' || (step === 'pass' && framer.readData() !== null)) this.#addWritten(completed(framer.bytes));
        if (step === 'done') return this.#close(step);
      }
    }
    if (this.isWhole) return this.#close('end');
    if (!this.sawEvent && isUnrecognized) {
      return this.#close(createFailure('malformed', this.phase, 'the response is neither JSON nor a stream of events'));
    }
    if (!this.sawEvent) return this.#close(createFailure('empty', this.phase, 'the stream ended without an event'));
    return this.#close(createFailure('cut', this.phase, 'the stream ended before the response was complete'));
  }

  #close(step: 'done' | 'end' | Failure): StreamPush {
    if (step === 'end' && this.terminator.length > 0) this.#addPiece(this.terminator);
    this.#closed = true;
    this.#templates?.clear();
    return typeof step === 'object' ? this.#take(false, step) : this.#take(true, null);
  }

  /** The terminator is passed on now; `done` follows once it is clear whether an LF belongs to it. */
  #waitForLineFeed(): StreamPush {
    this.#awaitsLineFeed = true;
    return this.#take(false, null);
  }

  #endWithLineFeed(): StreamPush {
    const { framer } = this;
    if (framer.chunk.length === 0) return NOTHING;
    if (framer.next() && framer.isLateLineFeed) this.#addPiece(framer.bytes.subarray(framer.start, framer.end));
    return this.#close('done');
  }

  #take(done: boolean, failure: Failure | null): StreamPush {
    const pieces = this.#pieces;
    const hasContent = this.#hasContent;
    if (pieces === null && !hasContent && !done && failure === null) return NOTHING;
    // The reader of an idle stream retains no memory.
    this.#pieces = null;
    this.#hasContent = false;
    return { pieces: pieces ?? NO_CHUNKS, hasContent, done, failure };
  }

  #addWritten(piece: Uint8Array): void {
    this.#search(piece, 0, piece.length);
    this.#addPiece(piece);
  }

  #search(bytes: Uint8Array, start: number, end: number): void {
    if (this.secrets?.touches(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end)) === true) this.secrets = null;
  }

  #addPiece(piece: Uint8Array): void {
    if (this.#pieces === null) this.#pieces = [piece];
    else this.#pieces.push(piece);
  }

  #addRun(bytes: Uint8Array, start: number, end: number): void {
    if (end > start) this.#addPiece(end - start === bytes.length ? bytes : bytes.subarray(start, end));
  }
}

function isFields(block: Buffer): boolean {
  const lines = block.toString('latin1', 0, FIELDS_LENGTH_MAX).split(/\r\n?|\n/);
  if (block.length > FIELDS_LENGTH_MAX && lines.length > 1) lines.pop();
  return lines.every((line) => FIELD.test(line));
}

/** The last event with its missing blank line. After a CR, the first LF completes a CRLF. */
function completed(block: Buffer): Uint8Array {
  return Buffer.concat([block, Buffer.from(block.at(-1) === 0x0a ? '\n' : '\n\n')]);
}
