/**
 * A free question of our own about a suspected credential: `GET /models` with that key. Where traffic is high the next requests decide a
 * suspicion sooner; where it is low this does. It runs beside all requests: one at a time for a credential, bounded in time and size.
 */
import type { HeadersByName } from '../core/headers.ts';
import type { Clock, Instant, Timer } from '../core/clock.ts';
import type { Failure } from '../core/facts.ts';
import type { TargetState } from '../pipeline/route/route.ts';
import { firstValue } from '../transport/transport.ts';
import type { Transport, UpstreamCall } from '../transport/transport.ts';
import { failureFromResponse } from '../wire/failure.ts';

/** A suspicion that requests decide sooner costs no question; in milliseconds. */
const ASK_AFTER_MS = 2_000;
const ASK_TIMEOUT_MS = 5_000;
/** Between two questions about one credential, in milliseconds. */
const ASK_EVERY_MS = 30_000;
const BODY_MAX = 64 * 1024;

interface Check {
  timer: Timer;
  call: UpstreamCall | null;
}

export class KeyCheck {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #onRefused: (state: TargetState, failure: Failure) => void;
  /** By credential; at most one for each that is configured. */
  readonly #checks = new Map<string, Check>();
  readonly #askedAt = new WeakMap<object, Instant>();

  /** `onRefused` gets the failure of every error status, with whatever secrets it repeats; whether it refuses the key is for the verdict table to say. */
  constructor(transport: Transport, clock: Clock, onRefused: (state: TargetState, failure: Failure) => void) {
    this.#transport = transport;
    this.#clock = clock;
    this.#onRefused = onRefused;
  }

  /** A request of `state` was refused in a way that may be the fault of its credential. */
  raise(state: TargetState): void {
    const { credential } = state;
    const { id, auth } = credential;
    if (state.endpoint.modelsPath(state.basePath) === null) return;
    if (state.runsHere || auth === 'caller' || auth.length === 0 || this.#checks.has(id)) return;
    const askedAt = this.#askedAt.get(credential) ?? -Infinity;
    if (this.#clock.now() - askedAt < ASK_EVERY_MS) return;
    this.#checks.set(id, { timer: this.#clock.schedule(ASK_AFTER_MS, () => this.#ask(state, auth)), call: null });
  }

  /** Breaks off whatever is under way. */
  close(): void {
    for (const { timer, call } of this.#checks.values()) {
      timer.cancel();
      call?.abort();
    }
    this.#checks.clear();
  }

  #ask(state: TargetState, auth: readonly string[]): void {
    const { credential } = state;
    const check = this.#checks.get(credential.id)!;
    if (!credential.bench.isSuspect(this.#clock.now())) return void this.#checks.delete(credential.id);
    this.#askedAt.set(credential, this.#clock.now());
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    let status = 0;
    let found: HeadersByName = {};
    /** What came of the body does: the status says most. */
    const end = (isHeard: boolean): void => {
      if (this.#checks.get(credential.id) !== check) return;
      this.#checks.delete(credential.id);
      check.timer.cancel();
      if (!isHeard || status < 400) return;
      const headers = { get: (name: string) => firstValue(found[name]) ?? null };
      const failure = failureFromResponse({ status, headers, body: Buffer.concat(chunks), epochMs: this.#clock.epochMs() });
      this.#onRefused(state, failure);
    };
    const stop = (): void => {
      check.call?.abort();
      end(true);
    };
    check.timer = this.#clock.schedule(ASK_TIMEOUT_MS, stop);
    check.call = this.#transport.send(
      {
        origin: state.origin,
        path: state.endpoint.modelsPath(state.basePath)!,
        method: 'GET',
        headers: [...state.headers, 'accept', 'application/json', 'accept-encoding', 'identity', ...state.endpoint.defaultHeaders, ...auth],
        body: null,
        connectTimeoutMs: ASK_TIMEOUT_MS,
      },
      {
        onSent() {},
        onHeaders(code, headers) {
          status = code;
          found = headers;
        },
        onData(chunk) {
          chunks.push(chunk);
          bytes += chunk.byteLength;
          if (bytes > BODY_MAX) stop();
        },
        onEnd: () => end(true),
        onError: () => end(status >= 400),
      },
    );
  }
}
