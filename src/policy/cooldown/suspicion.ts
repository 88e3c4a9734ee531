/**
 * A credential under suspicion: one request was refused in a way that may be the credential's fault or the request's own. A second,
 * different request that is refused for the same reason, with no success between, confirms it; a success ends it.
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

/** A client alone is a second witness only with another body for another model: it may send many bodies with one fault. */
export function isSecondWitness(first: Witness, second: Witness): boolean {
  return first.client !== second.client || (first.body !== second.body && first.model !== second.model);
}

export class Suspicion {
  #first: Witness | null = null;
  #reason: string | null = null;
  #since: Instant = -Infinity;
  #refusedAt: Instant = -Infinity;
  /** Clients whose refusals have once led to a quarantine that an answer disproved. */
  #discredited: readonly string[] = [];
  #discreditedUntil: Instant = -Infinity;

  /** A refusal. True: it confirms an earlier one. */
  testify(now: Instant, witness: Witness, reason: string): boolean {
    this.#refusedAt = now;
    if (this.#discredited.includes(witness.client) && now < this.#discreditedUntil) return false;
    if (this.isRaised(now) && this.#reason === reason) return isSecondWitness(this.#first!, witness);
    this.#first = witness;
    this.#reason = reason;
    this.#since = now;
    return false;
  }

  /** The client of the first refusal; null: there is none. */
  get client(): string | null {
    return this.#first?.client ?? null;
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
