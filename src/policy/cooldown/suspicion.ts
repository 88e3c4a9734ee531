/**
 * A suspected credential: one request was refused in a way that may be the credential's fault or the request's own. A second, different
 * request that is refused for the same reason, with no success between them, confirms the suspicion; a success clears it. Several different
 * bodies of one client for one model confirm it for that client and model alone, because the cause may be the credential or what that
 * client sends.
 */
import type { Instant } from '../../core/clock.ts';

/** How long a refusal can be confirmed by a second one, in milliseconds. */
export const SUSPICION_MS = 10 * 60_000;

/** After a refusal, other credentials that can start are preferred for this long, in milliseconds, so that no second caller is refused. */
export const AVOIDED_MS = 5_000;

/** What distinguishes one refused request from another. */
export interface RefusedRequest {
  readonly client: string;
  readonly model: string;
  /** Equal for equal bodies. */
  readonly body: string;
}

/**
 * What a refusal confirms. `all`: the credential is refused for every client; `sole`: one client is refused for one model; null: nothing
 * yet.
 */
export type Confirmed = 'all' | 'sole' | null;

/** Different refused bodies of one client for one model that confirm the suspicion for that client and model. */
export const SOLE_BODIES_MIN = 3;

/** They must span this time, in milliseconds; meanwhile requests of other clients may decide. */
export const SOLE_AFTER_MS = 5_000;

/** Where another client was served within this time, in milliseconds, the decision is left to other clients. */
export const SOLE_QUIET_MS = 60_000;

/**
 * Whether the second refusal confirms the first. For the same client both body and model must differ: one client may repeat one mistake in
 * many bodies.
 */
export function areIndependent(first: RefusedRequest, second: RefusedRequest): boolean {
  return first.client !== second.client || (first.body !== second.body && first.model !== second.model);
}

export class Suspicion {
  #first: RefusedRequest | null = null;
  #reason: string | null = null;
  #since: Instant = -Infinity;
  #refusedAt: Instant = -Infinity;
  /** Different refused bodies of the first request's client for its model; at most `SOLE_BODIES_MIN`. */
  readonly #bodies = new Set<string>();
  /** The client that was served last, when, and when any other client was. */
  #served: string | undefined;
  #servedAt: Instant = -Infinity;
  #otherServedAt: Instant = -Infinity;
  /** Clients whose refusals led to a quarantine that a response disproved. */
  #discredited: readonly string[] = [];
  #discreditedUntil: Instant = -Infinity;

  /** Records a refusal; returns what it confirms together with earlier ones. */
  record(now: Instant, request: RefusedRequest, reason: string): Confirmed {
    this.#refusedAt = now;
    if (this.#discredited.includes(request.client) && now < this.#discreditedUntil) return null;
    if (this.isRaised(now) && this.#reason === reason) return this.#compare(now, request);
    this.#first = request;
    this.#reason = reason;
    this.#since = now;
    this.#bodies.clear();
    this.#bodies.add(request.body);
    return null;
  }

  #compare(now: Instant, request: RefusedRequest): Confirmed {
    if (areIndependent(this.#first!, request)) return 'all';
    if (request.model !== this.#first!.model) return null;
    if (this.#bodies.size < SOLE_BODIES_MIN) this.#bodies.add(request.body);
    if (this.#bodies.size < SOLE_BODIES_MIN) return null;
    return now - this.#since >= SOLE_AFTER_MS && now - this.#otherClientServedAt(request.client) > SOLE_QUIET_MS ? 'sole' : null;
  }

  #otherClientServedAt(client: string): Instant {
    return client === this.#served ? this.#otherServedAt : this.#servedAt;
  }

  /** A request of this client was served: earlier refusals are no fault of the credential. */
  served(now: Instant, client: string | undefined): void {
    if (client !== this.#served) {
      this.#otherServedAt = this.#servedAt;
      this.#served = client;
    }
    this.#servedAt = now;
    this.clear();
  }

  /** The first refusal; null: there is none. */
  get first(): RefusedRequest | null {
    return this.#first;
  }

  isRaised(now: Instant): boolean {
    return this.#first !== null && now - this.#since < SUSPICION_MS;
  }

  /** Refused within the last moments, and not served since. */
  isFresh(now: Instant): boolean {
    return now - this.#refusedAt < AVOIDED_MS;
  }

  /** A response has disproved what these clients' refusals led to: their refusals are ignored for a while. */
  discredit(now: Instant, clients: readonly string[]): void {
    this.#discredited = clients;
    this.#discreditedUntil = now + SUSPICION_MS;
  }

  clear(): void {
    this.#first = null;
    this.#refusedAt = -Infinity;
  }
}
