/** One upstream call for the same request at several instances: by idempotency key and by cache, whole and streamed. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { startStorm } from '../../src/storm/index.ts';
import { chatBody } from '../e2e/harness.ts';
import { eventually } from '../e2e/world.ts';
import { startFleet, type FleetMember, type TestFleet } from './fleet-world.ts';
import { startMembers, type Member } from './processes.ts';
import { skipWithoutRedis, startRedis, type RedisServer } from './server.ts';

const options = { skip: skipWithoutRedis };
const CACHED = { policy: { cache: { enabled: true, ttl: '1h', staleIfError: '1h', coalesce: true } } } as const;
const KEY = { 'idempotency-key': 'k1' };
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Stage {
  readonly fleet: TestFleet;
  readonly redis: RedisServer;
  readonly members: readonly FleetMember[];
}

async function stage(t: TestContext, count = 2, config: Omit<ConfigInput, 'providers' | 'models'> = {}, plainMs = 400): Promise<Stage> {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const fleet = await startFleet(t, { url: redis.url, storm: { timing: { plainMs, tokens: 40, tokensPerSecond: 60 } }, config });
  const members: FleetMember[] = [];
  for (let i = 0; i < count; i++) members.push(await fleet.join());
  return { fleet, redis, members };
}

/** The whole text of a response, and its header. */
async function ask(member: FleetMember, body: object, headers: Record<string, string> = KEY, signal?: AbortSignal) {
  const init = { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) };
  const response = await fetch(`${member.url}/v1/chat/completions`, { ...init, ...(signal && { signal }) });
  return { status: response.status, cache: response.headers.get('x-breakwater-cache'), text: await response.text() };
}

void test('the same idempotency key at four instances at once makes one call, and all get its response', options, async (t) => {
  const { fleet, members } = await stage(t, 4);
  const answers = await Promise.all(members.flatMap((member) => [ask(member, chatBody()), ask(member, chatBody())]));
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  assert.equal(new Set(answers.map(({ text }) => text)).size, 1);
  assert.equal(fleet.storm.stats().calls, 1);
  assert.equal(answers.filter(({ cache }) => cache === null).length, 1);
  for (const member of members) {
    const requests = member.eventsOf('received').length;
    assert.equal(member.eventsOf('finished').length, requests, 'each request ends once');
    assert.equal(requests, 2);
  }
  assert.notEqual((await ask(members[3]!, chatBody())).cache, null);
  assert.equal(fleet.storm.stats().calls, 1);
});

for (const [name, body] of [
  ['whole', chatBody()],
  ['streamed', chatBody({ stream: true, max_tokens: 5 })],
] as const) {
  void test(
    `a ${name} response is repeated at another instance at any time after its end, and by one that closes then`,
    options,
    async (t) => {
      const { fleet, members } = await stage(t, 2, {}, 5);
      for (let i = 0; i < 8; i++) {
        const headers = { 'idempotency-key': `${name} ${i}` };
        const first = await ask(members[0]!, body, headers);
        await wait(i * 25);
        const again = await ask(members[1]!, body, headers);
        assert.equal(again.text.replace(/: .*\n\n/g, ''), first.text.replace(/: .*\n\n/g, ''));
        assert.equal(fleet.storm.stats().calls, i + 1, `after ${i * 25} ms`);
      }
      await ask(members[0]!, body, { 'idempotency-key': 'last' });
      await members[0]!.gateway.close();
      assert.equal((await ask(members[1]!, body, { 'idempotency-key': 'last' })).status, 200);
      assert.equal(fleet.storm.stats().calls, 9);
    },
  );
}

void test('another body under the same key is refused at another instance while the first runs', options, async (t) => {
  const { fleet, members } = await stage(t);
  const first = ask(members[0]!, chatBody());
  await eventually(() => fleet.storm.stats().running === 1, 'the call');
  assert.equal((await ask(members[1]!, chatBody({ max_tokens: 7 }))).status, 409);
  assert.equal((await first).status, 200);
  assert.equal(fleet.storm.stats().calls, 1);
});

void test('the same cacheable request at two instances at once makes one call', options, async (t) => {
  const { fleet, members } = await stage(t, 2, CACHED);
  const body = chatBody({ temperature: 0 });
  const answers = await Promise.all(members.map((member) => ask(member, body, {})));
  assert.deepEqual(new Set(answers.map(({ cache }) => cache)), new Set([null, 'coalesced']));
  assert.equal(fleet.storm.stats().calls, 1);
});

