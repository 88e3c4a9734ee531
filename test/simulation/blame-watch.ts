/** No client's requests take more than its share of evidence from another: what one alone meets closes and pauses no target to the others. */
import type { BreakwaterEvent, EventOf } from '../../src/core/events.ts';
import type { Simulation } from '../../src/testing/simulation.ts';

/** Others that were answered within this time count, in milliseconds: the window of the breaker, and less than that where calls overlap. */
const WINDOW_MS = 30_000;
const OVERLAP_MS = 1_000;
/** Refusals in a row of one client alone that may pause a target for all, before it is known. */
const REFUSALS_MAX = 8;

type Fault = (what: string, request: string | null) => void;

interface Watched {
  /** Failures of the last window, and those in a row: when, and whose. */
  failures: { readonly at: number; readonly client: string }[];
  /** When each client was last answered, and anybody. */
  readonly servedAt: Map<string, number>;
  lastServedAt: number;
  /** It opened at this instant, by the attempt whose end is told next; -1: it did not. */
  openedAt: number;
  /** Pauses in a row that one client alone has brought about, while others were answered between. */
  refused: { client: string; count: number; at: number } | null;
}

/** Attempts that say nothing of the target's health. */
const NEUTRAL: ReadonlySet<string> = new Set(['rate_limited', 'busy', 'cancelled', 'empty', 'quality', 'conflict', 'quota', 'auth']);

export class BlameWatch {
  readonly #targets = new Map<string, Watched>();
  readonly #clients = new Map<string, string>();
  /** When the newest attempt of each request began. */
  readonly #startedAt = new Map<string, number>();
  readonly #fault: Fault;
  #pausedAt = -1;

  constructor(simulation: Simulation, fault: Fault) {
    this.#fault = fault;
    simulation.events.onAny((event) => this.#onEvent(event));
  }

  #onEvent(event: BreakwaterEvent): void {
    if (event.type === 'received') this.#clients.set(event.requestId, event.client);
    else if (event.type === 'attempt') this.#startedAt.set(event.requestId, event.at);
    else if (event.type === 'finished') this.#onFinished(event.requestId);
    else if (event.type === 'breaker') this.#of(event.target).openedAt = event.from === 'closed' && event.to === 'open' ? event.at : -1;
    else if (event.type === 'cooldown') this.#pausedAt = event.at;
    else if (event.type === 'attempt_end') this.#onEnd(event);
  }

  #onFinished(requestId: string): void {
    this.#clients.delete(requestId);
    this.#startedAt.delete(requestId);
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

  /** The pause that was just told is this one's. */
  #onRefusal(watched: Watched, target: string, client: string, at: number, requestId: string): void {
    if (this.#pausedAt !== at) return;
    if (watched.refused?.client !== client) watched.refused = { client, count: 0, at: -Infinity };
    if (!this.#servesOthers(watched, client, at)) return;
    // A call that was under way when the pause before this one began says nothing more.
    if ((this.#startedAt.get(requestId) ?? at) <= watched.refused.at) return;
    watched.refused.at = at;
    if (++watched.refused.count <= REFUSALS_MAX) return;
    this.#fault(`blame: ${client} alone is refused at ${target}, and has paused it ${watched.refused.count} times for all`, requestId);
    watched.refused.count = -Infinity;
  }

  #onOpen(watched: Watched, target: string, at: number): void {
    watched.failures = watched.failures.filter((failure) => at - failure.at <= WINDOW_MS || failure.at > watched.lastServedAt);
    const clients = new Set(watched.failures.map((failure) => failure.client));
    const [only] = clients;
    if (clients.size !== 1 || !this.#servesOthers(watched, only!, at)) return;
    this.#fault(`blame: ${target} is open by the failures of ${only} alone, while others were answered`, null);
  }

  #servesOthers({ servedAt }: Watched, client: string, at: number): boolean {
    for (const [other, servedAtMs] of servedAt) if (other !== client && at - servedAtMs <= WINDOW_MS - OVERLAP_MS) return true;
    return false;
  }

  #of(target: string): Watched {
    let watched = this.#targets.get(target);
    if (watched === undefined)
      this.#targets.set(target, (watched = { failures: [], servedAt: new Map(), lastServedAt: -Infinity, openedAt: -1, refused: null }));
    return watched;
  }
}
