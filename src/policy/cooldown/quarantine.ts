import type { Instant } from '../../core/clock.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Need, Resource, Settlement } from '../../core/resource.ts';
import { Suspicion } from './suspicion.ts';
import type { Confirmed, RefusedRequest } from './suspicion.ts';

/**
 * The longest quarantine of a credential that keeps being refused, in milliseconds; a longer one only where the provider names an instant.
 */
export const QUARANTINE_MAX_MS = 60 * 60_000;

/** During a quarantine, a request without another target may try the credential this often, in milliseconds. */
export const TRIAL_EVERY_MS = 3_000;

/** This many refused trials of the clients that caused a quarantine confirm it, as a single one of any other client does. */
const SOURCE_TRIALS_MAX = 4;

/** Why a credential is quarantined, as reported by the provider. */
export interface QuarantineCause {
  readonly reason: 'auth' | 'quota';
  readonly status: number | null;
  readonly code: string | null;
  /** Sanitised and bounded; for the operator, never for callers. */
  readonly message: string;
}

/** The state that survives a restart. */
export interface QuarantineRecord {
  readonly untilEpochMs: number;
  /** Consecutive refusals. */
  readonly strikes: number;
  /** The instant that the provider named; absent: none. */
  readonly namedUntilEpochMs?: number;
  readonly cause?: QuarantineCause;
}

/**
 * The quarantine of a credential whose quota is spent or that the provider refuses. When its time is over, one request at a time tries the
 * credential, and the others use other targets. The first response that starts ends the quarantine; another refusal doubles its time. A
 * ticket is the generation in which an attempt started; outcomes from an earlier generation are ignored.
 *
 * ## Trials
 *
 * The duration is an assumption, so a lone credential is never blocked completely: one request may try it every `TRIAL_EVERY_MS`.
 * `earliest` allows the trial to any request that arrives then; requests that have another target do not use it (`RequestApplicant`).
 * Before the instant that the provider itself named there is no trial.
 *
 * ## One client
 *
 * Where all evidence comes from one client's requests for one model, the quarantine applies to that client and model alone (`sole`).
 * Requests of other clients start as usual, and their outcome decides: a response ends the quarantine, a refusal extends it to all.
 */
export class Quarantine implements Resource {
  readonly id: string;
  readonly kind = 'quarantine';
  #until: Instant = -Infinity;
  #strikes = 0;
  #isTrying = false;
  #generation = 1;
  /** When the next trial during the quarantine may start. */
  #trialAt: Instant = -Infinity;
  /** Until the instant that the provider named. */
  #namedUntil: Instant = -Infinity;
  /** Inferred from two refusals that did not name the credential: requests wait for the first trial. */
  #isInferred = false;
  /** The clients whose refusals it was inferred from. */
  #sourceClients: readonly string[] = [];
  /** The client and model that it applies to; null: to all. */
  #sole: Pick<RefusedRequest, 'client' | 'model'> | null = null;
  #trialsLeft = 0;
  #cause: QuarantineCause | null = null;
  readonly #suspicion = new Suspicion();

  constructor(id: string) {
    this.id = id;
  }

