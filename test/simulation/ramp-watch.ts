/** Checks that the load of a recovered target rises step by step: its concurrent calls are bounded by its successful responses. */
import type { EventOf } from '../../src/core/events.ts';
import type { Simulation } from '../../src/testing/simulation.ts';

/** By then a ramp may be over. */
const GOOD_ENOUGH = 10;
/** Responses start before they are committed, and may be rejected in between. */
const SLACK = 3;

interface Ramp {
  /** Requests that have started since it closed. */
  readonly running: Set<string>;
  begun: number;
  good: number;
}

export class RampWatch {
  readonly #ramps = new Map<string, Ramp>();
  readonly #probes: number;
  readonly #fault: (what: string, request: string) => void;

  constructor(simulation: Simulation, probes: number, fault: (what: string, request: string) => void) {
    this.#probes = probes;
    this.#fault = fault;
    simulation.events.on('breaker', ({ target, from, to }) => {
      this.#ramps.delete(target);
      if (from === 'half-open' && to === 'closed') this.#ramps.set(target, { running: new Set(), begun: 0, good: 0 });
    });
    simulation.events.on('attempt', (event) => this.#onAttempt(event));
    simulation.events.on('committed', ({ target }) => {
      const ramp = this.#ramps.get(target);
      if (ramp !== undefined) ramp.begun++;
    });
    simulation.events.on('attempt_end', (event) => this.#onAttemptEnd(event));
  }

  #onAttempt({ target, requestId, attempt }: EventOf<'attempt'>): void {
    const ramp = this.#ramps.get(target);
    if (ramp === undefined) return;
    ramp.running.add(`${requestId} ${attempt}`);
    const earned = this.#probes + 1 + ramp.begun + ramp.good + SLACK;
    if (ramp.running.size <= earned) return;
    this.#fault(`ramp: ${ramp.running.size} at once at ${target}, which has recovered and given ${ramp.good} good responses`, requestId);
    this.#ramps.delete(target);
  }

  #onAttemptEnd({ target, requestId, attempt, verdict }: EventOf<'attempt_end'>): void {
    const ramp = this.#ramps.get(target);
    if (ramp === undefined) return;
    ramp.running.delete(`${requestId} ${attempt}`);
    if (verdict === 'success' && ++ramp.good >= GOOD_ENOUGH) this.#ramps.delete(target);
  }
}
