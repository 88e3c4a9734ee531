/**
 * The feed of `/admin/events`: one frame per second, built once for all readers.
 *
 * ## Cost
 * Events are only counted (activity, notices, a sample of finished requests); a frame is built from the counts and has the same size at ten
 * requests a second as at ten thousand. Without readers no frame is built and no timer runs.
 *
 * ## Resuming
 * Each frame replaces the state. Points, notices and finished requests are numbered and stored in bounded lists, so that a reader that names
 * its last frame gets the ones after it; a reader that missed more, or was connected to another process, gets everything.
 *
 * ## Slow readers
 * A slow reader gets no frames until it has caught up, then everything since its last frame. After `behindMaxMs` it is disconnected and counted.
 */
import type { Clock, Instant, Timer } from '../core/clock.ts';
import type { BreakwaterEvent, RejectedEvent } from '../core/events.ts';
import { ActivitySeries } from './activity-series.ts';
import { POINTS_MAX, type FeedState, type HelloFrame, type TickFrame } from './feed-frames.ts';
import { FinishedSample } from './finished-sample.ts';
import { Notices, noticesMax } from './notices.ts';
import { RecentActivity } from './recent-activity.ts';
import { RecentErrors } from './recent-errors.ts';
import { summaryOf, type Timelines } from './timelines.ts';
import type { RequestScopedEvent, Trace, Traces } from './traces.ts';

export const tickMs = 1_000;
/** A reader that is behind for longer is disconnected, in milliseconds. */
export const behindMaxMs = 10_000;
export const readersMax = 32;
const noticesPerFrameMax = 20;
const requestsInHello = 60;
const runningShown = 10;
/** Number of frames from which a reader can resume: an hour of them. */
const marksMax = 3_600;

/** A reader of the feed. */
export interface FeedReader {
  /** Sends a frame as a server-sent event. Returns false if the reader is behind until `caughtUp`. */
  send(event: Uint8Array): boolean;
  /** Ends the feed: the reader is too slow, or the gateway has stopped. */
  close(cause: 'behind' | 'stopped'): void;
}

export interface FeedSubscription {
  /** The reader has received all that was sent. */
  caughtUp(): void;
  stop(): void;
}

export interface FeedOptions {
  readonly clock: Clock;
  readonly traces: Traces;
  readonly timelines: Timelines;
  /** The status of the gateway; JSON-ready. */
  readonly status: () => unknown;
  /** Masks secrets. */
  readonly mask: (text: string) => string;
}

/** A reader's position in each numbered list. */
interface Mark {
  readonly frame: number;
  readonly points: number;
  readonly notices: number;
  readonly finished: number;
}

interface Subscriber {
  readonly reader: FeedReader;
  mark: Mark;
  behindSince: Instant | null;
}

export class Feed {
  readonly #options: FeedOptions;
  readonly #clock: Clock;
  readonly #series: ActivitySeries;
  readonly #activity = new RecentActivity();
  readonly #errors = new RecentErrors();
  readonly #notices = new Notices();
  readonly #sample = new FinishedSample();
  readonly #subscribers = new Set<Subscriber>();
  /** Identifies this process in the ids of frames. */
  readonly #boot: string;
  readonly #startedAt: number;
  #marks: Mark[] = [];
  #mark: Mark = { frame: 0, points: 0, notices: 0, finished: 0 };
  /** The mark of the last frame to all readers. */
  #tickMark: Mark = this.#mark;
  #facts: Readonly<Record<string, string>> = {};
  #phase: FeedState['phase'] = 'running';
  #isStopped = false;
  #timer: Timer | null = null;
  #dropped = 0;

  constructor(options: FeedOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#startedAt = options.clock.epochMs();
    this.#boot = this.#startedAt.toString(36);
    this.#series = new ActivitySeries(this.#startedAt);
  }

  get readers(): number {
    return this.#subscribers.size;
  }

