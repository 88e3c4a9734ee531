import type { Instant } from '../../core/clock.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Need, Resource, Settlement } from '../../core/resource.ts';
import { Suspicion } from './suspicion.ts';
import type { Confirmed, Witness } from './suspicion.ts';

/** A credential that is refused again and again is asked this seldom, in milliseconds; only the provider's own word makes it rarer. */
export const BENCH_MAX_MS = 60 * 60_000;

/** Within its time, a request that has no other target may try a quarantined credential this often, in milliseconds. */
export const TRIAL_EVERY_MS = 3_000;

/** So many refused trials of the clients that it was concluded from confirm a quarantine, as one of any other client does. */
const WITNESS_TRIALS_MAX = 4;

/** Why a credential is quarantined, as the provider said it. */
export interface BenchCause {
  readonly reason: 'auth' | 'quota';
  readonly status: number | null;
  readonly code: string | null;
  /** Sanitised and bounded; for the operator, not for callers. */
  readonly message: string;
}

/** What is worth keeping of a bench over a restart. */
export interface BenchRecord {
  readonly untilEpochMs: number;
  /** Refusals in a row. */
  readonly strikes: number;
  /** The instant that the provider itself named; absent: none. */
  readonly namedUntilEpochMs?: number;
  readonly cause?: BenchCause;
}

/**
 * The quarantine of a credential: its quota is spent, or the provider refuses it. Once the time is over, one request
 * at a time tries it, and the others go elsewhere; it is in order again when one of them is answered, and out for twice
 * as long when it is refused again. A ticket is the generation in which an attempt began; what an earlier one finds out
 * is old news.
 *
 * The time is our own guess, so a lone credential is never wholly closed by it: one request may try it every `TRIAL_EVERY_MS`.
 * `earliest` allows the trial to any request that comes then; requests that have another target leave it alone (`RunApplicant`).
 * Until the instant that the provider itself named there is no trial.
 *
 * What one client's refusals for one model confirm is a quarantine for that client and model alone (`sole`). Requests of others start as
 * if it were in order, and their outcome decides: an answer ends it, a refusal extends it to all.
 */
export class Bench implements Resource {
  readonly id: string;
  readonly kind = 'bench';
  #until: Instant = -Infinity;
  #strikes = 0;
  #trying = false;
  #generation = 1;
  /** When the next trial within the time may start. */
  #trialAt: Instant = -Infinity;
  /** What the provider itself has named. */
  #namedUntil: Instant = -Infinity;
  /** Concluded from two refusals that did not name the credential: requests wait for the first trial. */
  #isInferred = false;
  /** The clients whose refusals it was concluded from. */
  #witnesses: readonly string[] = [];
  /** The client and model that the quarantine is for; null: for all. */
  #sole: Pick<Witness, 'client' | 'model'> | null = null;
  #trialsLeft = 0;
  #cause: BenchCause | null = null;
  readonly #suspicion = new Suspicion();

  constructor(id: string) {
    this.id = id;
  }

