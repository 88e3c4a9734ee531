import { hostname } from 'node:os';
import { Fleet } from '../cluster/fleet.ts';
import type { FleetStatus } from '../cluster/lease-agent.ts';
import type { Clock } from '../core/clock.ts';
import type { EventBus } from '../core/events.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Engine } from '../pipeline/request/engine.ts';
import { emitBreakerChange } from '../pipeline/settle/settle-attempt.ts';
import type { TargetState } from '../pipeline/route/route.ts';
import type { Config } from './config/index.ts';
import { fleetSettings } from './fleet-settings.ts';
import type { QueueStatus } from './gateway.ts';
import { withTimeout } from '../store/backend.ts';
import type { SharedFault } from '../store/shared-store.ts';
import type { Store } from '../store/store.ts';

const DIFFERENT = 'Limits hold only if they are the same everywhere: give all instances one config, and each fleet a namespace of its own';

const DENIED = 'Limits are shared; cooldowns, breaker states and isolated targets are not';

/** For the responses that are saved before the gateway leaves, in milliseconds. */
const SAVING_MS = 2_000;

/** Asked for once the gateway is made. */
interface FleetParts {
  readonly engine: () => Engine;
  readonly targets: () => { all(): readonly TargetState[] };
  readonly gateway: { readonly config: Config; readonly jobs: Jobs | null; queue(): QueueStatus };
}

/** The fleet of instances that share this gateway's store; null: the store is not shared. */
export function createFleet(store: Store, clock: Clock, events: EventBus, { engine, targets, gateway }: FleetParts): Fleet | null {
  if (store.shared === undefined) return null;
  let known: readonly string[] = [];
  let warned: string | null = null;
  const warnOfDenied = (message: string | null): void => {
    if (message !== null && message !== warned) events.emit({ type: 'warning', at: clock.now(), message: `${message}. ${DENIED}` });
    warned = message;
  };
  const fleet = new Fleet({
    clock,
    shared: store.shared,
    flights: store.flights,
    subjects: () => targets().all(),
    // A granted lease does not depend on time, so all waiting requests are evaluated again.
    onGranted: () => engine().admission.pump(true),
    onAdopted() {
      for (const state of targets().all()) emitBreakerChange(engine(), state);
      engine().admission.pump(true);
    },
    expectedInstances: () => gateway.config.cluster.expectedInstances,
    settings: {
      name: `${hostname()}, process ${process.pid}`,
      own: () => fleetSettings(gateway.config),
      onDiffer: (text) => events.emit({ type: 'warning', at: clock.now(), message: `${text}. ${DIFFERENT}` }),
      onAgree: () =>
        events.emit({ type: 'lifecycle', at: clock.now(), state: 'fleet_changed', detail: 'all instances have the same settings' }),
    },
    onJobs: () => gateway.jobs?.wake(),
    figures() {
      const { waiting, waitingByPriority, inFlight, oldestMs } = gateway.queue();
      return { waiting, waitingByPriority, inFlight, oldestMs, inFlightByTarget: inFlightBy(targets().all()) };
    },
    onFleet(status) {
      // The library warns of a lost gateway and reports its return.
      if (store.shared?.isGateway === true) return;
      events.emit({ type: 'lifecycle', at: clock.now(), ...toEvent(status, fleet.fault) });
      warnOfDenied(status.isLinked ? (fleet.fault?.message ?? null) : null);
      // An instance that is gone may have left jobs.
      if (status.isLinked && known.some((member) => !status.members.includes(member))) gateway.jobs?.wake();
      known = status.members;
    },
  });
  events.on('lifecycle', ({ state }) => state === 'reloaded' && fleet.reloaded());
  events.on('breaker', () => fleet.health.changed());
  events.on('cooldown', () => fleet.health.changed());
  return fleet;
}

export async function leaveFleet(fleet: Fleet | null, { responses }: Store, clock: Clock): Promise<void> {
  if (fleet === null) return;
  // A response is in the store before its claim is released.
  if (responses?.flush !== undefined) await withTimeout(clock, SAVING_MS, 'saving responses', responses.flush()).catch(() => {});
  await fleet.leave();
}

function inFlightBy(targets: readonly TargetState[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const { name, inFlight } of targets) if (inFlight > 0) found[name] = (found[name] ?? 0) + inFlight;
  return found;
}

function toEvent(
  { isLinked, members, shares }: FleetStatus,
  fault: SharedFault | null,
): { state: 'fleet_changed' | 'fleet_lost'; detail: string } {
  const count = members.length;
  if (isLinked)
    return { state: 'fleet_changed', detail: count === 1 ? 'this instance alone uses the limits' : `${count} instances share the limits` };
  const share =
    shares > 1 ? `1/${shares} of each limit` : 'the whole of each limit, as no other instance is known (cluster.expectedInstances)';
  const reason = fault === null ? 'the shared store does not respond or refuses writes' : `the shared store fails: ${fault.message}`;
  return { state: 'fleet_lost', detail: `${reason.replace(/\.+$/, '')}; this instance uses ${share}` };
}
