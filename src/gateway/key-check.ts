/**
 * Checks a suspected credential with a free call: `GET /models` with that key. Under high traffic the next requests confirm or clear the
 * suspicion first; under low traffic this check does. It runs independently of requests: one at a time per credential, bounded in time and size.
 */
import type { Clock, Instant, Timer } from '../core/clock.ts';
import type { Failure } from '../core/facts.ts';
import { firstValue, type HeadersByName } from '../core/headers.ts';
import type { TargetState } from '../pipeline/route/route.ts';
import type { Transport, UpstreamCall } from '../transport/transport.ts';
import { failureFromResponse } from '../wire/failure.ts';

/** Delay before the check, in which other requests may settle the suspicion; in milliseconds. */
const CHECK_DELAY_MS = 2_000;
const CHECK_TIMEOUT_MS = 5_000;
/** The least time between two checks of one credential, in milliseconds. */
const CHECK_EVERY_MS = 30_000;
const BODY_MAX = 64 * 1024;

interface Check {
  timer: Timer;
  call: UpstreamCall | null;
}

export class KeyCheck {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #onRefused: (state: TargetState, failure: Failure) => void;
  /** By credential id; at most one per configured credential. */
  readonly #checks = new Map<string, Check>();
  readonly #checkedAt = new WeakMap<object, Instant>();

  /** `onRefused` is called with the failure of every error status, unmasked; the verdict table decides whether it rejects the key. */
  constructor(transport: Transport, clock: Clock, onRefused: (state: TargetState, failure: Failure) => void) {
    this.#transport = transport;
    this.#clock = clock;
    this.#onRefused = onRefused;
  }

  /** Schedules a check after a rejection of a request of `state` that its credential may have caused. */
  raise(state: TargetState): void {
    const { credential } = state;
    const { id, auth } = credential;
    if (state.endpoint.modelsPath(state.basePath) === null) return;
    if (state.runsHere || auth === 'caller' || auth.length === 0 || this.#checks.has(id)) return;
    const checkedAt = this.#checkedAt.get(credential) ?? -Infinity;
    if (this.#clock.now() - checkedAt < CHECK_EVERY_MS) return;
    this.#checks.set(id, { timer: this.#clock.schedule(CHECK_DELAY_MS, () => this.#check(state, auth)), call: null });
  }

  /** Aborts all checks. */
  close(): void {
    for (const { timer, call } of this.#checks.values()) {
      timer.cancel();
      call?.abort();
    }
    this.#checks.clear();
  }

  #check(state: TargetState, auth: readonly string[]): void {
    const { credential } = state;
    const check = this.#checks.get(credential.id)!;
    if (!credential.quarantine.isSuspect(this.#clock.now())) return void this.#checks.delete(credential.id);
    this.#checkedAt.set(credential, this.#clock.now());
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    let status = 0;
    let found: HeadersByName = {};
    /** A partial body is used as it is: the status matters most. */
    const end = (hasResponse: boolean): void => {
      if (this.#checks.get(credential.id) !== check) return;
      this.#checks.delete(credential.id);
      check.timer.cancel();
      if (!hasResponse || status < 400) return;
      const headers = { get: (name: string) => firstValue(found[name]) ?? null };
      const failure = failureFromResponse({ status, headers, body: Buffer.concat(chunks), epochMs: this.#clock.epochMs() });
      this.#onRefused(state, failure);
    };
    const stop = (): void => {
      check.call?.abort();
      end(true);
    };
    check.timer = this.#clock.schedule(CHECK_TIMEOUT_MS, stop);
    check.call = this.#transport.send(
      {
        origin: state.origin,
        path: state.endpoint.modelsPath(state.basePath)!,
        method: 'GET',
        headers: [...state.headers, 'accept', 'application/json', 'accept-encoding', 'identity', ...state.endpoint.defaultHeaders, ...auth],
        body: null,
        connectTimeoutMs: CHECK_TIMEOUT_MS,
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
