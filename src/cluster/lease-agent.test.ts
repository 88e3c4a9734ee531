import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LeaseClaim, LeaseGrant } from '../core/lease.ts';
import { LeasedBucket } from '../policy/rate-limiter/leased-bucket.ts';
import { LeasedWindow } from '../policy/rate-limiter/leased-window.ts';
import { requestLimit } from '../policy/rate-limiter/measures.fixture.ts';
import type { SharedStore } from '../store/shared-store.ts';
import { createManualClock, type ManualClock } from '../testing/manual-clock.ts';
import { LeaseAgent } from './lease-agent.ts';

const MINUTE = 60_000;
const ONE = { requests: 1, inputTokens: 0, outputTokens: 0 };

/** Grants every claim ten requests, without refill. */
function stage(): { agent: LeaseAgent; clock: ManualClock; claims: LeaseClaim[] } {
  const clock = createManualClock();
  const claims: LeaseClaim[] = [];
  const shared = {
    member: 'a',
    exchange: async (sent: readonly LeaseClaim[]) => {
      claims.push(...sent);
      return { members: ['a', 'b'], grants: sent.map(({ wantCapacity }) => granted(wantCapacity)) };
    },
  } as unknown as SharedStore;
  const agent = new LeaseAgent({ clock, shared, onGranted: () => {} });
  return { agent, clock, claims };
}

function granted(wanted: number): LeaseGrant {
  const capacity = Math.min(10, wanted);
  return {
    epoch: 1,
    poolLevel: 0,
    capacity,
    rate: 0,
    tokens: 0,
    fairCapacity: 10,
    fairRate: 0,
    isContested: false,
    readyInMs: -1,
    lacks: false,
  };
}

for (const how of ['removed', 'replaced'] as const) {
  test(`a limit that is ${how} returns its lease, and requests queued for it still start`, async () => {
    const { agent, clock, claims } = stage();
    void agent.start();
    const old = [
      new LeasedBucket(requestLimit(60, MINUTE), clock.now(), () => agent.short('limit')),
      new LeasedWindow({ ...requestLimit(60, MINUTE), id: 'window' }, clock.now(), () => agent.short('window')),
    ];
    for (const lease of old) agent.add(lease);
    agent.linked(true);
    await clock.advanceAsync(100);
    claims.length = 0;
    if (how === 'removed') for (const { id } of old) agent.remove(id);
    else for (const { id } of old) agent.add(new LeasedBucket({ ...requestLimit(60, MINUTE), id }, clock.now(), () => {}));
    await clock.advanceAsync(5_000);
    if (how === 'removed')
      assert.deepEqual(
        claims.slice(0, 2).map(({ heldCapacity }) => heldCapacity),
        [0, 0],
      );
    await clock.advanceAsync(MINUTE);
    for (const lease of old) assert.equal(lease.earliest(clock.now(), ONE), clock.now(), lease.id);
  });
}

test('without the store from the beginning an instance takes its part as one of those that are expected', async () => {
  for (const [expected, capacity] of [
    [1, 60],
    [3, 20],
  ] as const) {
    const clock = createManualClock();
    const agent = new LeaseAgent({
      clock,
      shared: { member: null } as SharedStore,
      onGranted: () => {},
      expectedInstances: () => expected,
    });
    const bucket = new LeasedBucket(requestLimit(60, MINUTE), clock.now(), () => {});
    agent.add(bucket);
    void agent.start();
    await clock.advanceAsync(1_000);
    assert.deepEqual([bucket.capacity, agent.status.shares], [capacity, expected]);
  }
});

test('instances that it knew count, where they are more than are expected', async () => {
  const { agent, clock } = stage();
  void agent.start();
  agent.linked(true);
  await clock.advanceAsync(100);
  agent.linked(false);
  assert.deepEqual([agent.status.shares, agent.status.isLinked], [2, false]);
});