  /** Number of readers disconnected because they were too slow. */
  get dropped(): number {
    return this.#dropped;
  }

  /** `epochMs`: the current wall clock time. */
  record(event: BreakwaterEvent, trace: Trace | undefined, epochMs: number): void {
    if ('requestId' in event) return this.#count(event, trace, epochMs);
    if (event.type === 'lifecycle') {
      this.#facts = event.facts ?? this.#facts;
      if (event.state === 'draining') this.#phase = 'draining';
      if (event.state === 'reloaded') this.#activity.reloaded(this.#clock.now());
    }
    this.#notices.record(event, epochMs);
    if (event.type === 'lifecycle' && event.state === 'stopped') this.close();
  }

  /**
   * Starts sending frames: first everything, or everything since the frame `lastEventId` if that is still stored. Null if there are already
   * `readersMax` readers, or the gateway has stopped.
   */
  subscribe(reader: FeedReader, lastEventId: string | null): FeedSubscription | null {
    if (this.#subscribers.size >= readersMax || this.#isStopped) return null;
    const subscriber: Subscriber = { reader, mark: this.#mark, behindSince: null };
    const mark = this.#advance();
    if (this.#subscribers.size === 0) this.#tickMark = mark;
    this.#subscribers.add(subscriber);
    this.#sendMissed(subscriber, lastEventId === null ? null : this.#markOf(lastEventId), mark);
    this.#timer ??= this.#clock.schedule(tickMs, this.#tick);
    return { caughtUp: () => this.#caughtUp(subscriber), stop: () => this.#forget(subscriber) };
  }

  /** Disconnects all readers and accepts no more. */
  close(): void {
    this.#isStopped = true;
    for (const { reader } of this.#subscribers) reader.close('stopped');
    this.#subscribers.clear();
    this.#timer?.cancel();
    this.#timer = null;
  }

  #count(event: RequestScopedEvent, trace: Trace | undefined, epochMs: number): void {
    if (event.type === 'received') this.#series.received(epochMs);
    else if (event.type === 'attempt') this.#series.attempt(epochMs);
    else if (event.type === 'attempt_end') this.#activity.attemptEnded(event, event.at);
    else if (event.type === 'finished') {
      this.#series.finished(event, epochMs);
      this.#activity.finished(event, event.at, epochMs);
      this.#errors.finished(event, epochMs);
      if (trace !== undefined) this.#sample.add(trace);
    } else if (event.type === 'rejected') this.#countRejected(event, trace, epochMs);
  }

  #countRejected(event: RejectedEvent, trace: Trace | undefined, epochMs: number): void {
    const isVisible = this.#errors.rejected(event, epochMs);
    if (isVisible) this.#series.rejected(epochMs);
    if (isVisible && event.client !== null) this.#activity.rejected(event.client, this.#clock.now());
    if (trace === undefined) return;
    trace.isCallerVisible = isVisible;
    this.#sample.add(trace);
  }

  readonly #tick = (): void => {
    this.#timer = null;
    const before = this.#tickMark;
    const mark = this.#advance();
    this.#tickMark = mark;
    const notices = this.#notices.since(before.notices);
    const frame: TickFrame = {
      state: this.#state(),
      points: this.#series.since(before.points),
      notices: notices.slice(-noticesPerFrameMax),
      requests: this.#sample.since(before.finished).map((trace) => summaryOf(trace, this.#clock)),
      finished: mark.finished - before.finished,
      unshownNotices: Math.max(0, notices.length - noticesPerFrameMax),
    };
    const bytes = this.#encode('tick', mark, frame);
    for (const subscriber of this.#subscribers) this.#offer(subscriber, before, mark, bytes);
    if (this.#subscribers.size > 0) this.#timer = this.#clock.schedule(tickMs, this.#tick);
  };

  /** `bytes`: the frame between the two marks. A reader that connected in between gets its own frame. */
  #offer(subscriber: Subscriber, before: Mark, mark: Mark, bytes: Uint8Array): void {
    const { reader, behindSince } = subscriber;
    if (behindSince === null) {
      if (subscriber.mark !== before) return this.#sendMissed(subscriber, subscriber.mark, mark);
      subscriber.mark = mark;
      if (!reader.send(bytes)) subscriber.behindSince = this.#clock.now();
    } else if (this.#clock.now() - behindSince >= behindMaxMs) {
      this.#dropped++;
      this.#forget(subscriber);
      reader.close('behind');
    }
  }

  #caughtUp(subscriber: Subscriber): void {
    if (!this.#subscribers.has(subscriber)) return;
    subscriber.behindSince = null;
    if (subscriber.mark !== this.#mark) this.#sendMissed(subscriber, subscriber.mark, this.#advance());
  }

  /** Sends a frame of everything between the marks `seen` and `mark`; everything stored if `seen` is null. */
  #sendMissed(subscriber: Subscriber, seen: Mark | null, mark: Mark): void {
    const frame = seen === null ? this.#everything() : this.#since(seen);
    subscriber.mark = mark;
    if (!subscriber.reader.send(this.#encode('hello', mark, frame))) subscriber.behindSince = this.#clock.now();
  }

  #everything(): HelloFrame {
    return {
      resumed: false,
      state: this.#state(),
      points: this.#series.since(this.#series.finishedPoints - POINTS_MAX),
      notices: this.#notices.since(0),
      requests: this.#options.timelines
        .list({ limit: requestsInHello })
        .filter(({ outcome }) => outcome !== 'running')
        .toReversed(),
    };
  }

  #since(seen: Mark): HelloFrame {
    return {
      resumed: true,
      state: this.#state(),
      points: this.#series.since(seen.points),
      notices: this.#notices.since(seen.notices),
      requests: this.#sample.since(seen.finished).map((trace) => summaryOf(trace, this.#clock)),
    };
  }

  #state(): FeedState {
    const epochMs = this.#clock.epochMs();
    return {
      at: epochMs,
      startedAt: this.#startedAt,
      phase: this.#phase,
      facts: this.#facts,
      rates: this.#series.rates(epochMs),
      targets: this.#activity.targets(this.#clock.now()),
      clients: this.#activity.clients(this.#clock.now()),
      errors: this.#errors.read(epochMs),
      running: this.#options.traces.longestRunning(runningShown).map((trace) => summaryOf(trace, this.#clock)),
      status: this.#options.status(),
    };
  }

  /** Ends a frame: later data belongs to the next one. */
  #advance(): Mark {
    this.#series.roll(this.#clock.epochMs());
    this.#sample.close();
    const { finishedPoints } = this.#series;
    this.#mark = { frame: this.#mark.frame + 1, points: finishedPoints, notices: this.#notices.count, finished: this.#sample.count };
    this.#marks.push(this.#mark);
    if (this.#marks.length > marksMax) this.#marks.shift();
    return this.#mark;
  }

  #markOf(id: string): Mark | null {
    const [boot, frame] = id.split('-');
    if (boot !== this.#boot) return null;
    const mark = this.#marks.find((one) => String(one.frame) === frame);
    const isKept =
      mark !== undefined && this.#series.finishedPoints - mark.points <= POINTS_MAX && this.#notices.count - mark.notices <= noticesMax;
    return isKept ? mark : null;
  }

  #encode(type: string, mark: Mark, frame: object): Uint8Array {
    return Buffer.from(this.#options.mask(`id: ${this.#boot}-${mark.frame}\nevent: ${type}\ndata: ${JSON.stringify(frame)}\n\n`));
  }

  #forget(subscriber: Subscriber): void {
    this.#subscribers.delete(subscriber);
    if (this.#subscribers.size > 0 || this.#timer === null) return;
    this.#timer.cancel();
    this.#timer = null;
  }
}
