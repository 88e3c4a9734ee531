import type { TargetState } from '../pipeline/route/route.ts';

/** Resets the state of a target to its initial values. */
export function resetTargetState(state: TargetState): void {
  state.breaker.reset();
  state.cooldown.reset();
  state.overload.reset();
  state.credential.quarantine.reset();
  state.health.reset();
  state.rates?.reset();
  state.concurrency.reset();
  state.input.reset();
  state.output.reset();
  state.silence.reset();
  state.found.reset();
}
