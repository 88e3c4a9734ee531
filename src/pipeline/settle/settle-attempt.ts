/** The end of an attempt, as its limits, its breaker and its target's health count it. */
import type { Instant } from '../../core/clock.ts';
import type { Permit } from '../../core/permit.ts';
import type { Settlement } from '../../core/resource.ts';
import type { Engine } from '../request/engine.ts';
import { countsCached } from '../route/route.ts';
import type { RouteTarget, TargetState } from '../route/route.ts';

/** Closes the permit of an attempt, and emits what that changed. `pauseUntil`: the end of the pause that the target asked for. */
export function settleAttempt(
  engine: Engine,
  target: RouteTarget,
  permit: Permit,
  settlement: Settlement,
  pauseUntil: Instant = -Infinity,
): void {
  const { state } = target;
  const now = engine.clock.now();
  const { health } = settlement;
  const { source } = permit.need;
  const countsForAll =
    health === 'success' || (health === 'failure' && (source === undefined || state.breaker.soleCauseLevel(source) === null));
  state.inFlight--;
  permit.settle(now, asCounted(state, settlement));
  state.breaker.extend(pauseUntil);
  if (countsForAll) state.health.record(now, health === 'success');
  emitBreakerChange(engine, state);
  engine.admission.pump();
}

/** Limits are settled with what the provider counts, not with what it reports. */
function asCounted(state: TargetState, settlement: Settlement): Settlement {
  const { usage } = settlement;
  if (usage === null || usage.cachedInputTokens === 0 || countsCached(state)) return settlement;
  return { ...settlement, usage: { ...usage, inputTokens: Math.max(0, usage.inputTokens - usage.cachedInputTokens) } };
}

/** Emits a breaker's change of state, if there was one since the last time. */
export function emitBreakerChange(engine: Engine, state: TargetState): void {
  const { breaker, told } = state;
  const before = told.breaker;
  if (breaker.state === before) return;
  told.breaker = breaker.state;
  const at = engine.clock.now();
  engine.events.emit({ type: 'breaker', at, target: state.name, from: before, to: breaker.state, openForMs: breaker.openForMs(at) });
}

/** A response has begun: trials on its resources have passed so far, and requests that waited for them may start. */
export function noteFirstContent(engine: Engine, permit: Permit): void {
  if (permit.onFirstContent(engine.clock.now())) engine.admission.pump();
}
