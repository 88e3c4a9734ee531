/**
 * A circuit for each source of failures at one target, so that what fails for one client or request does not close the target to others
 * (core/blame.ts says whose failures count for whom). A source that is held is refused until its time; then one trial at a time.
 */
import { Blame, isKnown, isOf } from '../../core/blame.ts';
import type { Suspect } from '../../core/blame.ts';
import type { Instant } from '../../core/clock.ts';
import type { Random } from '../../core/random.ts';
import type { Settlement } from '../../core/resource.ts';
import { BLAME_LEVELS } from '../../core/source.ts';
import type { BlameLevel, Source } from '../../core/source.ts';
import { drawJitter, grownOpenMs } from './breaker-options.ts';
import type { BreakerOptions } from './breaker-options.ts';
import { OutcomeWindow } from './outcome-window.ts';

/** A source that is held gets a trial this often at least, however often it has failed, in milliseconds. */
const HELD_MAX_MS = 25_000;
/** A source that was answered within this time is preferred for a probe to one that fails, in milliseconds. */
const FITTER_MS = 60_000;

interface Circuit {
  /** The client of the request; undefined for a circuit of a client. */
  readonly client: string | undefined;
  /** What of its outcomes is in the window of the target. */
  readonly counted: OutcomeWindow;
  /** Its failures in the row of failures with this number. */
  row: number;
  rowFailures: number;
  /** Its own outcomes since `since`, whether they count for others or not; over one window at most. */
  since: Instant;
  failures: number;
  count: number;
  isHeld: boolean;
  heldUntil: Instant;
  /** How often it was held in a row. */
  holds: number;
}

interface Failing extends Suspect<Circuit> {
  data: Circuit;
}

/** What would open the target's breaker. */
export interface Evidence {
  readonly window: OutcomeWindow;
  /** Failures in a row, and the number of that row. */
  readonly consecutive: number;
  readonly row: number;
  /** The row alone is enough. */
  readonly isByRow: boolean;
}

export class SourceCircuits {
  readonly blame = new Blame<Circuit>();
  readonly #options: BreakerOptions;
  readonly #random: Random;

  constructor(options: BreakerOptions, random: Random) {
    this.#options = options;
    this.#random = random;
  }

  /** Until when the source is held; -Infinity: it is not. */
  heldUntil(source: Source | undefined): Instant {
    let until = -Infinity;
    if (source === undefined) return until;
    for (const suspect of this.blame.suspects) {
      if (suspect.data?.isHeld === true && isOf(suspect, source)) until = Math.max(until, suspect.data.heldUntil);
    }
    return until;
  }

  /** Starts an attempt. True if it is the trial of a source that is held: the next one comes a hold later, whatever becomes of it. */
  reserve(now: Instant, source: Source | undefined): boolean {
    let isTrial = false;
    for (const { data } of this.#heldOf(source)) {
      data.heldUntil = now + this.#holdMs(data.holds);
      isTrial = true;
    }
    return isTrial;
  }

