import assert from 'node:assert/strict';
import { connect } from 'node:net';
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
  // Requests of several clients: one client alone is no evidence.
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

void test('fleets of one namespace in different databases have nothing in common', options, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const [first, second] = await Promise.all(['0', '5'].map(async (name) => (await startFleet(t, { url: `${redis.url}/${name}` })).join()));
  first!.gateway.isolate('p/m');
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal((await second!.ask()).status, 200);
  assert.deepEqual([first!.gateway.fleet!.members.length, second!.gateway.fleet!.members.length], [1, 1]);
});

for (const limits of [
  { requestsPerMinute: 120 },
  { requestsPerDay: 60 },
  { requestsPerMinute: 120, window: 'sliding' as const },
  { concurrency: 4 },
]) {
  void test(`an idle instance gives up its share of ${JSON.stringify(limits)} as soon as others need it`, options, async (t) => {
    const redis = await startRedis();
    t.after(() => redis.stop());
    const fleet = await startFleet(t, { url: redis.url, provider: { limits } });
    const members = [await fleet.join(), await fleet.join(), await fleet.join()];
    for (const member of members) {
      const { status, ms } = await member.ask({}, { 'x-breakwater-deadline-ms': '5000' });
      assert.deepEqual([status, ms < 3_000], [200, true], `${ms} ms`);
    }
  });
}

for (const window of ['bucket', 'sliding'] as const) {
  void test(`a burst at an idle one of three instances is served at once from what none of them uses (${window})`, options, async (t) => {
    const redis = await startRedis();
    t.after(() => redis.stop());
    const fleet = await startFleet(t, { url: redis.url, provider: { limits: { requestsPerMinute: 240, window } } });
    const members = [await fleet.join(), await fleet.join(), await fleet.join()];
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    for (const member of members.slice(0, 2)) {
      const answers = await Promise.all(Array.from({ length: 100 }, () => member.ask({}, { 'x-breakwater-deadline-ms': '8000' })));
      assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
      const slowest = Math.max(...answers.map(({ ms }) => ms));
      t.diagnostic(`the slowest of 100 took ${Math.round(slowest)} ms`);
      assert.ok(slowest < 4_000, `${slowest} ms`);
    }
  });
}

for (const window of ['bucket', 'sliding'] as const) {
  void test(`a burst at one of three instances uses a limit of a day up to the last request (${window})`, options, async (t) => {
    const redis = await startRedis();
    t.after(() => redis.stop());
    const fleet = await startFleet(t, { url: redis.url, provider: { limits: { requestsPerDay: 200, window } } });
    const members = [await fleet.join(), await fleet.join(), await fleet.join()];
    for (let i = 0; i < 20; i++) await Promise.all(members.map((member) => member.ask({}, { 'x-breakwater-deadline-ms': '4000' })));
    assert.equal(fleet.storm.stats().calls, 60);
    const asked = Array.from({ length: 200 }, () => members[0]!.ask({}, { 'x-breakwater-deadline-ms': '5000' }));
    const served = (await Promise.all(asked)).filter(({ status }) => status === 200).length;
    t.diagnostic(`${served} of 140 in the burst`);
    // What others return later is used by the next requests.
    for (let i = 0; i < 5 && fleet.storm.stats().calls < 200; i++) {
      await new Promise((resolve) => setTimeout(resolve, 700));
      await Promise.all(Array.from({ length: 20 }, () => members[0]!.ask({}, { 'x-breakwater-deadline-ms': '1000' })));
    }
    assert.equal(fleet.storm.stats().calls, 200);
  });
}

void test('two instances together stay within a limit and use it fully', options, async (t) => {
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

void test('what the provider reports to one instance applies at the others, and at one that joins later', options, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const fleet = await startFleet(t, { url: redis.url, storm: { limits: { requestsPerMinute: 20 } } });
  const [first, second] = [await fleet.join(), await fleet.join()];
  const limitAt = ({ gateway }: typeof first) => gateway.targets()[0]!.learned.limits.find(({ kind }) => kind === 'requests');
  for (let i = 0; i < 12; i++) assert.equal((await first.ask()).status, 200);
  await eventually(() => (limitAt(second)?.available ?? Infinity) < 11, 'what remains, at the other instance');
  assert.equal(limitAt(second)!.limit, 20);
  const third = await fleet.join();
  await eventually(() => (limitAt(third)?.available ?? Infinity) < 12, 'the same at the newcomer');
  const more = await Promise.all(Array.from({ length: 20 }, () => second.ask({}, { 'x-breakwater-deadline-ms': '1000' })));
  assert.ok(more.some(({ status }) => status === 429));
  assert.equal(fleet.storm.stats().violations.total, 0);
});

void test('a response cached by one instance is served by another without a call', options, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const fleet = await startFleet(t, {
    url: redis.url,
    config: { policy: { cache: { enabled: true, ttl: '1h', staleIfError: '1h', coalesce: true } } },
  });
  const [first, second] = [await fleet.join(), await fleet.join()];
  const body = { temperature: 0, max_tokens: 1_000 };
  const given = await first.ask(body);
  assert.equal(given.status, 200);
  // It is written in the background.
  await new Promise((resolve) => setTimeout(resolve, 600));
  const cached = await second.ask(body);
  assert.equal(cached.text, given.text);
  assert.equal(fleet.storm.stats().calls, 1);
});

