import type { TargetState } from '../pipeline/route/route.ts';

/** Puts a target back to what it was before it was first asked. */
export function forgetTrouble(state: TargetState): void {
  state.breaker.reset();
  state.cooldown.reset();
  state.overload.reset();
  state.credential.bench.reset();
  state.health.reset();
  state.rates?.reset();
  state.concurrency.reset();
  state.input.reset();
  state.output.reset();
  state.found.reset();
}
