/** What can happen to the store of a fleet, and its end. */
import type { VirtualFleetStore } from '../../src/testing/virtual-shared-store.ts';

interface World {
  readonly store: VirtualFleetStore;
}

export const STORE_OUTAGES: readonly (readonly [name: string, begin: (world: World) => void, end: (world: World) => void])[] = [
  ['gone', ({ store }) => void (store.isGone = true), ({ store }) => void (store.isGone = false)],
  ['frozen', ({ store }) => void (store.isFrozen = true), ({ store }) => void (store.isFrozen = false)],
  ['500 ms slow', ({ store }) => void (store.delayMs = 500), ({ store }) => void (store.delayMs = 1)],
  [
    'unavailable, and empty when it is back',
    ({ store }) => void (store.isGone = true),
    ({ store }) => {
      store.clear();
      store.isGone = false;
    },
  ],
];