void test('at 20 or more starts per second on each instance, a request costs at most 0.1 store operations', options, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const limits = { requestsPerMinute: 60_000 };
  const fleet = await startFleet(t, { url: redis.url, storm: { limits }, provider: { limits } });
  const members = [await fleet.join(), await fleet.join()];
  const askEvenly = async (count: number): Promise<{ status: number }[]> => {
    const asked: Promise<{ status: number }>[] = [];
    for (let i = 0; i < count; i++) {
      asked.push(members[i % 2]!.ask());
      await new Promise((resolve) => setTimeout(resolve, 12));
    }
    return Promise.all(asked);
  };
  // What each instance does once: it registers for jobs, loads scripts, divides the limit, and saves its state for the first time.
  await askEvenly(200);
  const [before, beganAt] = [await countedCommands(redis.port), performance.now()];
  const answers = await askEvenly(400);
  assert.ok(answers.every(({ status }) => status === 200));
  const [after, tookMs] = [await countedCommands(redis.port), performance.now() - beganAt];
  const operations = after - before;
  // A machine that is too slow for 20 starts per second on each instance performs as many operations over a longer time.
  const requests = Math.max(answers.length, (2 * 20 * tookMs) / 1_000);
  t.diagnostic(`${operations} operations, ${answers.length} requests in ${tookMs} ms`);
  assert.ok(operations <= 0.1 * requests, `${operations} operations`);
});

/** Commands sent by clients: the commands inside a script count as one. */
async function countedCommands(port: number): Promise<number> {
  const socket = connect(port, '127.0.0.1');
  socket.write('INFO commandstats\r\n');
  let text = '';
  for await (const bytes of socket) {
    text += String(bytes);
    if (/cmdstat_info:|\r\n\r\n$/.test(text)) break;
  }
  const ofClients = new Set(['evalsha', 'eval', 'hmget', 'publish']);
  let calls = 0;
  for (const [, name, count] of text.matchAll(/cmdstat_(\w+):calls=(\d+)/g)) if (ofClients.has(name!)) calls += Number(count);
  return calls;
}

void test('a target isolated, and one reset, while the store is away is so everywhere once it is back', options, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const fleet = await startFleet(t, { url: redis.url });
  const members = [await fleet.join(), await fleet.join()];
  const away = async (work: () => void): Promise<void> => {
    await redis.stop();
    await eventually(() => members.every(({ gateway }) => gateway.fleet!.isLinked === false), 'the store is missed');
    work();
    await redis.start();
  };
  const all = (state: string): boolean => members.every(({ gateway }) => gateway.targets()[0]!.breaker.state === state);
  await away(() => members[0]!.gateway.isolate('p/m'));
  await eventually(() => all('isolated'), 'isolated everywhere');
  await away(() => members[1]!.gateway.reset('p/m'));
  await eventually(() => all('closed'), 'closed everywhere');
});

void test('operators see at one instance what is its own and what is the whole fleet’s', options, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const fleet = await startFleet(t, {
    url: redis.url,
    storm: { timing: { plainMs: 1_500 } },
    provider: { limits: { concurrency: 3, requestsPerMinute: 6_000 } },
  });
  const members = [await fleet.join(), await fleet.join(), await fleet.join()];
  const asked = members.flatMap((member) => [member.ask(), member.ask()]);
  await eventually(() => fleet.storm.stats().running === 3, 'as many calls as are allowed');
  const at = async (member: (typeof members)[number], path: string): Promise<Record<string, never>> =>
    (await (await fetch(`${member.url}${path}`)).json()) as Record<string, never>;
  const queue = await at(members[1]!, '/admin/queue');
  assert.deepEqual([queue['inFlight'], queue['fleet']!['inFlight']], [2, 6]);
  assert.deepEqual([queue['fleet']!['instances'], queue['fleet']!['reported'], queue['fleet']!['waiting']], [3, 3, 3]);
  const { targets, fleet: figures } = await at(members[2]!, '/admin/targets');
  assert.equal((targets![0] as { limits: { limit: number }[] }).limits.find(({ limit }) => limit === 3)!.limit, 3);
  assert.deepEqual(figures!['inFlightByTarget'], { 'p/m': 3 });
  const health = await fetch(`${members[0]!.url}/health/ready`, { headers: { 'x-breakwater-library': 'library-1' } });
  assert.deepEqual(await health.json(), { status: 'ready', libraries: 1, instances: 3 });
  const { resources, fleet: known } = members[0]!.gateway.snapshot();
  assert.deepEqual(known, { instances: 3, isLinked: true });
  assert.ok(resources.some(({ share, limit }) => share !== undefined && limit === 6_000 && share < 6_000));
  await Promise.all(asked);
  await redis.stop();
  await eventually(() => members[0]!.gateway.fleet!.isLinked === false, 'the store is missed');
  const alone = await at(members[0]!, '/admin/queue');
  assert.deepEqual([alone['fleet']!['isLinked'], alone['fleet']!['reported']], [false, 1]);
});
