import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../e2e/world.ts';
import { startFleet } from './fleet-world.ts';
import { skipWithoutRedis, startRedis } from './server.ts';

const options = { skip: skipWithoutRedis };

void test('a 429 with Retry-After at one instance stops the others within 100 ms', options, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const fleet = await startFleet(t, { url: redis.url });
  const [first, second] = [await fleet.join(), await fleet.join()];
  fleet.storm.setFaults([{ kind: '429', calls: [1], retryAfter: 5 }]);
  const refused = await first.ask({}, { 'x-breakwater-deadline-ms': '500' });
  assert.equal(refused.status, 429);
  const toldAt = performance.now();
  await eventually(() => second.gateway.targets()[0]!.cooldownMs > 3_000, 'the cooldown at the other instance');
  assert.ok(performance.now() - toldAt < 100);
  const calls = fleet.storm.stats().calls;
  assert.equal((await second.ask({}, { 'x-breakwater-deadline-ms': '500' })).status, 429);
  assert.equal(fleet.storm.stats().calls, calls);
});

void test('a breaker that opens at one instance is open at all, one of them probes, and all close with it', options, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const fleet = await startFleet(t, { url: redis.url, config: { policy: { breaker: { openFor: '1s' }, maxAttempts: 1 } } });
  const members = [await fleet.join(), await fleet.join(), await fleet.join(), await fleet.join()];
  fleet.storm.setFaults([{ kind: '500' }]);
  // Requests of several clients: one alone proves nothing.
  for (let i = 0; i < 12; i++) await members[0]!.ask({}, { 'x-breakwater-deadline-ms': '300' });
  assert.equal(members[0]!.gateway.targets()[0]!.breaker.state, 'open');
  await eventually(() => members.every(({ gateway }) => gateway.targets()[0]!.breaker.state === 'open'), 'open everywhere');
  fleet.storm.setFaults([]);
  const before = fleet.storm.stats();
  const asked = members.flatMap((member) => Array.from({ length: 5 }, () => member.ask({}, { 'x-breakwater-deadline-ms': '8000' })));
  const answers = await Promise.all(asked);
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  assert.equal(fleet.storm.stats().calls - before.calls, 20);
  await eventually(() => members.every(({ gateway }) => gateway.targets()[0]!.breaker.state === 'closed'), 'closed everywhere');
});

void test('two instances together stay within a limit, and use it', options, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const limits = { requestsPerMinute: 60 };
  const fleet = await startFleet(t, { url: redis.url, storm: { limits: { requestsPerMinute: 60 } }, provider: { limits } });
  const [first, second] = [await fleet.join(), await fleet.join()];
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, i) => (i % 4 === 0 ? second : first).ask({}, { 'x-breakwater-deadline-ms': '20000' })),
  );
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  const more = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? second : first).ask({}, { 'x-breakwater-deadline-ms': '3000' }));
  await Promise.all(more);
  assert.equal(fleet.storm.stats().violations.total, 0);
});
