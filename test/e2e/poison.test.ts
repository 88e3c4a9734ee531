/** One caller's requests fail, whatever target they are sent to; the others keep their service. In virtual time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { playPoison, POISON_KINDS } from './poison-world.ts';
import type { Identity, PoisonKind, PoisonOptions } from './poison-world.ts';

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

interface Most {
  readonly slowestMs: number;
  readonly poisonCalls: number;
}

/** In a minute, of 300 poison requests: how long the good caller waits at most, and how often providers see the poison. */
const LONE: Readonly<Record<PoisonKind, Most>> = {
  '500': { slowestMs: 300, poisonCalls: 10 },
  '503 with Retry-After': { slowestMs: 3_400, poisonCalls: 8 },
  '503 of a busy server': { slowestMs: 1_000, poisonCalls: 25 },
  '429': { slowestMs: 1_000, poisonCalls: 25 },
  '429 with Retry-After': { slowestMs: 3_400, poisonCalls: 8 },
  reset: { slowestMs: 300, poisonCalls: 10 },
  timeout: { slowestMs: 1_000, poisonCalls: 40 },
  stall: { slowestMs: 300, poisonCalls: 25 },
  cut: { slowestMs: 300, poisonCalls: 10 },
};

for (const kind of Object.keys(POISON_KINDS) as PoisonKind[]) {
  for (const by of ['clients', 'bodies'] as const satisfies readonly Identity[]) {
    for (const targets of [['a'], ['a', 'b']]) {
      test(`${kind} for one of ${by}, over ${targets.length}: the others keep their service`, async (t) => {
        const { served, slowestMs, poisonCalls } = await playPoison(t, { kind, by, targets, seconds: 60 });
        t.diagnostic(`${percent(served)} served, in ${slowestMs.toFixed(0)} ms at most; ${poisonCalls} calls with poison`);
        const most = LONE[kind];
        assert.ok(served === 1, percent(served));
        assert.ok(slowestMs <= most.slowestMs * targets.length, `${slowestMs} ms`);
        // The second target is the poison's alone: there a probe that its caller's deadline cuts short is followed by the next one.
        const isProbed = kind === 'timeout' && targets.length > 1;
        assert.ok(isProbed || poisonCalls <= most.poisonCalls * targets.length, `${poisonCalls} calls with poison`);
      });
    }
  }
}

for (const by of ['keys', 'sessions'] as const) {
  for (const kind of ['500', '429', '429 with Retry-After'] as const) {
    test(`${kind} for one of ${by}, where no clients are configured: the others keep their service`, async (t) => {
      const { served } = await playPoison(t, { kind, by, seconds: 60 });
      assert.equal(served, 1);
    });
  }
}

for (const kind of ['500', '429 with Retry-After', 'timeout'] as const) {
  test(`a client that is there first, and fails by ${kind}, does not keep the target from one that comes later`, async (t) => {
    const { served, slowestMs } = await playPoison(t, { kind, by: 'clients', seconds: 60, goodFromMs: 20_000 });
    t.diagnostic(`${percent(served)} served, in ${slowestMs} ms at most`);
    assert.equal(served, 1);
  });
}

test('a client that fails at one of two targets is held there alone: the others keep their first choice', async (t) => {
  const { served, world, good } = await playPoison(t, { kind: '500', by: 'clients', targets: ['a', 'b'], failsAt: ['a'], seconds: 60 });
  assert.equal(served, 1);
  const targets = good.map(({ headers }) => headers.get('x-breakwater-target'));
  assert.deepEqual([...new Set(targets)], ['a/m']);
  assert.deepEqual(world.eventsOf('breaker'), []);
});

test('the good caller sends far less than the poison one, and loses nothing', async (t) => {
  for (const kind of ['500', '429', '503 with Retry-After'] as const) {
    const played: PoisonOptions = { kind, by: 'clients', poisonPerSecond: 20, goodPerSecond: 0.2, seconds: 100 };
    const { served, good } = await playPoison(t, played);
    assert.equal(good.length, 20);
    assert.equal(served, 1, kind);
  }
});

test('the requests of the poison client that would be answered are, once one was', async (t) => {
  const { world, poison } = await playPoison(t, { kind: '500', by: 'clients', seconds: 120, poisonUntilMs: 40_000 });
  const calls = world.upstream.calls.filter(({ at, body }) => at >= 60_000 && body.includes('poison'));
  assert.ok(calls.length >= 250, `${calls.length} of 300 of the last minute were sent`);
  assert.ok(poison.slice(-250).every(({ status }) => status === 200));
});

for (const by of ['clients', 'bodies'] as const) {
  test(`an outage in the midst of poison for one of ${by} opens the breaker by what others see`, async (t) => {
    const deadFromMs = 30_000;
    const played = { kind: '500', by, seconds: 60, deadFromMs, goodPerSecond: 5, answerMs: 1 } as const;
    const { world } = await playPoison(t, played);
    const opened = world.eventsOf('breaker').find(({ to }) => to === 'open');
    assert.ok(opened !== undefined && opened.at >= deadFromMs, `${opened?.at}`);
    const others = world.upstream.calls.filter(({ at, body }) => at >= deadFromMs && at <= opened.at && !body.includes('poison'));
    assert.equal(others.length, 5);
  });
}

test('an outage under one dominant client is found out by five calls of it, and one of another', async (t) => {
  const played = { kind: '500', by: 'clients', seconds: 30, poisonPerSecond: 10, goodPerSecond: 1, answerMs: 1 } as const;
  const { world } = await playPoison(t, { ...played, poisonUntilMs: 0, deadFromMs: 10_001 });
  const opened = world.eventsOf('breaker').find(({ to }) => to === 'open')!;
  const calls = world.upstream.calls.filter(({ at }) => at > 10_001 && at <= opened.at);
  assert.ok(calls.length <= 6, `${calls.length} calls until it opened`);
});

test('an outage under a single client is found out by five calls, whatever it sends', async (t) => {
  for (const by of ['clients', 'bodies', 'sessions'] as const) {
    const { world } = await playPoison(t, {
      kind: '500',
      by,
      seconds: 20,
      poisonPerSecond: 0,
      deadFromMs: 10_002,
      goodPerSecond: 5,
      answerMs: 1,
    });
    const opened = world.eventsOf('breaker').find(({ to }) => to === 'open')!;
    const calls = world.upstream.calls.filter(({ at }) => at > 10_002 && at <= opened.at);
    assert.equal(calls.length, 5, by);
  }
});

test('a rate limit that everybody meets pauses everybody: the second client to be refused confirms it', async (t) => {
  const played = { kind: '429', by: 'clients', seconds: 30, poisonPerSecond: 2, poisonUntilMs: 0, limitedFromMs: 10_001 } as const;
  const { world } = await playPoison(t, played);
  const calls = world.upstream.calls.filter(({ at }) => at > 10_001 && at < 40_000);
  assert.equal(calls.length, 2, 'one of each client');
});