void test('a stream is followed from its beginning while it is made', options, async (t) => {
  const { fleet, members } = await stage(t);
  const body = chatBody({ stream: true, max_tokens: 60 });
  const first = ask(members[0]!, body);
  await eventually(() => members[0]!.eventsOf('attempt').length === 1, 'the call');
  await wait(250);
  const startedAt = performance.now();
  const response = await members[1]!.chat(body, KEY);
  let text = '';
  let firstMs = 0;
  for await (const bytes of response.body!) {
    firstMs ||= performance.now() - startedAt;
    text += Buffer.from(bytes).toString();
  }
  const lastMs = performance.now() - startedAt;
  assert.equal(text.replace(/: .*\n\n/g, ''), (await first).text.replace(/: .*\n\n/g, ''));
  assert.ok(text.trimEnd().endsWith('data: [DONE]'));
  assert.ok(lastMs - firstMs > 100, `all of it at once after ${firstMs} ms`);
  assert.equal(fleet.storm.stats().calls, 1);
});

void test('a stream whose follower has left is followed again, from its beginning', options, async (t) => {
  const { fleet, members } = await stage(t);
  const body = chatBody({ stream: true, max_tokens: 120 });
  const first = ask(members[0]!, body);
  await eventually(() => members[0]!.eventsOf('attempt').length === 1, 'the call');
  const left = await members[1]!.chat(body, KEY);
  assert.equal(left.headers.get('x-breakwater-cache'), 'coalesced');
  await left.body!.cancel();
  await wait(200);
  const again = await ask(members[1]!, body);
  assert.equal(again.cache, 'coalesced');
  assert.equal(again.text.replace(/: .*\n\n/g, ''), (await first).text.replace(/: .*\n\n/g, ''));
  assert.equal(fleet.storm.stats().calls, 1);
});

void test('repeats of a key at an instance that follows its stream join there, and all get the whole of it', options, async (t) => {
  const { fleet, members } = await stage(t);
  const body = chatBody({ stream: true, max_tokens: 90 });
  const first = ask(members[0]!, body);
  await eventually(() => members[0]!.eventsOf('attempt').length === 1, 'the call');
  const followed = await members[1]!.chat(body, KEY);
  const repeats = await Promise.all([1, 2, 3].map(() => ask(members[1]!, body)));
  const whole = (await first).text.replace(/: .*\n\n/g, '');
  for (const text of [await followed.text(), ...repeats.map((repeat) => repeat.text)]) assert.equal(text.replace(/: .*\n\n/g, ''), whole);
  const joined = members[1]!.eventsOf('note').filter(({ note }) => note.includes('an identical request in progress'));
  assert.equal(joined.length, 3);
  assert.equal(members[1]!.eventsOf('received').length, 4);
  assert.equal(members[1]!.eventsOf('finished').length, 4);
  assert.equal(fleet.storm.stats().calls, 1);
});

void test('a failure is shared, too, and the next request runs anew', options, async (t) => {
  const { fleet, members } = await stage(t, 2, { policy: { maxAttempts: 1 } });
  fleet.storm.setFaults([{ kind: '500', calls: [1] }]);
  const answers = await Promise.all(members.map((member) => ask(member, chatBody())));
  assert.ok(answers.some(({ status }) => status >= 500));
  assert.equal((await ask(members[1]!, chatBody())).status, 200);
  assert.ok(fleet.storm.stats().calls <= 3);
});

void test('the call goes on for the follower when the first caller leaves, and ends when both have left', options, async (t) => {
  const { fleet, members } = await stage(t, 2, CACHED, 1_500);
  const body = chatBody({ temperature: 0 });
  const [leaves, stays] = [new AbortController(), new AbortController()];
  const first = ask(members[0]!, body, {}, leaves.signal).catch(() => null);
  await eventually(() => fleet.storm.stats().running === 1, 'the call');
  const second = ask(members[1]!, body, {}, stays.signal);
  await eventually(() => members[0]!.eventsOf('note').length >= 0 && fleet.storm.stats().running === 1, 'the follower');
  await wait(200);
  leaves.abort();
  await first;
  assert.equal((await second).status, 200);
  assert.equal(fleet.storm.stats().calls, 1);

  const other = chatBody({ temperature: 0, max_tokens: 9 });
  const [one, two] = [new AbortController(), new AbortController()];
  const asked = [ask(members[0]!, other, {}, one.signal).catch(() => null)];
  await eventually(() => fleet.storm.stats().running === 1, 'the call');
  asked.push(ask(members[1]!, other, {}, two.signal).catch(() => null));
  await wait(200);
  one.abort();
  two.abort();
  await Promise.all(asked);
  await eventually(() => fleet.storm.stats().running === 0, 'the call is ended');
  assert.equal(fleet.storm.stats().aborted, 1);
});

