/** Graceful shutdown in bounded time: refuses new requests, waits for running ones, then aborts them. */
import type { Clock } from '../core/clock.ts';
import { within } from '../core/within.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { App } from './app.ts';
import type { Listener } from './listener.ts';

/** For slow readers to receive the rest of a complete response, in milliseconds. */
const flushTimeoutMs = 2000;
/** After `timeoutMs` or `hurry`, for closing engine and store, so that a hanging disk does not block shutdown. */
const closeTimeoutMs = 2500;
/** After these, for everything here. Telemetry is closed afterwards, and the process has 5 s. */
const endTimeoutMs = 3500;

export interface DrainParts {
  readonly app: App;
  readonly gateway: Gateway;
  /** Null: in process only. */
  readonly listener: Listener | null;
  readonly clock: Clock;
  /** How long running requests may continue, in milliseconds. */
  readonly timeoutMs: number;
  /** Ends that time early. */
  readonly hurry?: Promise<void>;
}

/** Resolves when all requests have ended and all connections are closed. Never rejects because of a request. */
export async function drain({ app, gateway, listener, clock, timeoutMs, hurry }: DrainParts): Promise<void> {
  let endsAt = clock.now() + timeoutMs;
  const leftMs = (afterMs: number): number => Math.max(0, endsAt + afterMs - clock.now());
  app.startDraining();
  listener?.windDown();
  const drained = gateway.drain();
  const hurried = hurry?.then(() => void (endsAt = clock.now()));
  await within(clock, timeoutMs, hurried === undefined ? drained : Promise.race([drained, hurried]));
  const closed = listener?.close();
  await within(clock, leftMs(closeTimeoutMs), gateway.close());
  if (listener === null || closed === undefined) return;
  await within(clock, Math.min(flushTimeoutMs, leftMs(endTimeoutMs)), closed);
  listener.destroy();
  await closed;
}
