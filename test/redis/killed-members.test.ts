/** kill -9 of processes that hold limits of a day, on a real server: what is lost with them, by the provider's own count. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { createBreakwater, type Breakwater } from '../../src/index.ts';
import { startStorm, type Storm } from '../../src/storm/index.ts';
import { chatBody } from '../e2e/harness.ts';
import { eventually } from '../e2e/world.ts';
import { startMembers, type Member } from './processes.ts';
import { skipWithoutRedis, startRedis } from './server.ts';

const options = { skip: skipWithoutRedis };
/** A member that is silent for this long is dead. */
const DEAD_MS = 5_000;

async function stage(t: TestContext, limits: object): Promise<{ url: string; storm: Storm }> {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const storm = await startStorm({ name: 'a', limits });
  t.after(() => storm.close());
  return { url: redis.url, storm };
}

async function statusOf(base: string, deadlineMs = 4_000): Promise<number> {
  const headers = { 'content-type': 'application/json', 'x-breakwater-deadline-ms': String(deadlineMs) };
  const response = await fetch(`${base}/v1/chat/completions`, { method: 'POST', headers, body: JSON.stringify(chatBody()) });
  await response.arrayBuffer();
  return response.status;
}

async function libraryStatusOf(breakwater: Breakwater): Promise<number> {
  const headers = { 'content-type': 'application/json', 'x-breakwater-deadline-ms': '4000' };
  const init = { method: 'POST', headers, body: JSON.stringify(chatBody()) };
  const response = await breakwater.fetch('http://breakwater/v1/chat/completions', init);
  await response.arrayBuffer();
  return response.status;
}

/** What the instance can use of the limit of a day, the pool included. */
async function availableAt({ base }: Member): Promise<number> {
  const { targets } = (await (await fetch(`${base}/admin/targets`)).json()) as {
    targets: { limits: { limit: number; available: number }[] }[];
  };
  return targets[0]!.limits.find(({ limit }) => limit === 1_000)!.available;
}

for (const window of ['bucket', 'sliding'] as const) {
  void test(
    `an instance alone that is killed with kill -9 and started again has its limit of a day but for a slice (${window})`,
    options,
    async (t) => {
      const { url, storm } = await stage(t, { requestsPerDay: 1_000 });
      for (let round = 1; round <= 3; round++) {
        const [member] = await startMembers(t, url, storm.url, 1, { requestsPerDay: 1_000, window });
        const before = await availableAt(member!);
        assert.ok(before >= 1_000 - round * 20, `${before} left in round ${round}`);
        assert.equal(await statusOf(member!.base), 200);
        await member!.kill();
      }
      assert.equal(storm.stats().calls, 3);
    },
  );

  void test(
    `gateways and a library use a limit of a day, two of which are killed with kill -9, and exceed it never (${window})`,
    options,
    async (t) => {
      const limits = { requestsPerDay: 200, window };
      const { url, storm } = await stage(t, { requestsPerDay: 200 });
      const members = await startMembers(t, url, storm.url, 3, limits);
      const library = await createBreakwater({
        store: url,
        providers: { a: { protocol: 'openai', baseUrl: storm.url, apiKey: 'sk-test', limits } },
        models: { fast: ['a/m'] },
        telemetry: { logs: { level: 'error' } },
      });
      t.after(() => library.close());
      const first = [...members.flatMap(({ base }) => Array.from({ length: 20 }, () => statusOf(base))), libraryStatusOf(library)];
      assert.deepEqual(new Set(await Promise.all(first)), new Set([200]));
      await members[0]!.kill();
      await members[1]!.kill();
      await eventually(() => storm.stats().running === 0, 'no call');
      await new Promise((resolve) => setTimeout(resolve, DEAD_MS + 1_000));
      const rest = [
        ...Array.from({ length: 100 }, () => statusOf(members[2]!.base)),
        ...Array.from({ length: 60 }, () => libraryStatusOf(library)),
      ];
      const statuses = await Promise.all(rest);
      const { calls, violations } = storm.stats();
      t.diagnostic(`${calls} of 200 calls`);
      assert.equal(violations.total, 0);
      // A slice is at most a twentieth of the limit.
      assert.ok(statuses.includes(429) && calls >= 200 - 2 * 10 - 4, `${calls} calls`);
    },
  );
}

void test('an instance that was frozen while the others used a limit of a day up exceeds it by nothing', options, async (t) => {
  const { url, storm } = await stage(t, { requestsPerDay: 100 });
  const [frozen, other] = await startMembers(t, url, storm.url, 2, { requestsPerDay: 100 });
  const ask = (member: Member, count: number): Promise<number[]> => Promise.all(Array.from({ length: count }, () => statusOf(member.base)));
  assert.deepEqual(new Set(await ask(frozen!, 20)), new Set([200]));
  frozen!.signal('SIGSTOP');
  await new Promise((resolve) => setTimeout(resolve, DEAD_MS + 1_000));
  await ask(other!, 120);
  const before = storm.stats().calls;
  assert.ok(before >= 100 - 5 - 1, `${before} calls`);
  frozen!.signal('SIGCONT');
  await ask(frozen!, 30);
  const { calls, violations } = storm.stats();
  t.diagnostic(`${before} calls before, ${calls} in the end`);
  assert.equal(violations.total, 0);
  assert.ok(calls <= 100 + 1, `${calls} calls`);
});
