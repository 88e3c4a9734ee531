/** The calls of a library that run at its gateway, each until its response, or the stream of it, has ended. */
import type { Clock } from '../../core/clock.ts';
import type { GatewayWatch } from './gateway-watch.ts';

export interface GatewayCall {
  /** Aborted when the gateway is lost, or the library closes. */
  readonly signal: AbortSignal;
  /** May be called again. */
  end(): void;
}

export class GatewayCalls {
  readonly #watch: Pick<GatewayWatch, 'onLost'>;
  readonly #running = new Map<GatewayCall, AbortController>(); // as many as there are requests
  #onIdle: (() => void) | null = null;
  /** No further call begins. */
  isClosed = false;

  constructor(watch: Pick<GatewayWatch, 'onLost'>) {
    this.#watch = watch;
  }

  begin(): GatewayCall {
    const abort = new AbortController();
    const stopWatching = this.#watch.onLost(() => abort.abort(brokenOff('the gateway does not respond')));
    const call: GatewayCall = {
      signal: abort.signal,
      end: () => {
        stopWatching();
        this.#running.delete(call);
        if (this.#running.size === 0) this.#onIdle?.();
      },
    };
    this.#running.set(call, abort);
    return call;
  }

  /** Resolves when no call runs; those that still run after `timeoutMs` are aborted. */
  async close(clock: Clock, timeoutMs: number): Promise<void> {
    this.isClosed = true;
    if (this.#running.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = clock.schedule(timeoutMs, resolve);
      this.#onIdle = () => {
        timer.cancel();
        resolve();
      };
    });
    for (const [call, abort] of this.#running) {
      call.end();
      abort.abort(brokenOff('the library was closed'));
    }
  }
}

/** As `fetch` reports a response that ends early. */
function brokenOff(message: string): TypeError {
  return new TypeError('terminated', { cause: new Error(message) });
}
