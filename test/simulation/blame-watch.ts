/** Checks that one client's failures alone neither open a breaker nor pause a target for others. */
import type { BreakwaterEvent, EventOf } from '../../src/core/events.ts';
import type { Simulation } from '../../src/testing/simulation.ts';

/** Others that were served within this time count, in milliseconds: the window of the breaker, less some time for overlapping calls. */
const WINDOW_MS = 30_000;
const OVERLAP_MS = 1_000;
/** Consecutive refusals of one client alone that may pause a target for all: until it is known, and while its calls overlap. */
const REFUSALS_MAX = 8;

type Fault = (what: string, request: string | null) => void;

interface TimedPhase {
  /** Failures of the last window, and the current run of them: when, and of which client. */
  failures: { readonly at: number; readonly client: string }[];
  /** When each client, and any client, was last served. */
  readonly servedAt: Map<string, number>;
  lastServedAt: number;
  /** It opened at this instant, because of the attempt whose end event follows; -1: it did not. */
  openedAt: number;
  /** When each client was last refused by a rate limit. */
  readonly refusedAt: Map<string, number>;
  /** Consecutive pauses that one client alone has caused, while others were served in between. */
  refused: { client: string; count: number } | null;
}

/** Attempts without evidence about the target's health. */
const NEUTRAL: ReadonlySet<string> = new Set(['rate_limited', 'busy', 'cancelled', 'empty', 'quality', 'conflict', 'quota', 'auth']);

export class BlameWatch {
  readonly #targets = new Map<string, TimedPhase>();
  readonly #clients = new Map<string, string>();
  readonly #fault: Fault;
  #pausedAt = -1;

  constructor(simulation: Simulation, fault: Fault) {
    this.#fault = fault;
    simulation.events.onAny((event) => this.#onEvent(event));
  }

  #onEvent(event: BreakwaterEvent): void {
    if (event.type === 'received') this.#clients.set(event.requestId, event.client);
    else if (event.type === 'finished') this.#clients.delete(event.requestId);
    else if (event.type === 'breaker') this.#of(event.target).openedAt = event.from === 'closed' && event.to === 'open' ? event.at : -1;
    else if (event.type === 'cooldown') this.#pausedAt = event.at;
    else if (event.type === 'attempt_end') this.#onEnd(event);
  }

  #onEnd({ requestId, target, at, verdict, reason }: EventOf<'attempt_end'>): void {
    const client = this.#clients.get(requestId);
    if (client === undefined) return;
    const watched = this.#of(target);
    if (verdict === 'success') {
      watched.servedAt.set(client, at);
      watched.lastServedAt = at;
      if (watched.refused?.client === client) watched.refused = null;
    } else if (reason === 'rate_limited') this.#onRefusal(watched, target, client, at, requestId);
    else if (!NEUTRAL.has(reason ?? '')) watched.failures.push({ at, client });
    if (watched.openedAt === at) this.#onOpen(watched, target, at);
    watched.openedAt = -1;
  }

  /** The last reported pause was caused by this client. */
  #onRefusal(watched: TimedPhase, target: string, client: string, at: number, requestId: string): void {
    watched.refusedAt.set(client, at);
    if (this.#pausedAt !== at) return;
    if (watched.refused?.client !== client) watched.refused = { client, count: 0 };
    if (!this.#servesOthers(watched, client, at)) return;
    // Others are refused as well.
    if (hasOther(watched.refusedAt, client, at - OVERLAP_MS)) return;
    if (++watched.refused.count <= REFUSALS_MAX) return;
    this.#fault(`blame: ${client} alone is refused at ${target}, and has paused it ${watched.refused.count} times for all`, requestId);
    watched.refused.count = -Infinity;
  }

  #onOpen(watched: TimedPhase, target: string, at: number): void {
    watched.failures = watched.failures.filter((failure) => at - failure.at <= WINDOW_MS || failure.at > watched.lastServedAt);
    const clients = new Set(watched.failures.map((failure) => failure.client));
    const [only] = clients;
    if (clients.size !== 1 || !this.#servesOthers(watched, only!, at)) return;
    this.#fault(`blame: ${target} is open by the failures of ${only} alone, while others were served`, null);
  }

  #servesOthers({ servedAt }: TimedPhase, client: string, at: number): boolean {
    return hasOther(servedAt, client, at - WINDOW_MS + OVERLAP_MS);
  }

  #of(target: string): TimedPhase {
    let watched = this.#targets.get(target);
    if (watched === undefined)
      this.#targets.set(
        target,
        (watched = { failures: [], servedAt: new Map(), lastServedAt: -Infinity, openedAt: -1, refusedAt: new Map(), refused: null }),
      );
    return watched;
  }
}

/** The instant of another client is no earlier than `since`. */
function hasOther(instants: ReadonlyMap<string, number>, client: string, since: number): boolean {
  for (const [other, at] of instants) if (other !== client && at >= since) return true;
  return false;
}
