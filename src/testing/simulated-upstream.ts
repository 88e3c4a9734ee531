/**
 * A Transport on virtual time whose responses are scripts. With a manual clock an hour of waiting takes milliseconds,
 * and every byte arrives at the instant that the script sets.
 */
import type { Clock, Instant, Timer } from '../core/clock.ts';
import { wholeBody } from '../transport/transport.ts';
import type { Transport, UpstreamCall, UpstreamListener, UpstreamRequest } from '../transport/transport.ts';

/** One step of a response, which ends normally after the last one. */
export type SimulatedStep =
  /** Milliseconds; Infinity: the rest never arrives. */
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'head'; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  | { readonly do: 'send'; readonly bytes: string | Uint8Array }
  /** The connection breaks, with one of Node's error codes. */
  | { readonly do: 'break'; readonly code: string };

export interface SimulatedResponse {
  /** Time until the connection is open, in milliseconds. Default 0; Infinity: never. */
  readonly connectMs?: number;
  /** Error code of a failed connection, after `connectMs`; no step runs. */
  readonly refuse?: string;
  readonly steps: Iterable<SimulatedStep>;
}

/** One call as seen by the provider. */
export interface SimulatedCall {
  /** Sequence number over all origins, from 1. */
  readonly number: number;
  readonly at: Instant;
  /** The body is a single buffer. */
  readonly request: UpstreamRequest & { readonly body: Uint8Array | null };
  /** The body as text; empty if there is none. */
  readonly body: string;
}

export interface SimulatedUpstream extends Transport {
  /** Every call so far, in order. */
  readonly calls: readonly SimulatedCall[];
  /** Calls running now, and the maximum so far. */
  readonly running: number;
  readonly maxRunning: number;
  /** Calls aborted by their caller. */
  readonly aborted: number;
  /** Number of calls to an origin, such as `http://a.test`. */
  callsTo(origin: string): number;
}

/** Creates an upstream that responds to each call with the result of `script`. */
export function createSimulatedUpstream(clock: Clock, script: (call: SimulatedCall) => SimulatedResponse): SimulatedUpstream {
  const calls: SimulatedCall[] = [];
  const open = new Set<Play>();
  let maxRunning = 0;
  let aborted = 0;

  return {
    send(request, listener) {
      const bytes = wholeBody(request);
      const body = bytes === null ? '' : Buffer.from(bytes).toString();
      const call: SimulatedCall = { number: calls.length + 1, at: clock.now(), request: { ...request, body: bytes }, body };
      calls.push(call);
      const play: Play = new Play(clock, script(call), listener, () => open.delete(play));
      open.add(play);
      maxRunning = Math.max(maxRunning, open.size);
      return {
        abort() {
          if (open.has(play)) aborted++;
          play.stop();
        },
        pause: () => play.pause(),
        resume: () => play.resume(),
      };
    },
    close() {
      for (const play of open) play.stop();
      return Promise.resolve();
    },
    calls,
    get running() {
      return open.size;
    },
    get maxRunning() {
      return maxRunning;
    },
    get aborted() {
      return aborted;
    },
    callsTo: (origin) => calls.filter((call) => call.request.origin === origin).length,
  };
}

/** Plays a response to its listener; `onOver` is called when it ends for any reason. Steps are evaluated lazily as time reaches them. */
export function playResponse(clock: Clock, response: SimulatedResponse, listener: UpstreamListener, onOver: () => void): UpstreamCall {
  return new Play(clock, response, listener, onOver);
}

class Play implements UpstreamCall {
  readonly #clock: Clock;
  readonly #steps: Iterator<SimulatedStep>;
  readonly #listener: UpstreamListener;
  readonly #onOver: () => void;
  #timer: Timer | null = null;
  #paused = false;
  #waiting = true;
  #over = false;

  constructor(clock: Clock, response: SimulatedResponse, listener: UpstreamListener, onOver: () => void) {
    this.#clock = clock;
    this.#steps = response.steps[Symbol.iterator]();
    this.#listener = listener;
    this.#onOver = onOver;
    this.#wait(response.connectMs ?? 0, () => {
      if (response.refuse !== undefined) return this.#break(response.refuse);
      listener.onSent();
      this.#run();
    });
  }

  /** Stops the playback; the listener is not called again. */
  stop(): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer?.cancel();
    this.#onOver();
  }

  abort(): void {
    this.stop();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    if (!this.#waiting) this.#wait(0, () => this.#run());
  }

  #run(): void {
    while (!this.#over) {
      if (this.#paused) return;
      const next = this.#steps.next();
      if (next.done === true) return this.#finish(() => this.#listener.onEnd());
      const step = next.value;
      if (step.do === 'wait') return this.#wait(step.ms, () => this.#run());
      if (step.do === 'head') this.#listener.onHeaders(step.status, step.headers ?? {});
      else if (step.do === 'send') this.#listener.onData(Buffer.from(step.bytes as string));
      else return this.#break(step.code);
    }
  }

  #break(code: string): void {
    this.#finish(() => this.#listener.onError(Object.assign(new Error(code), { code })));
  }

  #wait(ms: number, then: () => void): void {
    this.#waiting = true;
    if (ms === Infinity) return;
    this.#timer = this.#clock.schedule(ms, () => {
      this.#timer = null;
      this.#waiting = false;
      if (!this.#over) then();
    });
  }

  #finish(tell: () => void): void {
    this.stop();
    tell();
  }
}
