/**
 * Random applicants, targets, limits, ends and departures over virtual time, driven by `wakeAt` alone. Checked at every millisecond: no
 * request waits that could start (so `wakeAt` is right), no limit is exceeded, every request ends exactly once and in time, and everything
 * is given back.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Instant } from '../../core/clock.ts';
import { WHEN_SETTLED } from '../../core/resource.ts';
import type { Capacity, Resource } from '../../core/resource.ts';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import { Cooldown } from '../cooldown/cooldown.ts';
import { requestLimit, tokenLimit } from '../rate-limiter/measures.fixture.ts';
import { TokenBucket } from '../rate-limiter/token-bucket.ts';
import { applicant, capacity, CLASSES, Driver, makeScheduler, slots } from './scheduler.fixture.ts';
import type { TestApplicant } from './scheduler.fixture.ts';

const ROUNDING_MS = 1e-6;
const HOLDABLE = new Set(['requests', 'tokens', 'concurrency']);

/** Fails if more is taken than available. */
function checked(resource: Resource): Resource {
  return {
    id: resource.id,
    kind: resource.kind,
    earliest: (now, need) => resource.earliest(now, need),
    reserve: (now, need) => {
      const at = resource.earliest(now, need);
      assert.ok(at !== WHEN_SETTLED && at <= now, `${resource.id} is taken only when it allows it`);
      return resource.reserve(now, need);
    },
    settle: (now, ticket, need, settlement) => resource.settle(now, ticket, need, settlement),
    cancel: (now, ticket, need) => resource.cancel(now, ticket, need),
  };
}

interface World {
  readonly routes: readonly TestApplicant['tiers'][];
  readonly limiters: readonly ReturnType<typeof slots>[];
  readonly cooldowns: readonly Cooldown[];
  readonly own: readonly Resource[];
}

function makeWorld(seed: number): World {
  const random = createSeededRandom(seed);
  const bucket = (id: string, limit: number): Resource => checked(new TokenBucket({ ...requestLimit(limit, 1000), id }, 0));
  const tokenBucket = (id: string, limit: number): Resource => checked(new TokenBucket({ ...tokenLimit(limit, 2000, 0.5), id }, 0));
  const limiters = [slots(1, 'slots 0'), slots(2, 'slots 1'), slots(2, 'slots 2')];
  const cooldowns = [0, 1].map((i) => new Cooldown(`cooldown ${i}`, 'cooldown', random));
  const shared = bucket('shared requests', 8);
  const a = capacity('a', shared, checked(cooldowns[0]!), checked(limiters[0]!));
  const b = capacity('b', shared, tokenBucket('b tokens', 60), checked(limiters[1]!));
  const c = capacity('c', tokenBucket('c tokens', 30), checked(cooldowns[1]!));
  const d = capacity('d', bucket('d requests', 2), checked(limiters[2]!));
  return { routes: [[[a], [c]], [[a, b]], [[c], [d]], [[b, d]], [[d]]], limiters, cooldowns, own: [bucket('own', 2)] };
}

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 150 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('submit' as const),
      route: fc.nat(4),
      class: fc.constantFrom(...CLASSES),
      client: fc.constantFrom('x', 'y', 'z'),
      limited: fc.boolean(),
      waitMs: fc.integer({ min: 0, max: 1500 }),
      patienceMs: fc.constantFrom(0, 50, 300),
      tokens: fc.oneof(fc.integer({ min: 0, max: 10 }), fc.integer({ min: 10, max: 70 })),
      backoff: fc.record({
        key: fc.constantFrom('', 'a', 'b', 'c', 'd'),
        ms: fc.oneof(fc.constant(Infinity), fc.integer({ min: 0, max: 400 })),
      }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('settle' as const), index: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel' as const), index: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cool' as const), index: fc.nat(1), ms: fc.integer({ min: 1, max: 500 }) }) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

class Model {
  readonly world: World;
  readonly driver = new Driver(makeScheduler({ queueLengthMax: 14, minShare: { normal: 0.2, low: 0.1 } }));
  readonly all: TestApplicant[] = [];
  readonly left = new Set<TestApplicant>();
  readonly since = new Map<TestApplicant, Instant>();

  constructor(seed: number) {
    this.world = makeWorld(seed);
  }

  get waiting(): TestApplicant[] {
    const ended = new Set([...this.driver.started, ...this.driver.refused].map((each) => each.name));
    return this.all.filter((each) => !ended.has(each.name) && !this.left.has(each));
  }