  /**
   * Refused: quarantined for `quarantineMs`, doubled for each consecutive refusal up to `QUARANTINE_MAX_MS`, and for at least `floorMs`. Refusals of
   * requests that started before the quarantine, or before its end, belong to the first one; they may extend it only by an instant that the
   * provider named. Returns the new duration in milliseconds; null: nothing changed.
   */
  strike(now: Instant, ticket: number, quarantineMs: number, floorMs = 0, cause: QuarantineCause | null = null): number | null {
    if (ticket !== this.#generation) {
      if (now >= this.#until || now + floorMs <= this.#until) return null;
      this.#until = this.#namedUntil = now + floorMs;
      return floorMs;
    }
    const grownMs = Math.min(QUARANTINE_MAX_MS, quarantineMs * 2 ** Math.min(this.#strikes, 20));
    const forMs = Math.max(grownMs, floorMs);
    this.#strikes++;
    this.#cause = cause ?? this.#cause;
    this.#isInferred = false;
    this.#sole = null;
    this.#namedUntil = floorMs > 0 ? now + floorMs : -Infinity;
    this.#trialAt = now + TRIAL_EVERY_MS;
    this.#setUntil(now + forMs);
    return forMs;
  }

  /**
   * Refused in a way that may be the request's own fault. Not null: independent refusals confirm it, for all or for one client and model
   * alone, and the caller quarantines the credential with `strikeInferred`. A trial that is refused in this way confirms the quarantine
   * that it tests.
   */
  suspect(now: Instant, ticket: number, request: RefusedRequest, reason: string): Confirmed {
    if (ticket !== this.#generation) return null;
    if (this.#strikes > 0) return this.#confirm(now, request);
    const { first } = this.#suspicion;
    const confirmed = this.#suspicion.record(now, request, reason);
    if (confirmed === 'all') this.#sourceClients = [first!.client, request.client];
    return confirmed;
  }

  /** `strike` for a refusal that other requests confirm but that did not name the credential. `sole`: for one client and model alone. */
  strikeInferred(
    now: Instant,
    ticket: number,
    quarantineMs: number,
    floorMs: number,
    cause: QuarantineCause,
    sole: Pick<RefusedRequest, 'client' | 'model'> | null = null,
  ): number | null {
    if (ticket !== this.#generation) return this.strike(now, ticket, quarantineMs, floorMs, cause);
    if (sole === null && this.#sole !== null) this.#strikes = 0; // the first quarantine that applies to all
    const isFirst = this.#strikes === 0;
    const forMs = this.strike(now, ticket, quarantineMs, floorMs, cause);
    this.#isInferred = isFirst;
    this.#sole = sole;
    this.#trialsLeft = SOURCE_TRIALS_MAX;
    return forMs;
  }

  /** What a refused trial, or a request of another client beside it, says about the quarantine. */
  #confirm(now: Instant, request: RefusedRequest): Confirmed {
    if (this.#sole !== null) {
      if (!this.#isFor(request.client, request.model)) return 'all';
      return this.#isInferred && now < this.#until && --this.#trialsLeft > 0 ? null : 'sole';
    }
    return this.#isKnownSource(now, request) ? null : 'all';
  }

  /**
   * True if the quarantine was inferred from refusals of this client, which therefore cannot confirm it until several trials have failed.
   */
  #isKnownSource(now: Instant, { client }: RefusedRequest): boolean {
    return this.#isInferred && now < this.#until && this.#sourceClients.includes(client) && --this.#trialsLeft > 0;
  }

  /** True if the quarantine applies to this client's requests for this model. */
  #isFor(client: string | undefined, model: string | undefined): boolean {
    return this.#sole === null || (this.#sole.client === client && this.#sole.model === model);
  }

  /** A refusal was recorded that no independent one has confirmed yet. */
  isSuspect(now: Instant): boolean {
    return this.#strikes === 0 && this.#suspicion.isRaised(now);
  }

  /** The same, within the last moments: other credentials are preferred where they can start. */
  isAvoided(now: Instant): boolean {
    return this.#strikes === 0 && this.#suspicion.isFresh(now);
  }

  /** To be passed to `strike` with the outcome of an attempt that starts now. */
  get ticket(): number {
    return this.#generation;
  }

  /** Why it is quarantined or in doubt; null: it is in order, or the cause is unknown. */
  get cause(): QuarantineCause | null {
    return this.#cause;
  }

  /** Refused, and no response has started since. */
  get isInDoubt(): boolean {
    return this.#strikes > 0;
  }

  /** The same, for this client's requests for this model. */
  isInDoubtFor(client: string, model: string): boolean {
    return this.#strikes > 0 && this.#isFor(client, model);
  }

  /** Quarantined or on trial for this client's requests for this model, even if a trial may start now. */
  isOutFor(now: Instant, client: string | undefined, model: string): boolean {
    return this.#strikes > 0 && (this.#until > now || this.#isTrying) && this.#isFor(client, model);
  }

  /** The client and model that the quarantine applies to; null: to all. */
  get sole(): Pick<RefusedRequest, 'client' | 'model'> | null {
    return this.#sole;
  }

  /** A response has started: the credential is in order. */
  onFirstContent(now: Instant, ticket: number): boolean {
    if (ticket !== this.#generation) return false;
    this.#suspicion.clear();
    if (this.#strikes === 0) return false;
    this.#end(now);
    return true;
  }

  /** Ends it at once and clears the history. */
  reset(): void {
    this.#strikes = 0;
    this.#cause = null;
    this.#sole = null;
    this.#namedUntil = -Infinity;
    this.#setUntil(-Infinity);
  }

  remainingMs(now: Instant): number {
    return Math.max(0, this.#until - now);
  }

  earliest(now: Instant, need?: Need): Instant {
    if (!this.#isFor(need?.source?.client, need?.model)) return now;
    if (this.#isTrying) return WHEN_SETTLED;
    const trialAt = Math.min(this.#until, Math.max(this.#trialAt, this.#namedUntil));
    if (now >= trialAt) return now;
    // A quarantine that the provider's words justify is not worth waiting for; its trial is left to a request that happens to arrive then.
    return this.#isInferred ? trialAt : this.#until;
  }

  reserve(now: Instant, need: Need): number {
    if (this.#strikes > 0 && this.#isFor(need.source?.client, need.model)) {
      this.#isTrying = true;
      this.#trialAt = now + TRIAL_EVERY_MS;
    }
    return this.#generation;
  }

  settle(now: Instant, ticket: number, need: Need, settlement: Settlement): void {
    if (ticket !== this.#generation) return;
    if (settlement.health === 'success') this.#suspicion.served(now, need.source?.client);
    if (this.#strikes === 0) return;
    if (settlement.health === 'success') this.#end(now);
    else if (this.#isFor(need.source?.client, need.model)) this.#isTrying = false; // neutral for the credential: the next request tries it
  }

  cancel(_now: Instant, ticket: number, need?: Need): void {
    if (ticket !== this.#generation || this.#strikes === 0 || !this.#isFor(need?.source?.client, need?.model)) return;
    this.#isTrying = false;
    this.#trialAt = -Infinity;
  }

  /** Null while it is in order for all. Suspicions and quarantines of one client are not saved: a few refusals restore them. */
  save(now: Instant, epochMs: number): QuarantineRecord | null {
    if (this.#strikes === 0 || this.#sole !== null) return null;
    return {
      untilEpochMs: epochMs + (this.#until - now),
      strikes: this.#strikes,
      ...(this.#namedUntil > now && { namedUntilEpochMs: epochMs + (this.#namedUntil - now) }),
      ...(this.#cause !== null && { cause: this.#cause }),
    };
  }

  restore(now: Instant, epochMs: number, record: QuarantineRecord): void {
    this.#strikes = record.strikes;
    this.#cause = record.cause ?? null;
    this.#isInferred = false;
    this.#namedUntil = record.namedUntilEpochMs === undefined ? -Infinity : now + (record.namedUntilEpochMs - epochMs);
    this.#trialAt = now + TRIAL_EVERY_MS;
    this.#setUntil(now + (record.untilEpochMs - epochMs));
  }

  /** A response has started: what was only inferred was wrong, or is over. */
  #end(now: Instant): void {
    if (this.#isInferred && this.#sole === null) this.#suspicion.discredit(now, this.#sourceClients);
    this.reset();
  }

  #setUntil(until: Instant): void {
    this.#until = until;
    this.#isTrying = false;
    this.#suspicion.clear();
    this.#generation++;
  }
}
