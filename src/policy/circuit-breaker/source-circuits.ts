/**
 * One circuit for each source of failures at a target, so that what fails for one client or request does not close the target to others.
 * Which failures count against which source is decided in `core/blame.ts`. A blocked source is refused until its time is over; then one
 * trial runs at a time.
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

/** A blocked source gets a trial at least this often, in milliseconds. */
const BLOCKED_MAX_MS = 25_000;
/** A source that was served within this time is preferred for a probe to one that fails, in milliseconds. */
const RECENTLY_SERVED_MS = 60_000;

interface Circuit {
  /** The client of the request; undefined for the circuit of a client. */
  readonly client: string | undefined;
  /** Its outcomes that are in the window of the target. */
  readonly counted: OutcomeWindow;
  /** Its failures in the run of failures with this number. */
  run: number;
  runFailures: number;
  /** Its own outcomes since `since`, within one window, including those that do not count against the target. */
  since: Instant;
  failures: number;
  count: number;
  isBlocked: boolean;
  blockedUntil: Instant;
  /** How many times in a row it was blocked. */
  blocks: number;
}

interface Failing extends Suspect<Circuit> {
  data: Circuit;
}

/** The evidence on which the target's breaker is about to open. */
export interface Evidence {
  readonly window: OutcomeWindow;
  /** Consecutive failures, and the number of that run. */
  readonly consecutive: number;
  readonly run: number;
  /** The run alone is sufficient to open. */
  readonly isByRun: boolean;
}

export class SourceCircuits {
  readonly blame = new Blame<Circuit>();
  readonly #options: BreakerOptions;
  readonly #random: Random;

  constructor(options: BreakerOptions, random: Random) {
    this.#options = options;
    this.#random = random;
  }

  /** Until when the source is blocked; -Infinity: it is not. */
  blockedUntil(source: Source | undefined): Instant {
    let until = -Infinity;
    if (source === undefined) return until;
    for (const suspect of this.blame.suspects) {
      if (suspect.data?.isBlocked === true && isOf(suspect, source)) until = Math.max(until, suspect.data.blockedUntil);
    }
    return until;
  }

  /** Starts an attempt. True if it is the trial of a blocked source; the next trial follows after the same delay, whatever the outcome. */
  reserve(now: Instant, source: Source | undefined): boolean {
    let isTrial = false;
    for (const { data } of this.#blockedOf(source)) {
      data.blockedUntil = now + this.#blockMs(data.blocks);
      isTrial = true;
    }
    return isTrial;
  }

