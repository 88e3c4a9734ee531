/** Ten virtual minutes with keys that are limited, fail and recover, by seed: no caller notices. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chatResponse } from '../../src/testing/simulated-chat.ts';
import { createSeededRandom } from '../../src/testing/seeded-random.ts';
import { badKey, keyed, limited, MINUTE, spent, times } from './keyed.ts';

const SECOND = 1000;
const REQUESTS = 1200;
const EVERY_MS = 500;

interface Life {
  /** Refused from the first instant until the second. */
  readonly dead: readonly [from: number, until: number];
  readonly refusal: typeof badKey;
  /** Calls that the provider accepts per minute. */
  readonly perMinute: number;
  minute: number;
  taken: number;
  /** Until when this key must pause, according to its responses. */
  restsUntil: number;
  refused: number;
  early: number;
}

describe('keys that are limited, fail and recover', { concurrency: 2 }, () => {
  for (const seed of [1, 2, 3, 4]) {
    it(`serve every request, and none is called during its pause (seed ${seed})`, async (t) => {
      const random = createSeededRandom(seed);
      let startedAt = 0;
      const lives = times(3, (key): Life => {
        // One key lives and is large enough for all: whatever happens to the others, nobody has to wait.
        const from = key === 0 ? Infinity : random.next() * 5 * MINUTE;
        return {
          dead: [from, from + random.next() * 6 * MINUTE],
          refusal: random.next() < 0.5 ? badKey : spent,
          perMinute: key === 0 ? Infinity : 10 + Math.floor(random.next() * 40),
          minute: -1,
          taken: 0,
          restsUntil: -Infinity,
          refused: 0,
          early: 0,
        };
      });
      const world = await keyed(t, 3, (key, _nth, call) => {
        const life = lives[key]!;
        const at = call.at - startedAt;
        if (at < life.restsUntil) life.early++;
        if (at >= life.dead[0] && at < life.dead[1]) {
          life.refused++;
          life.restsUntil = at + 5 * MINUTE;
          return life.refusal();
        }
        const minute = Math.floor(at / MINUTE);
        if (minute !== life.minute) [life.minute, life.taken] = [minute, 0];
        if (++life.taken <= life.perMinute) return chatResponse();
        const restMs = (minute + 1) * MINUTE - at;
        life.restsUntil = at + restMs;
        return limited(String(restMs / SECOND));
      });
      startedAt = world.clock.now();
      const asked: Promise<{ status: number; endAtMs: number }>[] = [];
      for (let i = 0; i < REQUESTS; i++) {
        const headers: Record<string, string> = random.next() < 0.5 ? { session_id: `s${Math.floor(random.next() * 20)}` } : {};
        asked.push(world.ask({}, headers).done);
        await world.clock.advanceAsync(EVERY_MS);
      }
      const seen = await world.until(Promise.all(asked));
      assert.deepEqual([...new Set(seen.map((answer) => answer.status))], [200], `seed ${seed}`);
      const longestMs = Math.max(...seen.map((answer) => answer.endAtMs));
      assert.ok(longestMs <= 1200, `seed ${seed}: ${longestMs} ms: waits are at most patience plus the spacing after a pause`);
      for (const [key, life] of lives.entries()) {
        assert.equal(life.early, 0, `seed ${seed}: key ${key + 1} was called ${life.early} times during its pause`);
        assert.ok(life.refused <= 3, `seed ${seed}: key ${key + 1} was refused ${life.refused} times`);
      }
      const calls = world.byKey().reduce((sum, count) => sum + count, 0);
      assert.ok(calls <= REQUESTS + 2 * 10 + 2 * 3, `seed ${seed}: ${calls} calls: one more for each minute and key that was limited`);
      assert.ok(
        world.byKey().every((count) => count > 10),
        `seed ${seed}: ${world.byKey().join()}`,
      );
      assert.ok(world.gateway.targets().every((target) => target.inFlight === 0));
    });
  }
});