test('a member that takes the place of another one is reported', async () => {
  const clock = createManualClock();
  let members = ['a', 'b'];
  const shared = { member: 'a', exchange: async () => ({ members, grants: [] }) } as unknown as SharedStore;
  const seen: string[] = [];
  const agent = new LeaseAgent({ clock, shared, onGranted: () => {}, onFleet: (fleet) => void seen.push(fleet.members.join()) });
  void agent.start();
  agent.linked(true);
  await clock.advanceAsync(3_000);
  members = ['a', 'c'];
  await clock.advanceAsync(3_000);
  assert.deepEqual(seen, ['a,b', 'a,c']);
});

/** Each exchange takes `tookMs`. */
function slowStage(tookMs: number) {
  const clock = createManualClock();
  const store = { tookMs };
  const sent: (readonly [at: number, ids: readonly string[]])[] = [];
  const states: boolean[] = [];
  const shared = {
    member: 'a',
    exchange: (claims: readonly LeaseClaim[]) => {
      sent.push([clock.now(), claims.map(({ id }) => id)]);
      const reply = { members: ['a', 'b'], grants: claims.map(({ wantCapacity }) => granted(wantCapacity)) };
      return new Promise((resolve) => clock.schedule(store.tookMs, () => resolve(reply)));
    },
  } as unknown as SharedStore;
  const agent = new LeaseAgent({ clock, shared, onGranted: () => {}, onFleet: ({ isLinked }) => void states.push(isLinked) });
  const limit = (id: string): LeasedBucket => new LeasedBucket({ ...requestLimit(60, MINUTE), id }, clock.now(), () => agent.short(id));
  return { agent, clock, store, sent, states, limit };
}

test('a limit that runs short, or is added, during an exchange is in the next one, which follows at once', async () => {
  for (const how of ['short', 'added', 'called'] as const) {
    const { agent, clock, sent, limit } = slowStage(200);
    void agent.start();
    for (const id of ['busy', 'idle']) agent.add(limit(id));
    agent.linked(true);
    // An idle limit is not claimed in each exchange.
    while (sent.at(-1)?.[1].includes('idle') !== false) await clock.advanceAsync(100);
    const [startedAt] = sent.at(-1)!;
    const count = sent.length;
    if (how === 'added') agent.add(limit('new'));
    else if (how === 'called') agent.called(['idle']);
    else agent.short('idle');
    await clock.advanceAsync(startedAt + 250 - clock.now());
    assert.deepEqual(
      sent.slice(count).map(([at]) => at - startedAt),
      [200],
      how,
    );
  }
});

test('calls of other members during an exchange keep their interval', async () => {
  const { agent, clock, sent, limit } = slowStage(100);
  void agent.start();
  const busy = new LeasedBucket({ ...requestLimit(60, MINUTE), id: 'one' }, clock.now(), () => {});
  for (const each of [busy, limit('idle')]) agent.add(each);
  agent.linked(true);
  await clock.advanceAsync(50);
  const before = sent.length;
  for (let i = 0; i < 40; i++) {
    busy.earliest(clock.now(), ONE);
    agent.called(['one', 'idle']);
    await clock.advanceAsync(100);
  }
  const count = sent.length - before;
  assert.ok(count >= 8 && count <= 11, `${count} exchanges in 4 s`);
});

test('a store that takes 2 s for each exchange is reported as lost once, and as back once it is fast', async () => {
  const { agent, clock, store, sent, states, limit } = slowStage(10);
  void agent.start();
  const bucket = limit('one');
  agent.add(bucket);
  agent.linked(true);
  await clock.advanceAsync(5_000);
  assert.deepEqual(states, [true]);
  store.tookMs = 2_000;
  const before = sent.length;
  await clock.advanceAsync(60_000);
  assert.ok(sent.length - before > 20, 'it continues to exchange');
  assert.deepEqual([states, agent.status.isLinked, bucket.capacity], [[true, false], false, 30]);
  store.tookMs = 10;
  await clock.advanceAsync(5_000);
  assert.deepEqual([states, agent.status.isLinked], [[true, false, true], true]);
});