  settleTrial(now: Instant, source: Source | undefined, health: Settlement['health']): void {
    for (const suspect of this.#blockedOf(source)) {
      if (health === 'success') this.#drop(suspect);
      else if (health === 'failure') this.#block(now, suspect);
      else suspect.data.blockedUntil = Math.min(suspect.data.blockedUntil, now + this.#options.openForMs); // inconclusive
    }
  }

  /** The trial was not sent. */
  cancelTrial(now: Instant, source: Source | undefined): void {
    for (const { data } of this.#blockedOf(source)) data.blockedUntil = now;
  }

  served(now: Instant, source: Source | undefined): void {
    for (const suspect of this.blame.suspects) {
      if (!hasCircuit(suspect)) continue;
      if (isOf(suspect, source)) {
        suspect.data.counted.record(now, false);
        this.#countOwn(now, suspect.data, false);
      } else if (!suspect.data.isBlocked && now - suspect.failedAt > this.#options.windowMs) this.#drop(suspect);
    }
    this.blame.served(now, source);
  }

  /** False if only this source fails; its earlier outcomes are then removed from the window, too. */
  failed(now: Instant, source: Source | undefined, window: OutcomeWindow, run: number): boolean {
    if (this.blockedUntil(source) > -Infinity) return false;
    const counts = this.blame.failed(now, source);
    for (const level of BLAME_LEVELS) {
      const suspect = this.#failing(now, level, source);
      const { data } = suspect;
      this.#countOwn(now, data, true);
      if (!counts) {
        if (suspect.contradicted) this.#removeOutcomes(now, suspect, window);
        continue;
      }
      data.counted.record(now, true);
      if (data.run !== run) [data.run, data.runFailures] = [run, 0];
      data.runFailures++;
    }
    return counts;
  }

  /** Blocks the source, where it alone fails, by the same thresholds that open a breaker. */
  blockIfFailing(now: Instant, source: Source | undefined): void {
    const { consecutiveFailures, failureRatio, minRequests } = this.#options;
    for (const level of BLAME_LEVELS) {
      const suspect = this.blame.find(level, source);
      if (suspect === undefined || !hasCircuit(suspect) || suspect.data.isBlocked || !this.#isAlone(now, suspect)) continue;
      const { failures, count } = suspect.data;
      if (suspect.streak >= consecutiveFailures || (count >= minRequests && failures / count >= failureRatio))
        return this.#block(now, suspect);
    }
  }

  /** Blocks the source regardless of its history: its client where other clients were served recently, else its request. */
  block(now: Instant, source: Source | undefined): Suspect<unknown> {
    const client = this.#failing(now, 'client', source);
    const suspect = this.blame.servesOthers(now, 'client', client.key, RECENTLY_SERVED_MS) ? client : this.#failing(now, 'request', source);
    if (!suspect.data.isBlocked) this.#block(now, suspect);
    return suspect;
  }

  /** The target fails for all sources, so none stays blocked for it. */
  clearContradictions(): void {
    this.blame.clearContradictions();
    for (const { data } of this.blame.suspects) if (data !== null) data.isBlocked = false;
  }

  /** The target has just served another source: blocks those whose failures alone had made the target look broken. */
  blockContradicted(now: Instant): void {
    for (const suspect of this.blame.suspects) {
      if (suspect.contradicted && suspect.streak >= this.#options.consecutiveFailures && hasCircuit(suspect)) this.#block(now, suspect);
    }
  }

  /**
   * Where the evidence rests on a single source while others were served recently: blocks that source and removes its outcomes from the
   * window. Null: several sources confirm the evidence, or there is no other source.
   */
  blockOnlySource(now: Instant, evidence: Evidence): Suspect<unknown> | null {
    const { window } = evidence;
    const count = window.count(now);
    const { failures } = window;
    for (const level of BLAME_LEVELS) {
      const suspect = this.#worst(now, level);
      if (suspect === null || !this.blame.servesOthers(now, level, suspect.key, this.#options.windowMs)) continue;
      const others = count - suspect.data.counted.count(now);
      const ratio = others === 0 ? 0 : (failures - suspect.data.counted.failures) / others;
      const isConfirmed = evidence.isByRun && evidence.consecutive > this.runFailuresOf(suspect, evidence.run);
      if (isConfirmed || ratio >= this.#options.failureRatio) continue;
      this.#removeOutcomes(now, suspect, window);
      this.#block(now, suspect);
      return suspect;
    }
    return null;
  }

  /**
   * A request was blocked, and another request of the same client fails too: blocks the client if other clients are served. Null: it was
   * not blocked.
   */
  blockClientOf(now: Instant, request: Suspect<unknown>, source: Source | undefined, window: OutcomeWindow): Suspect<unknown> | null {
    if (source === undefined || (request.data as Circuit | null)?.client !== source.client) return null;
    if (!this.blame.servesOthers(now, 'client', source.client, this.#options.windowMs)) return null;
    const client = this.#failing(now, 'client', source);
    this.#removeOutcomes(now, client, window);
    this.#block(now, client);
    return client;
  }

  runFailuresOf(suspect: Suspect<unknown>, run: number): number {
    const circuit = suspect.data as Circuit;
    return circuit.run === run ? circuit.runFailures : 0;
  }

  /** The client of all failures in the window; null: there are several. */
  onlyClient(now: Instant, failures: number): string | null {
    const suspect = this.#worst(now, 'client');
    return suspect !== null && isKnown(suspect) && suspect.data.counted.failures >= failures ? (suspect.key as string) : null;
  }

  /** True if the source fails while others were served recently: those should send the probe. */
  shouldYield(now: Instant, source: Source | undefined): boolean {
    if (source === undefined) return false;
    return this.blame.suspects.some(
      (suspect) =>
        suspect.streak > 0 && isOf(suspect, source) && this.blame.servesOthers(now, suspect.level, suspect.key, RECENTLY_SERVED_MS),
    );
  }

  /** The window of the target was cleared. */
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

  #blockedOf(source: Source | undefined): Failing[] {
    if (source === undefined || this.blame.suspects.length === 0) return NONE;
    return this.blame.suspects.filter(hasCircuit).filter((suspect) => suspect.data.isBlocked && isOf(suspect, source));
  }

  /** Removes the outcomes of the source from the target's window. Outcomes of a request are counted for its client, too. */
  #removeOutcomes(now: Instant, { level, key, data }: Failing, window: OutcomeWindow): void {
    window.subtract(now, data.counted);
    for (const other of this.blame.suspects) {
      if (level === 'request' && other.level === 'client' && other.key === data.client) other.data?.counted.subtract(now, data.counted);
      if (level === 'client' && other.data?.client === key) other.data.counted.clear();
    }
    data.counted.clear();
  }

  #block(now: Instant, suspect: Failing): void {
    const { data } = suspect;
    if (!data.isBlocked && suspect.level === 'request') {
      const client = this.blame.suspects.find((other) => other.level === 'client' && other.key === data.client);
      if (client !== undefined) client.streak = Math.max(0, client.streak - suspect.streak);
    }
    data.isBlocked = true;
    data.blockedUntil = now + this.#blockMs(data.blocks++);
    suspect.contradicted = true;
    suspect.failedAt = now;
  }

  #drop(suspect: Failing): void {
    (suspect as Suspect<Circuit>).data = null;
  }

  #blockMs(blocks: number): number {
    const maxMs = Math.max(this.#options.openForMs, BLOCKED_MAX_MS);
    return Math.min(maxMs, grownOpenMs(this.#options, Math.min(blocks, 20) + 1)) * drawJitter(this.#random);
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
  return {
    client,
    counted,
    run: -1,
    runFailures: 0,
    since: now,
    failures: 0,
    count: 0,
    isBlocked: false,
    blockedUntil: -Infinity,
    blocks: 0,
  };
}
