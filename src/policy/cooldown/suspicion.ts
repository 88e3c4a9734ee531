/**
 * A credential under suspicion: one request was refused in a way that may be the credential's fault or the request's own. A second,
 * different request that is refused for the same reason, with no success between, confirms it; a success ends it. Several bodies of one
 * client for one model confirm it for that client and model alone: the cause may be the credential, or what that client sends.
 */
import type { Instant } from '../../core/clock.ts';

/** How long a first refusal waits for a second one, in milliseconds. */
export const SUSPICION_MS = 10 * 60_000;

/** For so long after a refusal other credentials that can start are preferred, in milliseconds: no caller pays for finding out. */
export const AVOIDED_MS = 5_000;

/** The refused request, by what distinguishes two requests. */
export interface Witness {
  readonly client: string;
  readonly model: string;
  /** Equal for equal bodies. */
  readonly body: string;
}

/** What a refusal confirms: `all`: the credential is refused whoever asks; `sole`: one client is refused for one model; null: nothing yet. */
export type Confirmed = 'all' | 'sole' | null;

/** One client's refused bodies for one model that confirm the suspicion for that client and model alone. */
export const SOLE_BODIES = 3;

/** They must span this time, in milliseconds: meanwhile the requests of other clients decide. */
export const SOLE_AFTER_MS = 5_000;

/** Where another client was answered so lately, in milliseconds, other clients are there to decide. */
export const SOLE_QUIET_MS = 60_000;

/** A client alone is a second witness only with another body for another model: it may send many bodies with one fault. */
export function isSecondWitness(first: Witness, second: Witness): boolean {
  return first.client !== second.client || (first.body !== second.body && first.model !== second.model);
}

export class Suspicion {
  #first: Witness | null = null;
  #reason: string | null = null;
  #since: Instant = -Infinity;
  #refusedAt: Instant = -Infinity;
  /** Different bodies of the first witness's client for its model that were refused; at most `SOLE_BODIES`. */
  readonly #bodies = new Set<string>();
  /** The client that was last answered, when, and when any other client was. */
  #served: string | undefined;
  #servedAt: Instant = -Infinity;
  #otherServedAt: Instant = -Infinity;
  /** Clients whose refusals have once led to a quarantine that an answer disproved. */
  #discredited: readonly string[] = [];
  #discreditedUntil: Instant = -Infinity;

  /** Records a refusal, and says whether it confirms earlier ones. */
  testify(now: Instant, witness: Witness, reason: string): Confirmed {
    this.#refusedAt = now;
    if (this.#discredited.includes(witness.client) && now < this.#discreditedUntil) return null;
    if (this.isRaised(now) && this.#reason === reason) return this.#compare(now, witness);
    this.#first = witness;
    this.#reason = reason;
    this.#since = now;
    this.#bodies.clear();
    this.#bodies.add(witness.body);
    return null;
  }

  #compare(now: Instant, witness: Witness): Confirmed {
    if (isSecondWitness(this.#first!, witness)) return 'all';
    if (witness.model !== this.#first!.model) return null;
    if (this.#bodies.size < SOLE_BODIES) this.#bodies.add(witness.body);
    if (this.#bodies.size < SOLE_BODIES) return null;
    return now - this.#since >= SOLE_AFTER_MS && now - this.#servedBesides(witness.client) > SOLE_QUIET_MS ? 'sole' : null;
  }

  #servedBesides(client: string): Instant {
    return client === this.#served ? this.#otherServedAt : this.#servedAt;
  }

  /** A request of this client was answered: what was refused before is no fault of the credential. */
  served(now: Instant, client: string | undefined): void {
    if (client !== this.#served) {
      this.#otherServedAt = this.#servedAt;
      this.#served = client;
    }
    this.#servedAt = now;
    this.clear();
  }

  /** The first refusal; null: there is none. */
  get first(): Witness | null {
    return this.#first;
  }

  isRaised(now: Instant): boolean {
    return this.#first !== null && now - this.#since < SUSPICION_MS;
  }

  /** Refused a moment ago, and not answered since. */
  isFresh(now: Instant): boolean {
    return now - this.#refusedAt < AVOIDED_MS;
  }

  /** An answer has disproved what these clients' refusals led to: their refusals are ignored for a while. */
  discredit(now: Instant, clients: readonly string[]): void {
    this.#discredited = clients;
    this.#discreditedUntil = now + SUSPICION_MS;
  }

  clear(): void {
    this.#first = null;
    this.#refusedAt = -Infinity;
  }
}