void test('an instance that follows one that shuts down makes its own call', options, async (t) => {
  const { fleet, members } = await stage(t, 2, {}, 1_000);
  const first = ask(members[0]!, chatBody()).catch(() => null);
  await eventually(() => fleet.storm.stats().running === 1, 'the call');
  const second = ask(members[1]!, chatBody());
  await wait(200);
  void members[0]!.gateway.close();
  await first;
  assert.equal((await second).status, 200);
  assert.equal(fleet.storm.stats().calls, 2);
});

void test(
  'kill -9 of the instance that makes a response: a follower makes its own; a stream that has begun breaks off',
  options,
  async (t) => {
    const redis = await startRedis();
    t.after(() => redis.stop());
    const storm = await startStorm({ timing: { plainMs: 1_500, tokens: 60, tokensPerSecond: 20 } });
    const [first, second] = (await startMembers(t, redis.url, storm.url, 2, {})) as [Member, Member];
    t.after(() => storm.close());
    const post = ({ base }: Member, body: object, key: string): Promise<Response> =>
      fetch(`${base}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': key },
        body: JSON.stringify(body),
      });
    const asked = [post(first, chatBody(), 'plain').catch(() => null)];
    const stream = chatBody({ stream: true, max_tokens: 60 });
    const broken = await post(first, stream, 'stream');
    const followed = await post(second, stream, 'stream');
    assert.equal(followed.headers.get('x-breakwater-cache'), 'coalesced');
    const own = post(second, chatBody(), 'plain');
    await wait(300);
    assert.equal(storm.stats().calls, 2);
    await first.kill();
    await broken.text().catch(() => null);
    await Promise.all(asked);
    const text = await followed.text();
    assert.match(text, /stream_interrupted/);
    assert.doesNotMatch(text, /\[DONE\]/);
    assert.equal((await own).status, 200);
    assert.equal(storm.stats().calls, 3);
    assert.equal((await post(second, stream, 'stream')).status, 200, 'the key is free again');
  },
);

void test(
  'kill -9 of the instance that makes a stream: each repeat of its key is one whole stream, from one further call',
  options,
  async (t) => {
    const redis = await startRedis();
    t.after(() => redis.stop());
    const storm = await startStorm({ timing: { tokens: 40, tokensPerSecond: 20 } });
    const [first, second, third] = (await startMembers(t, redis.url, storm.url, 3, {})) as [Member, Member, Member];
    t.after(() => storm.close());
    const body = JSON.stringify(chatBody({ stream: true, max_tokens: 40 }));
    const headers = { 'content-type': 'application/json', 'idempotency-key': 'stream' };
    const post = ({ base }: Member): Promise<Response> => fetch(`${base}/v1/chat/completions`, { method: 'POST', headers, body });
    const broken = await post(first);
    const followed = await post(second);
    await first.kill();
    const repeats = await Promise.all([post(second), post(third), post(second)]);
    for (const repeat of repeats) {
      assert.equal(repeat.status, 200);
      assert.match(await repeat.text(), /\[DONE\]/);
    }
    assert.match(await followed.text(), /stream_interrupted/);
    await broken.text().catch(() => null);
    assert.equal(storm.stats().calls, 2);
  },
);

for (const [name, fault] of [
  ['stopped', (redis: RedisServer) => redis.stop()],
  ['frozen', (redis: RedisServer) => redis.process.kill('SIGSTOP')],
] as const) {
  void test(`requests with keys do not wait for a store that is ${name}`, options, async (t) => {
    const { redis, members } = await stage(t, 2, CACHED, 5);
    assert.equal((await ask(members[0]!, chatBody())).status, 200);
    await fault(redis);
    for (let i = 0; i < 12; i++) {
      const startedAt = performance.now();
      assert.equal((await ask(members[i % 2]!, chatBody(), { 'idempotency-key': `n${i}` })).status, 200);
      const ms = performance.now() - startedAt;
      assert.ok(ms < 1_000, `${ms} ms`);
      await wait(100);
    }
  });

  void test(`a follower whose store is ${name} gets a response of its own`, options, async (t) => {
    const { fleet, redis, members } = await stage(t, 2, {}, 2_000);
    const first = ask(members[0]!, chatBody());
    await eventually(() => fleet.storm.stats().running === 1, 'the call');
    const second = ask(members[1]!, chatBody());
    await wait(200);
    await fault(redis);
    assert.deepEqual([(await first).status, (await second).status], [200, 200]);
    assert.equal(fleet.storm.stats().calls, 2);
  });
}
