/** Settles an attempt with its limits, its breaker and its target's health. */
import type { Instant } from '../../core/clock.ts';
import type { Permit } from '../../core/permit.ts';
import type { Settlement } from '../../core/resource.ts';
import type { Engine } from '../request/engine.ts';
import { countsCached } from '../route/route.ts';
import type { RouteTarget, TargetState } from '../route/route.ts';

/** Closes the permit of an attempt, and emits the changes. `pauseUntil`: the end of the pause that the target requested. */
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

/** The settlement by the provider's own counting, which may exclude cached input. */
function asCounted(state: TargetState, settlement: Settlement): Settlement {
  const { usage } = settlement;
  if (usage === null || usage.cachedInputTokens === 0 || countsCached(state)) return settlement;
  return { ...settlement, usage: { ...usage, inputTokens: Math.max(0, usage.inputTokens - usage.cachedInputTokens) } };
}

/** Emits a breaker's state if it has changed since it was last emitted. */
export function emitBreakerChange(engine: Engine, state: TargetState): void {
  const { breaker, emitted } = state;
  const before = emitted.breaker;
  if (breaker.state === before) return;
  emitted.breaker = breaker.state;
  const at = engine.clock.now();
  engine.events.emit({ type: 'breaker', at, target: state.name, from: before, to: breaker.state, openForMs: breaker.openForMs(at) });
}

/** A response has begun: trials on its resources have passed so far, and waiting requests may start. */
export function settleFirstContent(engine: Engine, permit: Permit, now: Instant): void {
  if (permit.onFirstContent(now)) engine.admission.pump();
}