  /**
   * Refused: out for `benchMs`, doubled for each refusal in a row up to `BENCH_MAX_MS`, and for `floorMs` at least. The
   * answers of requests that were under way when it was benched, or put in order since, count as one refusal with the first: they
   * may make its time longer by the provider's own word only. Returns how long it is out by this; null: that was known.
   */
  strike(now: Instant, ticket: number, benchMs: number, floorMs = 0, cause: BenchCause | null = null): number | null {
    if (ticket !== this.#generation) {
      if (now >= this.#until || now + floorMs <= this.#until) return null;
      this.#until = this.#namedUntil = now + floorMs;
      return floorMs;
    }
    const grownMs = Math.min(BENCH_MAX_MS, benchMs * 2 ** Math.min(this.#strikes, 20));
    const forMs = Math.max(grownMs, floorMs);
    this.#strikes++;
    this.#cause = cause ?? this.#cause;
    this.#isInferred = false;
    this.#sole = null;
    this.#namedUntil = floorMs > 0 ? now + floorMs : -Infinity;
    this.#trialAt = now + TRIAL_EVERY_MS;
    this.#turn(now + forMs);
    return forMs;
  }

  /**
   * Refused in a way that may be the fault of the request. Not null: other witnesses confirm it, for all or for one client and model
   * alone, and it is quarantined by `strikeInferred`. A trial that is refused so confirms the quarantine that it tries.
   */
  suspect(now: Instant, ticket: number, witness: Witness, reason: string): Confirmed {
    if (ticket !== this.#generation) return null;
    if (this.#strikes > 0) return this.#confirm(now, witness);
    const { first } = this.#suspicion;
    const confirmed = this.#suspicion.testify(now, witness, reason);
    if (confirmed === 'all') this.#witnesses = [first!.client, witness.client];
    return confirmed;
  }

  /** `strike` for what other witnesses confirm, where none of them named the credential. `sole`: for one client and model alone. */
  strikeInferred(
    now: Instant,
    ticket: number,
    benchMs: number,
    floorMs: number,
    cause: BenchCause,
    sole: Pick<Witness, 'client' | 'model'> | null = null,
  ): number | null {
    if (ticket !== this.#generation) return this.strike(now, ticket, benchMs, floorMs, cause);
    if (sole === null && this.#sole !== null) this.#strikes = 0; // for all it is the first time
    const isFirst = this.#strikes === 0;
    const forMs = this.strike(now, ticket, benchMs, floorMs, cause);
    this.#isInferred = isFirst;
    this.#sole = sole;
    this.#trialsLeft = WITNESS_TRIALS_MAX;
    return forMs;
  }

  /** What a refused trial, or another client's request beside it, says of the quarantine. */
  #confirm(now: Instant, witness: Witness): Confirmed {
    if (this.#sole !== null) {
      if (!this.#isFor(witness.client, witness.model)) return 'all';
      return this.#isInferred && now < this.#until && --this.#trialsLeft > 0 ? null : 'sole';
    }
    return this.#isOldWitness(now, witness) ? null : 'all';
  }

  /** A client whose refusals led to the quarantine can't confirm it, except after several trials. */
  #isOldWitness(now: Instant, { client }: Witness): boolean {
    return this.#isInferred && now < this.#until && this.#witnesses.includes(client) && --this.#trialsLeft > 0;
  }

  /** Whether a quarantine concerns this client's requests for this model. */
  #isFor(client: string | undefined, model: string | undefined): boolean {
    return this.#sole === null || (this.#sole.client === client && this.#sole.model === model);
  }

  /** A refusal waits for its second witness. */
  isSuspect(now: Instant): boolean {
    return this.#strikes === 0 && this.#suspicion.isRaised(now);
  }

  /** The same, and it came a moment ago: other credentials are preferred where they can start. */
  isAvoided(now: Instant): boolean {
    return this.#strikes === 0 && this.#suspicion.isFresh(now);
  }

  /** For `strike` by what is found out from now on. */
  get ticket(): number {
    return this.#generation;
  }

  /** Why it is quarantined or in doubt; null: it is in order, or that is not known. */
  get cause(): BenchCause | null {
    return this.#cause;
  }

  /** Refused, and nothing has been answered since. */
  get isInDoubt(): boolean {
    return this.#strikes > 0;
  }

  /** The same, as far as it concerns this client's requests for this model. */
  isInDoubtFor(client: string, model: string): boolean {
    return this.#strikes > 0 && this.#isFor(client, model);
  }

  /** Quarantined for this client's requests for this model, though a trial may be allowed now, or on trial. */
  isOutFor(now: Instant, client: string | undefined, model: string): boolean {
    return this.#strikes > 0 && (this.#until > now || this.#trying) && this.#isFor(client, model);
  }

  /** The client and model that the quarantine is for; null: for all. */
  get sole(): Pick<Witness, 'client' | 'model'> | null {
    return this.#sole;
  }

  /** An answer has begun: it is in order. */
  onFirstContent(now: Instant, ticket: number): boolean {
    if (ticket !== this.#generation) return false;
    this.#suspicion.clear();
    if (this.#strikes === 0) return false;
    this.#resetSuspect(now);
    return true;
  }

  /** In order at once, with a clean record. */
  reset(): void {
    this.#strikes = 0;
    this.#cause = null;
    this.#sole = null;
    this.#namedUntil = -Infinity;
    this.#turn(-Infinity);
  }

  remainingMs(now: Instant): number {
    return Math.max(0, this.#until - now);
  }

  earliest(now: Instant, need?: Need): Instant {
    if (!this.#isFor(need?.source?.client, need?.model)) return now;
    if (this.#trying) return WHEN_SETTLED;
    const trialAt = Math.min(this.#until, Math.max(this.#trialAt, this.#namedUntil));
    if (now >= trialAt) return now;
    // What the provider has said of the account is not worth waiting for; its trial is for a request that comes then.
    return this.#isInferred ? trialAt : this.#until;
  }

  reserve(now: Instant, need: Need): number {
    if (this.#strikes > 0 && this.#isFor(need.source?.client, need.model)) {
      this.#trying = true;
      this.#trialAt = now + TRIAL_EVERY_MS;
    }
    return this.#generation;
  }

  settle(now: Instant, ticket: number, need: Need, settlement: Settlement): void {
    if (ticket !== this.#generation) return;
    if (settlement.health === 'success') this.#suspicion.served(now, need.source?.client);
    if (this.#strikes === 0) return;
    if (settlement.health === 'success') this.#resetSuspect(now);
    else if (this.#isFor(need.source?.client, need.model)) this.#trying = false; // it says nothing of the credential: the next one tries
  }

  cancel(_now: Instant, ticket: number, need?: Need): void {
    if (ticket !== this.#generation || this.#strikes === 0 || !this.#isFor(need?.source?.client, need?.model)) return;
    this.#trying = false;
    this.#trialAt = -Infinity;
  }

  /** Null while it is in order for all. A suspicion is not kept, nor what concerns one client: a few refusals raise it again. */
  save(now: Instant, epochMs: number): BenchRecord | null {
    if (this.#strikes === 0 || this.#sole !== null) return null;
    return {
      untilEpochMs: epochMs + (this.#until - now),
      strikes: this.#strikes,
      ...(this.#namedUntil > now && { namedUntilEpochMs: epochMs + (this.#namedUntil - now) }),
      ...(this.#cause !== null && { cause: this.#cause }),
    };
  }

  restore(now: Instant, epochMs: number, record: BenchRecord): void {
    this.#strikes = record.strikes;
    this.#cause = record.cause ?? null;
    this.#isInferred = false;
    this.#namedUntil = record.namedUntilEpochMs === undefined ? -Infinity : now + (record.namedUntilEpochMs - epochMs);
    this.#trialAt = now + TRIAL_EVERY_MS;
    this.#turn(now + (record.untilEpochMs - epochMs));
  }

  /** An answer: what was only inferred was wrong, or is over. */
  #resetSuspect(now: Instant): void {
    if (this.#isInferred && this.#sole === null) this.#suspicion.discredit(now, this.#witnesses);
    this.reset();
  }

  #turn(until: Instant): void {
    this.#until = until;
    this.#trying = false;
    this.#suspicion.clear();
    this.#generation++;
  }
}
