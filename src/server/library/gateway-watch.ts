/** Whether the gateway that a library uses is alive, and how many libraries and instances share its limits. */
import type { Clock, Timer } from '../../core/clock.ts';
import type { GatewayClient } from '../../transport/gateway-client.ts';

/** Between two health checks, in milliseconds: while the gateway is alive, and while it is not. */
const LOOK_MS = 1_000;
const LOOK_AGAIN_MS = 500;
/** A health check fails after this, in milliseconds. */
const LOOK_TIMEOUT_MS = 1_000;
/** Consecutive timeouts after which the gateway counts as frozen. One refused connection is enough. */
const SILENT_MAX = 2;
const SHARES_MAX = 10_000;

export interface GatewayWatchOptions {
  readonly clock: Clock;
  readonly client: GatewayClient;
  /** Without a slash at its end. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly onChange: (isAlive: boolean) => void;
  /** `shares` has changed. */
  readonly onShares: () => void;
}

export class GatewayWatch {
  readonly #options: GatewayWatchOptions;
  #isAlive = false;
  /**
   * By how many each limit is divided without the gateway, as of its last answer: the instances of its fleet, times the libraries that use this
   * one. The other instances go on with theirs.
   */
  shares = 1;
  #silent = 0;
  #timer: Timer | null = null;
  #looking: Promise<boolean> | null = null;
  #isStopped = false;
  readonly #onLost = new Set<() => void>(); // as many as there are requests

  constructor(options: GatewayWatchOptions) {
    this.#options = options;
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** Starts the health checks. Resolves after the first one. */
  async start(): Promise<void> {
    await this.check();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /** Calls the listener once when the gateway is lost; returns how to stop. */
  onLost(listener: () => void): () => void {
    this.#onLost.add(listener);
    return () => this.#onLost.delete(listener);
  }

  /** Checks now. */
  check(): Promise<boolean> {
    this.#looking ??= this.#look().finally(() => (this.#looking = null));
    return this.#looking;
  }

  /** A request found that the gateway does not respond. */
  lost(): void {
    this.#set(false, false);
  }

  async #look(): Promise<boolean> {
    this.#timer?.cancel();
    const { clock, client, url, headers } = this.#options;
    const abort = new AbortController();
    const timeout = clock.schedule(LOOK_TIMEOUT_MS, () => abort.abort());
    try {
      const response = await client.fetch(`${url}/health/ready`, { headers, signal: abort.signal });
      const { status, libraries, instances } = (await response.json()) as { status?: unknown; libraries?: unknown; instances?: unknown };
      this.#silent = 0;
      const before = this.shares;
      if (isCount(libraries)) this.shares = Math.min(SHARES_MAX, libraries * (isCount(instances) ? instances : 1));
      // One that drains still ends what it has begun.
      this.#set(response.status === 200 && status === 'ready', false);
      if (this.#isAlive && this.shares !== before) this.#options.onShares();
    } catch {
      this.#silent++;
      // Refused: what it has begun ends with its own connections.
      if (!abort.signal.aborted) this.#set(false, false);
      else if (this.#silent >= SILENT_MAX || !this.#isAlive) this.#set(false, true);
    } finally {
      timeout.cancel();
    }
    if (!this.#isStopped) this.#timer = clock.schedule(this.#isAlive ? LOOK_MS : LOOK_AGAIN_MS, () => void this.check());
    return this.#isAlive;
  }

  /** `isGone`: running requests at the gateway are aborted. */
  #set(isAlive: boolean, isGone: boolean): void {
    if (this.#isStopped) return;
    if (this.#isAlive !== isAlive) {
      this.#isAlive = isAlive;
      if (isAlive) this.#silent = 0;
      this.#options.onChange(isAlive);
    }
    if (!isGone) return;
    for (const listener of this.#onLost) listener();
    this.#onLost.clear();
  }
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1;
}
