/** A conversation stays with one key of a provider, as long as that key is available soon. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chatResponse } from '../../src/testing/simulated-chat.ts';
import { ascending, badKey, keyed, limited, MINUTE, times } from './keyed.ts';
import type { Keyed } from './keyed.ts';

describe('a conversation', () => {
  const session = (id: string) => ({ 'x-claude-code-session-id': id });

  it('stays with its key, by header or prompt_cache_key, and conversations are spread over the keys', async (t) => {
    const world = await keyed(t, 3, () => null);
    for (const wish of [(id: string) => world.answerTo({}, session(id)), (id: string) => world.answerTo({ prompt_cache_key: id })]) {
      const homes = new Map<string, number>();
      for (let round = 0; round < 4; round++) {
        for (const id of times(12, (i) => `c${i}`)) {
          const before = world.byKey();
          await wish(id);
          const home = world.byKey().findIndex((calls, i) => calls > before[i]!);
          assert.equal(homes.get(id) ?? home, home, id);
          homes.set(id, home);
        }
      }
      assert.equal(new Set(homes.values()).size, 3);
    }
  });

  it('is not bound to a key by the user field', async (t) => {
    const world = await keyed(t, 2, () => null);
    for (let i = 0; i < 10; i++) await world.answerTo({ user: 'everybody', safety_identifier: 'all' });
    assert.deepEqual(world.byKey(), [5, 5]);
  });

  it('waits for its key within patience, while others are served by the free key', async (t) => {
    const world = await keyed(t, 2, () => chatResponse({ headersAfterMs: 600 }), { limits: { concurrency: 1 } });
    const home = await homeOf(world, session('s'));
    const busy = world.ask({}, session('s')).done;
    await world.clock.advanceAsync(10);
    const own = times(1, () => world.ask({}, session('s')).done);
    await world.clock.advanceAsync(10);
    const before = world.byKey();
    const other = world.ask().done;
    await world.clock.advanceAsync(0);
    assert.equal(world.byKey()[1 - home], before[1 - home]! + 1, 'another conversation starts at once on the other key');
    for (const seen of await world.until(Promise.all([busy, ...own, other]))) assert.equal(seen.status, 200);
    assert.equal((await own[0]!).endAtMs, 590 + 600);
    assert.equal(world.byKey()[home], before[home]! + 1);
  });

  it('moves when its key would start later than patience, at once if that is known', async (t) => {
    const world = await keyed(t, 2, () => chatResponse({ headersAfterMs: 3000 }), { limits: { concurrency: 1 } });
    const home = await homeOf(world, session('s'));
    const busy = world.ask({}, session('s')).done;
    await world.clock.advanceAsync(10);
    const own = world.ask({}, session('s')).done;
    await world.until(Promise.all([busy, own]));
    assert.equal((await own).endAtMs, 1000 + 3000, 'it is unknown when the key becomes available');

    const known = await keyed(t, 2, (key, nth) => (nth === 2 && key === home ? limited('10') : null));
    assert.equal(await homeOf(known, session('s')), home);
    await known.answerTo({}, session('s'));
    const seen = await known.answerTo({}, session('s'));
    assert.equal(seen.endAtMs, 0);
    assert.equal(known.byKey()[home], 2);
  });

  it('waits for the end of a short pause of its key', async (t) => {
    const world = await keyed(t, 2, () => null);
    const home = await homeOf(world, session('s'));
    const paused = await keyed(t, 2, (key, nth) => (nth === 2 && key === home ? limited('0.5') : null));
    await homeOf(paused, session('s'));
    assert.equal((await paused.answerTo({}, session('s'))).endAtMs, 0, 'the refused request is served by the other key');
    const seen = await paused.answerTo({}, session('s'));
    assert.ok(seen.endAtMs >= 500 && seen.endAtMs < 600, `${seen.endAtMs} ms`);
    assert.equal(paused.byKey()[home], 3);
  });

  it('uses a second key while its own is quarantined, and returns', async (t) => {
    const world = await keyed(t, 3, () => null);
    const home = await homeOf(world, session('s'));
    let good = false;
    const broken = await keyed(t, 3, (key) => (key === home && !good ? badKey() : null));
    for (let i = 0; i < 10; i++) assert.equal((await broken.answerTo({}, session('s'))).status, 200);
    const counts = broken.byKey();
    assert.equal(counts[home], 1);
    assert.deepEqual([...counts].sort(ascending), [0, 1, 10]);
    good = true;
    await broken.clock.advanceAsync(6 * MINUTE);
    for (let i = 0; i < 5; i++) await broken.answerTo({}, session('s'));
    assert.equal(broken.byKey()[home], 6);
  });

  it('near its deadline does not wait for its key', async (t) => {
    const world = await keyed(t, 2, (_key, nth) => chatResponse({ headersAfterMs: nth === 2 ? 5000 : 200 }), {
      limits: { concurrency: 1 },
    });
    await homeOf(world, session('s'));
    const busy = world.ask({}, session('s')).done;
    await world.clock.advanceAsync(1);
    const seen = await world.answerTo({}, { ...session('s'), 'x-breakwater-deadline-ms': '500' });
    assert.deepEqual([seen.status, seen.endAtMs], [200, 250 + 200]);
    await world.until(busy);
  });

  it('that floods its key does not delay conversations with another key', async (t) => {
    const world = await keyed(t, 2, () => chatResponse({ headersAfterMs: 5000 }), { limits: { concurrency: 2 } });
    const home = await homeOf(world, session('s'));
    const flood = times(40, () => world.ask({}, session('s')).done);
    await world.clock.advanceAsync(10);
    assert.equal(world.byKey()[home], 3);
    const others = times(2, () => world.ask().done);
    await world.clock.advanceAsync(0);
    assert.equal(world.byKey()[1 - home], 2, 'free capacity is used at once');
    for (const seen of await world.until(Promise.all([...flood, ...others]))) assert.equal(seen.status, 200);
  });

  async function homeOf(world: Keyed, headers: Record<string, string>): Promise<number> {
    const before = world.byKey();
    await world.answerTo({}, headers);
    return world.byKey().findIndex((calls, i) => calls > before[i]!);
  }
});