  settleTrial(now: Instant, source: Source | undefined, health: Settlement['health']): void {
    for (const suspect of this.#heldOf(source)) {
      if (health === 'success') this.#drop(suspect);
      else if (health === 'failure') this.#hold(now, suspect);
      else suspect.data.heldUntil = Math.min(suspect.data.heldUntil, now + this.#options.openForMs); // it has shown nothing
    }
  }

  /** The trial was not sent. */
  cancelTrial(now: Instant, source: Source | undefined): void {
    for (const { data } of this.#heldOf(source)) data.heldUntil = now;
  }

  served(now: Instant, source: Source | undefined): void {
    for (const suspect of this.blame.suspects) {
      if (!hasCircuit(suspect)) continue;
      if (isOf(suspect, source)) {
        suspect.data.counted.record(now, false);
        this.#countOwn(now, suspect.data, false);
      } else if (!suspect.data.isHeld && now - suspect.failedAt > this.#options.windowMs) this.#drop(suspect);
    }
    this.blame.served(now, source);
  }

  /** False if the failure concerns its source alone: then what that has brought before is taken out of the window, too. */
  failed(now: Instant, source: Source | undefined, window: OutcomeWindow, row: number): boolean {
    if (this.heldUntil(source) > -Infinity) return false;
    const counts = this.blame.failed(now, source);
    for (const level of BLAME_LEVELS) {
      const suspect = this.#failing(now, level, source);
      const { data } = suspect;
      this.#countOwn(now, data, true);
      if (!counts) {
        if (suspect.contradicted) this.#takeOut(now, suspect, window);
        continue;
      }
      data.counted.record(now, true);
      if (data.row !== row) [data.row, data.rowFailures] = [row, 0];
      data.rowFailures++;
    }
    return counts;
  }

  /** Holds the source, where it alone fails, once it has failed as a target must have to open. */
  holdIfFailing(now: Instant, source: Source | undefined): void {
    const { consecutiveFailures, failureRatio, minRequests } = this.#options;
    for (const level of BLAME_LEVELS) {
      const suspect = this.blame.find(level, source);
      if (suspect === undefined || !hasCircuit(suspect) || suspect.data.isHeld || !this.#isAlone(now, suspect)) continue;
      const { failures, count } = suspect.data;
      if (suspect.streak >= consecutiveFailures || (count >= minRequests && failures / count >= failureRatio))
        return this.#hold(now, suspect);
    }
  }

  /** Holds the source, whatever it has done before: its client, where others were answered of late, else its request. */
  hold(now: Instant, source: Source | undefined): Suspect<unknown> {
    const client = this.#failing(now, 'client', source);
    const suspect = this.blame.servesOthers(now, 'client', client.key, FITTER_MS) ? client : this.#failing(now, 'request', source);
    if (!suspect.data.isHeld) this.#hold(now, suspect);
    return suspect;
  }

  /** The target fails for all sources: none is held for failures that the target caused. */
  clearContradictions(): void {
    this.blame.clearContradictions();
    for (const { data } of this.blame.suspects) if (data !== null) data.isHeld = false;
  }

  /** The target has just answered another source: holds those whose failures alone had made it look broken. */
  holdContradicted(now: Instant): void {
    for (const suspect of this.blame.suspects) {
      if (suspect.contradicted && suspect.streak >= this.#options.consecutiveFailures && hasCircuit(suspect)) this.#hold(now, suspect);
    }
  }

  /**
   * The only source on which the evidence rests, where others were answered of late: it is held, and what it has brought is taken out of
   * the window. Null: the evidence has a second witness, or there is no other source.
   */
  holdOnlyWitness(now: Instant, evidence: Evidence): Suspect<unknown> | null {
    const { window } = evidence;
    const count = window.count(now);
    const { failures } = window;
    for (const level of BLAME_LEVELS) {
      const suspect = this.#worst(now, level);
      if (suspect === null || !this.blame.servesOthers(now, level, suspect.key, this.#options.windowMs)) continue;
      const others = count - suspect.data.counted.count(now);
      const ratio = others === 0 ? 0 : (failures - suspect.data.counted.failures) / others;
      const isConfirmed = evidence.isByRow && evidence.consecutive > this.rowFailuresOf(suspect, evidence.row);
      if (isConfirmed || ratio >= this.#options.failureRatio) continue;
      this.#takeOut(now, suspect, window);
      this.#hold(now, suspect);
      return suspect;
    }
    return null;
  }

  /** A request was held, and another one of its client fails as well: holds the client if other clients are answered; null: it was not held. */
  holdClientOf(now: Instant, request: Suspect<unknown>, source: Source | undefined, window: OutcomeWindow): Suspect<unknown> | null {
    if (source === undefined || (request.data as Circuit | null)?.client !== source.client) return null;
    if (!this.blame.servesOthers(now, 'client', source.client, this.#options.windowMs)) return null;
    const client = this.#failing(now, 'client', source);
    this.#takeOut(now, client, window);
    this.#hold(now, client);
    return client;
  }

  rowFailuresOf(suspect: Suspect<unknown>, row: number): number {
    const circuit = suspect.data as Circuit;
    return circuit.row === row ? circuit.rowFailures : 0;
  }

  /** The client that all failures in the window are from; null: they are from several. */
  onlyClient(now: Instant, failures: number): string | null {
    const suspect = this.#worst(now, 'client');
    return suspect !== null && isKnown(suspect) && suspect.data.counted.failures >= failures ? (suspect.key as string) : null;
  }

  /** True if the source fails while others were answered lately: they should send the probe. */
  shouldYield(now: Instant, source: Source | undefined): boolean {
    if (source === undefined) return false;
    return this.blame.suspects.some(
      (suspect) => suspect.streak > 0 && isOf(suspect, source) && this.blame.servesOthers(now, suspect.level, suspect.key, FITTER_MS),
    );
  }

  /** The window of the target was emptied. */
  clearCounted(): void {
    for (const { data } of this.blame.suspects) data?.counted.clear();
  }

  #isAlone(now: Instant, { level, key, contradicted }: Suspect<Circuit>): boolean {
    return contradicted || this.blame.servesOthers(now, level, key, this.#options.windowMs);
  }

  #failing(now: Instant, level: BlameLevel, source: Source | undefined): Failing {
    const suspect = this.blame.suspectOf(now, level, source);
    suspect.data ??= newCircuit(this.#options.windowMs, now, level === 'request' ? source?.client : undefined);
    return suspect as Failing;
  }

  #worst(now: Instant, level: BlameLevel): Failing | null {
    let worst: Failing | null = null;
    for (const suspect of this.blame.suspects) {
      if (suspect.level !== level || !hasCircuit(suspect) || suspect.data.counted.count(now) === 0) continue;
      if (suspect.data.counted.failures > (worst?.data.counted.failures ?? 0)) worst = suspect;
    }
    return worst;
  }

  #heldOf(source: Source | undefined): Failing[] {
    if (source === undefined || this.blame.suspects.length === 0) return NONE;
    return this.blame.suspects.filter(hasCircuit).filter((suspect) => suspect.data.isHeld && isOf(suspect, source));
  }

  /** Takes the source's outcomes out of the target's window; those of a request count in its client's, too. */
  #takeOut(now: Instant, { level, key, data }: Failing, window: OutcomeWindow): void {
    window.subtract(now, data.counted);
    for (const other of this.blame.suspects) {
      if (level === 'request' && other.level === 'client' && other.key === data.client) other.data?.counted.subtract(now, data.counted);
      if (level === 'client' && other.data?.client === key) other.data.counted.clear();
    }
    data.counted.clear();
  }

  #hold(now: Instant, suspect: Failing): void {
    const { data } = suspect;
    if (!data.isHeld && suspect.level === 'request') {
      const client = this.blame.suspects.find((other) => other.level === 'client' && other.key === data.client);
      if (client !== undefined) client.streak = Math.max(0, client.streak - suspect.streak);
    }
    data.isHeld = true;
    data.heldUntil = now + this.#holdMs(data.holds++);
    suspect.contradicted = true;
    suspect.failedAt = now;
  }

  #drop(suspect: Failing): void {
    (suspect as Suspect<Circuit>).data = null;
  }

  #holdMs(holds: number): number {
    const maxMs = Math.max(this.#options.openForMs, HELD_MAX_MS);
    return Math.min(maxMs, grownOpenMs(this.#options, Math.min(holds, 20) + 1)) * drawJitter(this.#random);
  }

  #countOwn(now: Instant, circuit: Circuit, failed: boolean): void {
    if (now - circuit.since > this.#options.windowMs) [circuit.since, circuit.failures, circuit.count] = [now, 0, 0];
    circuit.count++;
    if (failed) circuit.failures++;
  }
}

const NONE: Failing[] = [];

function hasCircuit(suspect: Suspect<Circuit>): suspect is Failing {
  return suspect.data !== null;
}

function newCircuit(windowMs: number, now: Instant, client: string | undefined): Circuit {
  const counted = new OutcomeWindow(windowMs);
  return { client, counted, row: -1, rowFailures: 0, since: now, failures: 0, count: 0, isHeld: false, heldUntil: -Infinity, holds: 0 };
}
