import { Fleet } from '../cluster/fleet.ts';
import type { FleetStatus } from '../cluster/lease-agent.ts';
import type { Clock } from '../core/clock.ts';
import type { EventBus } from '../core/events.ts';
import type { Engine } from '../pipeline/request/engine.ts';
import { emitBreakerChange } from '../pipeline/settle/settle-attempt.ts';
import type { TargetState } from '../pipeline/route/route.ts';
import type { Store } from '../store/store.ts';

interface FleetParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly events: EventBus;
  /** Called only after the gateway is created. */
  readonly engine: () => Engine;
  readonly targets: () => readonly TargetState[];
}

/** The fleet of instances that share this gateway's store; null: the store is not shared. */
export function createFleet({ store, clock, events, engine, targets }: FleetParts): Fleet | null {
  if (store.shared === undefined) return null;
  const fleet = new Fleet({
    clock,
    shared: store.shared,
    subjects: targets,
    // A granted lease does not depend on time, so all waiting requests are evaluated again.
    onGranted: () => engine().admission.pump(true),
    onAdopted() {
      for (const state of targets()) emitBreakerChange(engine(), state);
      engine().admission.pump(true);
    },
    onFleet: (status) => events.emit({ type: 'lifecycle', at: clock.now(), ...toEvent(status) }),
  });
  events.on('breaker', () => fleet.health.changed());
  events.on('cooldown', () => fleet.health.changed());
  return fleet;
}

function toEvent({ isLinked, members }: FleetStatus): { state: 'fleet_changed' | 'fleet_lost'; detail: string } {
  const count = members.length;
  if (isLinked) return { state: 'fleet_changed', detail: `${count} instance${count === 1 ? '' : 's'} share the limits` };
  const share = count > 1 ? `1/${count} of each limit` : 'the whole of each limit, as no other instance is known';
  return { state: 'fleet_lost', detail: `the shared store does not respond; this instance uses ${share}` };
}
