import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../../testing/manual-clock.ts';
import { testStoreContract } from '../contract.test-suite.ts';
import { createMemoryStore } from './memory-store.ts';

testStoreContract({
  name: 'memory',
  open: async (_t, clock, limits) => createMemoryStore({ clock, ...(limits && { limits }) }),
});

test('expired entries are removed without being read', async () => {
  const clock = createManualClock({ epochMs: 0 });
  const store = createMemoryStore({ clock, limits: { entriesMax: 3 } });
  store.put('cooldown', 'lasting', 1);
  store.put('cooldown', 'a', 1, { expiresAtMs: 10 });
  store.put('cooldown', 'b', 1, { expiresAtMs: 10 });
  clock.advance(60_000);
  store.put('cooldown', 'c', 1);
  store.put('cooldown', 'd', 1);
  assert.equal(store.counters.dropped, 0);
  assert.deepEqual([...(await store.getAll('cooldown')).keys()], ['lasting', 'c', 'd']);
});
