/** A reader of a shared response that records it for instances that follow it. */
import type { FlightRecorder } from '../../cluster/flight-recorder.ts';
import type { Urgency } from '../../cluster/flights.ts';
import type { Clock, Instant } from '../../core/clock.ts';
import type { BreakwaterError } from '../../core/errors.ts';
import type { SchedulingClass } from '../../core/request.ts';
import type { UpstreamRefusal } from '../delivery/downstream.ts';
import { encodeCachedHead } from './cached-bytes.ts';
import type { ResponseHead, ResponseReaderOwner, SharedReader } from './response-reader.ts';
import type { WholeResponse } from './whole-response.ts';

/** As for other readers, in milliseconds. */
const STALL_BUDGET_MS = 1_000;
/** A recording with more bytes ends as one that can't be continued. A response above this size can't be joined at its own instance either. */
export const RECORDING_BYTES_MAX = 16 * 1024 * 1024;

export class RemoteReader implements SharedReader {
  readonly deadline: Instant;
  readonly priority: SchedulingClass;
  readonly #recorder: FlightRecorder;
  #response: ResponseReaderOwner | null = null;
  #recordedBytes = 0;
  isOver = false;
  isBehind = false;
  chunks = 0;
  bytes = 0;
  stallBudgetMs = STALL_BUDGET_MS;
  /** Bytes were accepted since the last look. */
  #hasMoved = true;

  constructor(clock: Clock, recorder: FlightRecorder, { priority, remainingMs }: Urgency) {
    this.deadline = clock.now() + remainingMs;
    this.priority = priority;
    this.#recorder = recorder;
    recorder.onDrained = () => {
      this.isBehind = false;
      this.#hasMoved = true;
      if (!this.isOver) this.#response?.onDrained();
    };
    recorder.onFailed = () => this.leave();
    recorder.add('hello');
  }

  follow(response: ResponseReaderOwner): void {
    this.#response = response;
  }

  /** Each follower watches its own. */
  watchDeadline(): void {}

  canFollow(): boolean {
    return true;
  }

  open({ status, shared, isEventStream }: ResponseHead): void {
    this.#recorder.add('head', { status, headers: shared, isEventStream });
  }

  write(chunks: readonly Uint8Array[]): boolean {
    this.#hasMoved = true;
    for (const chunk of chunks) this.#recordedBytes += chunk.byteLength;
    if (this.#recordedBytes > RECORDING_BYTES_MAX) {
      this.leave();
      return true;
    }
    let isCurrent = true;
    for (const chunk of chunks) isCurrent = this.#recorder.add('chunk', null, chunk);
    this.isBehind = !isCurrent;
    return isCurrent;
  }

  readerMoved(): boolean {
    const moved = this.#hasMoved;
    this.#hasMoved = !this.isBehind;
    return moved;
  }

  end(): void {
    this.#last('end');
  }

  take(whole: WholeResponse): void {
    this.#last('whole', null, Buffer.concat([encodeCachedHead(whole, null), whole.body]));
  }

  fail({ code, message, status, param, retryAfterMs }: BreakwaterError): void {
    // This instance stops; another one can make the response.
    if (code === 'shutting_down' && this.chunks === 0) return this.leave();
    this.#last('fail', { code, message, status, param, retryAfterMs });
  }

  refuse(refusal: UpstreamRefusal, shared: readonly string[]): void {
    this.#last('refuse', { ...refusal, body: null, headers: shared }, refusal.body);
  }

  /** The response is given up, too large to be recorded, or no longer followed. */
  leave(): void {
    this.#last('gone');
  }

  drop(): void {
    this.leave();
  }

  #last(kind: string, meta: unknown = null, bytes?: Uint8Array): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#recorder.add(kind, meta, bytes);
    this.#recorder.close();
    this.#response?.onGone(this);
  }
}