  do(action: Step): void {
    const { driver } = this;
    if (action.kind === 'pass') this.pass(action.ms);
    else if (action.kind === 'submit') this.submit(action);
    else if (action.kind === 'cool') this.world.cooldowns[action.index]!.coolUntil(driver.now + action.ms);
    else if (action.kind === 'settle') {
      const names = [...driver.running.keys()];
      if (names.length > 0) driver.settle(names[action.index % names.length]!);
    } else {
      const { waiting } = this;
      const leaver = waiting[action.index % Math.max(1, waiting.length)];
      if (leaver === undefined) return;
      this.left.add(leaver);
      assert.equal(driver.scheduler.cancel(driver.now, leaver), true);
    }
    driver.advanceTo(driver.now);
    this.check();
  }

  pass(ms: number): void {
    for (let i = 0; i < ms; i++) {
      this.driver.advanceTo(this.driver.now + 1);
      if (i % 7 === 0 || i === ms - 1) this.check();
    }
  }

  submit(action: Extract<Step, { kind: 'submit' }>): void {
    const { now } = this.driver;
    const { key, ms } = action.backoff;
    const each = applicant(`${this.all.length}`, this.world.routes[action.route]!, {
      class: action.class,
      client: action.client,
      waitUntil: now + action.waitMs,
      deadline: now + action.waitMs + 1,
      patienceMs: action.patienceMs,
      tokens: action.tokens,
      own: action.limited ? this.world.own : [],
      notBefore: (target) => (target.key === key ? now + ms : -Infinity),
    });
    this.all.push(each);
    this.since.set(each, now);
    this.driver.submit(each);
  }

  check(): void {
    const { driver, waiting } = this;
    if (driver.scheduler.wakeAt - driver.now < ROUNDING_MS) return; // it wakes at this very instant, except for rounding
    assert.equal(driver.scheduler.length, waiting.length);
    assert.ok(driver.scheduler.wakeAt > driver.now);
    for (const each of waiting) {
      assert.ok(driver.now < each.waitUntil, `${each.name} is decided by the end of its wait`);
      if (waiting.some((other) => other !== each && other.own.length > 0 && each.own.length > 0)) continue;
      const held = this.mayBeHeld(waiting.filter((other) => other !== each));
      const patient = driver.now < this.since.get(each)! + each.patienceMs;
      for (const tier of patient ? each.tiers.slice(0, 1) : each.tiers) {
        for (const target of tier) {
          const stalls = this.isFree(each, target) && !target.resources.some((resource) => held.has(resource));
          assert.ok(!stalls, `${each.name} waits at ${driver.now} though ${target.key} is free; wakeAt ${driver.scheduler.wakeAt}`);
        }
      }
    }
  }

  isFree(each: TestApplicant, target: Capacity): boolean {
    if (each.notBefore(target) > this.driver.now) return false;
    return [...target.resources, ...each.own].every((resource) => !this.isMissing(each, target, resource));
  }

  isMissing(each: TestApplicant, target: Capacity, resource: Resource): boolean {
    const at = resource.earliest(this.driver.now, each.needOn(target));
    return at === WHEN_SETTLED || at > this.driver.now;
  }

  /** Everything that one of these may hold, and what waits behind that. */
  mayBeHeld(others: readonly TestApplicant[]): Set<Resource> {
    const held = new Set<Resource>();
    for (let size = -1; size !== held.size;) {
      size = held.size;
      for (const other of others) {
        for (const target of other.tiers.flat()) {
          const lacks = target.resources.some((r) => held.has(r) || (HOLDABLE.has(r.kind) && this.isMissing(other, target, r)));
          if (lacks) for (const resource of target.resources) if (HOLDABLE.has(resource.kind)) held.add(resource);
        }
      }
    }
    return held;
  }

  finish(): void {
    const { driver } = this;
    for (let rounds = 0; driver.scheduler.length > 0 || driver.running.size > 0; rounds++) {
      assert.ok(rounds < 5000, 'the model comes to rest');
      const [name] = driver.running.keys();
      if (name !== undefined) driver.settle(name);
      this.pass(1);
    }
    const ends = [...driver.started.map((s) => s.name), ...driver.refused.map((r) => r.name), ...[...this.left].map((a) => a.name)];
    assert.equal(new Set(ends).size, ends.length, 'no request ends twice');
    assert.equal(ends.length, this.all.length, 'every request ends');
    for (const { name, at } of driver.started) assert.ok(at <= this.all[Number(name)]!.waitUntil);
    for (const limiter of this.world.limiters) assert.equal(limiter.inUse, 0);
    assert.equal(driver.scheduler.wakeAt, Infinity);
  }
}

test('property: every request ends once and in time, no limit is exceeded, and none waits that could start', () => {
  fc.assert(
    fc.property(fc.integer(), fc.array(step, { minLength: 5, maxLength: 120 }), (seed, steps) => {
      const model = new Model(seed);
      for (const action of steps) model.do(action);
      model.finish();
    }),
    { numRuns: 200 },
  );
});
