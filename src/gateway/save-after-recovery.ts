import type { Clock } from '../core/clock.ts';
import type { EventBus } from '../core/events.ts';
import type { Store } from '../store/store.ts';

/** Writes all state again when the store recovers, since it may be a new file. */
export function saveAfterRecovery(store: Store, events: EventBus, clock: Clock, saves: readonly (() => void)[]): void {
  store.onHealthChange((health) => {
    if (health.state !== 'ok') return;
    for (const save of saves) save();
    events.emit({
      type: 'lifecycle',
      at: clock.now(),
      state: 'store_recovered',
      detail: 'the store has recovered; all state is saved again',
    });
  });
}
