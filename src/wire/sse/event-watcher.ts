/**
 * Watches a stream of server-sent events: gives back the original bytes of whole events, so that nothing is written anew, and finds its
 * end (design 4.5, 4.2). What an event means is the dialect's: it extends this class.
 */
import { Buffer } from 'node:buffer';
import type { ResponseFacts, Failure, Phase } from '../../core/facts.ts';
import type { SecretScan } from '../../core/secrets/secret-scan.ts';
import type { StreamPush, StreamReader } from '../dialect.ts';
import { createFailure } from '../failure.ts';
import { SseFramer } from './sse-framer.ts';

/** A line of a stream of events: a field that it may have, a comment, or nothing. */
const FIELD = /^$|^:|^(data|event|id|retry)(:|$)/;
/** So much of a block is looked at to recognise it. */
const FIELDS_LENGTH_MAX = 16 * 1024;
const NO_PIECES: readonly Uint8Array[] = [];
const NOTHING: StreamPush = { pieces: NO_PIECES, hasContent: false, done: false, failure: null };

/**
 * What becomes of an event:
 * - `pass` and `strip`: its bytes go on, or are taken out
 * - `done`: it passes, and the stream has ended well
 * - `end`: it is taken out, and the stream ends well with the dialect's own terminator
 * - bytes: they go on in its place
 * - a failure: the stream has failed
 */
export type Step = 'pass' | 'strip' | 'done' | 'end' | Uint8Array | Failure;

export abstract class EventWatcher implements StreamReader {
  readonly facts: ResponseFacts = { model: null, usage: null, finishReason: null, hasContent: false };
  protected readonly framer: SseFramer;
  protected readonly maxEventSize: number;
  /** An event with data has come. */
  protected sawEvent = false;
  #closed = false;
  /** The terminator is through, but for the LF of its last CRLF. */
  #awaitsLineFeed = false;
  /** What became of the last whole block. */
  #lastStep: 'pass' | 'strip' = 'pass';
  /** Of the current push. */
  #pieces: Uint8Array[] | null = null;
  #hasContent = false;
  /** Null: it does not look for secrets, or has found a possible one. */
  protected secrets: SecretScan | null;

  constructor(maxEventSize: number, secrets: SecretScan | null = null) {
    this.maxEventSize = maxEventSize;
    this.framer = new SseFramer(maxEventSize);
    // A secret that extends beyond one string is not found event by event.
    this.secrets = secrets?.isWithinStrings === true ? secrets : null;
  }

  /** False: nothing that it has passed so far contains a secret or a part of one. */
  get mayHoldSecret(): boolean {
    return this.secrets === null;
  }

  /** An estimate of the output tokens. */
  abstract readonly estimatedOutputTokens: number;

  /** What ends a stream of the dialect. */
  protected abstract readonly terminator: Uint8Array;

  /** Every choice has ended: only usage and terminator may follow. */
  protected abstract readonly isWhole: boolean;

  /** Reads the framer's current block. */
  protected abstract readBlock(): Step;

  /** Passes events of a known form without reading them; true if there were some. */
  protected skipKnownEvents(): boolean {
    return false;
  }

  /** Nothing more is read. */
  protected onClosed(): void {}

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
    // The events that may pass lie in runs of the chunk; `runStart` is where the current run begins.
    let runStart = 0;
    for (;;) {
      if (this.skipKnownEvents()) {
        this.#lastStep = 'pass';
        continue;
      }
      if (!framer.next()) break;
      const step = framer.isLateLineFeed ? this.#lastStep : this.readBlock();
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
    return this.#give(false, null);
  }

  end(): StreamPush {
    if (this.#closed) return NOTHING;
    if (this.#awaitsLineFeed) return this.#close('done');
    const { framer } = this;
    let isStrange = false;
    if (framer.finish()) {
      const step = this.readBlock();
      isStrange = !isFields(framer.bytes);
      if (step instanceof Uint8Array) this.#addWritten(step);
      else if (typeof step === 'object') {
        // An event cut short is no event: what the stream lacks is judged below.
        if (step.kind !== 'malformed') return this.#close(step);
      } else {
        if (step === 'end') return this.#close(step);
        if (step === 'done' || (step === 'pass' && framer.readData() !== null)) this.#addWritten(completed(framer.bytes));
        if (step === 'done') return this.#close(step);
      }
    }
    if (this.isWhole) return this.#close('end');
    if (!this.sawEvent && isStrange) {
      return this.#close(createFailure('malformed', this.phase, 'the answer is neither JSON nor a stream of events'));
    }
    if (!this.sawEvent) return this.#close(createFailure('empty', this.phase, 'the stream ended without an event'));
    return this.#close(createFailure('cut', this.phase, 'the stream ended before the answer was complete'));
  }

  #close(step: 'done' | 'end' | Failure): StreamPush {
    if (step === 'end' && this.terminator.length > 0) this.#addPiece(this.terminator);
    this.#closed = true;
    this.onClosed();
    return typeof step === 'object' ? this.#give(false, step) : this.#give(true, null);
  }

  /** The terminator goes on now; `done` follows when it is known whether an LF belongs to it. */
  #waitForLineFeed(): StreamPush {
    this.#awaitsLineFeed = true;
    return this.#give(false, null);
  }

  #endWithLineFeed(): StreamPush {
    const { framer } = this;
    if (framer.chunk.length === 0) return NOTHING;
    if (framer.next() && framer.isLateLineFeed) this.#addPiece(framer.bytes.subarray(framer.start, framer.end));
    return this.#close('done');
  }

  #give(done: boolean, failure: Failure | null): StreamPush {
    const pieces = this.#pieces;
    const hasContent = this.#hasContent;
    if (pieces === null && !hasContent && !done && failure === null) return NOTHING;
    // The reader of a silent stream holds on to nothing.
    this.#pieces = null;
    this.#hasContent = false;
    return { pieces: pieces ?? NO_PIECES, hasContent, done, failure };
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

/** The last event with the blank line that it lacks. After a CR the first LF is its second half. */
function completed(block: Buffer): Uint8Array {
  return Buffer.concat([block, Buffer.from(block.at(-1) === 0x0a ? '\n' : '\n\n')]);
}
