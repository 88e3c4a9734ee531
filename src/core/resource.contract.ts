/** The contract suite that every Resource passes (`resource.ts`). Run it from the resource's own test file. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Instant } from './clock.ts';
import { Permit } from './permit.ts';
import { WHEN_SETTLED } from './resource.ts';
import type { Need, Resource, ResourceKind, Settlement } from './resource.ts';

/** A new resource in a normal state, where `CONTRACT_NEED` can start at some instant from `now` on. */
export type MakeResource = (now: Instant) => Resource;

const PAUSES: ReadonlySet<ResourceKind> = new Set(['cooldown', 'pause', 'quarantine']);
export const CONTRACT_NEED: Need = { requests: 1, inputTokens: 60, outputTokens: 40 };
const NOTHING: Need = { requests: 0, inputTokens: 0, outputTokens: 0 };

/** The usage equals the reservation. */
export const AS_RESERVED: Settlement = {
  usage: { inputTokens: CONTRACT_NEED.inputTokens, cachedInputTokens: 0, outputTokens: CONTRACT_NEED.outputTokens },
  health: 'neutral',
};
const UNKNOWN_USAGE: Settlement = { usage: null, health: 'neutral' };

const BEGIN: Instant = 1_000_000;
/** Maximum number of starts; an unlimited resource (a closed breaker) is never exhausted. */
const STARTS_MAX = 200;

export function testResourceContract(name: string, makeResource: MakeResource): void {
  describe(`${name} as a resource`, () => {
    testEarliest(makeResource);
    testClosing(makeResource);
  });
}

/** The first instant from `now` on at which the need can start; the test fails if there is none. */
function startable(resource: Resource, now: Instant): Instant {
  const at = resource.earliest(now, CONTRACT_NEED);
  assert.ok(at !== WHEN_SETTLED && at < Infinity, 'the fresh resource can start');
  return Math.max(now, at);
}

/** Reserves until the next start would have to wait; returns that instant and the permits. */
function useUp(resource: Resource, begin: Instant): { now: Instant; permits: Permit[] } {
  const now = startable(resource, begin);
  const permits: Permit[] = [];
  while (permits.length < STARTS_MAX && isFree(resource, now)) permits.push(Permit.reserve(now, CONTRACT_NEED, [resource]));
  return { now, permits };
}

function isFree(resource: Resource, now: Instant, need: Need = CONTRACT_NEED): boolean {
  const at = resource.earliest(now, need);
  return at !== WHEN_SETTLED && at <= now;
}

/** The observable state of a resource: the instants at which needs of several sizes could start. */
function outlook(resource: Resource, now: Instant): Instant[] {
  const needs = [1, 5, 20].map((n) => ({ requests: n, inputTokens: 60 * n, outputTokens: 40 * n }));
  return [NOTHING, ...needs].map((need) => round(resource.earliest(now, need), now));
}

function round(at: Instant, now: Instant): Instant {
  return at === WHEN_SETTLED ? at : Math.round(Math.max(at, now) * 1000) / 1000;
}

function testEarliest(make: MakeResource): void {
  test('`earliest` changes nothing', () => {
    const resource = make(BEGIN);
    const { now } = useUp(resource, BEGIN);
    const first = outlook(resource, now);
    for (let i = 0; i < 3; i++) assert.deepEqual(outlook(resource, now), first);
  });

  test('at the returned instant the need can start if there are no other reservations', () => {
    const resource = make(BEGIN);
    let { now } = useUp(resource, BEGIN);
    for (let i = 0; i < 20; i++) {
      const at = resource.earliest(now, CONTRACT_NEED);
      if (at === WHEN_SETTLED) return;
      assert.ok(at < Infinity, 'a need that could start once can start again');
      now = Math.max(now, at);
      assert.ok(isFree(resource, now), `startable at ${now}`);
      resource.reserve(now, CONTRACT_NEED);
    }
  });

  test('not before the returned instant', () => {
    const resource = make(BEGIN);
    const { now } = useUp(resource, BEGIN);
    const at = resource.earliest(now, CONTRACT_NEED);
    if (at <= now || at === WHEN_SETTLED) return;
    assert.ok(!isFree(resource, now + (at - now) * 0.99));
  });

  test('the returned instant does not change without other reservations', () => {
    const resource = make(BEGIN);
    const { now } = useUp(resource, BEGIN);
    const at = resource.earliest(now, CONTRACT_NEED);
    for (let step = 1; step <= 10; step++) {
      const later = resource.earliest(at === WHEN_SETTLED ? now + step : now + ((at - now) * step) / 11, CONTRACT_NEED);
      if (at === WHEN_SETTLED) assert.equal(later, WHEN_SETTLED);
      else assert.ok(later >= now && Math.abs(later - Math.max(at, now + ((at - now) * step) / 11)) < 0.001);
    }
  });

  test('a start never moves the next one earlier', () => {
    const resource = make(BEGIN);
    let now = startable(resource, BEGIN);
    for (let i = 0; i < 50; i++) {
      const before = resource.earliest(now, CONTRACT_NEED);
      if (before === WHEN_SETTLED) return;
      now = Math.max(now, before);
      resource.reserve(now, CONTRACT_NEED);
      const after = resource.earliest(now, CONTRACT_NEED);
      assert.ok(after === WHEN_SETTLED || after >= now);
    }
  });

  test('an empty need does not affect the next one', () => {
    const resource = make(BEGIN);
    const now = startable(resource, BEGIN);
    const before = outlook(resource, now);
    assert.ok(isFree(resource, now, NOTHING));
    const permit = Permit.reserve(now, NOTHING, [resource]);
    permit.settle(now, UNKNOWN_USAGE);
    if (!PAUSES.has(resource.kind)) assert.deepEqual(outlook(resource, now), before);
  });
}

function testClosing(make: MakeResource): void {
  test('a reservation that is cancelled at once has no effect', () => {
    const resource = make(BEGIN);
    let now = startable(resource, BEGIN);
    for (let i = 0; i < 20; i++) {
      const before = outlook(resource, now);
      Permit.reserve(now, CONTRACT_NEED, [resource]).cancel(now);
      assert.deepEqual(outlook(resource, now), before);
      const at = resource.earliest(now, CONTRACT_NEED);
      if (at === WHEN_SETTLED) return;
      now = Math.max(now, at);
      resource.reserve(now, CONTRACT_NEED);
      now = Math.max(now, resource.earliest(now, CONTRACT_NEED));
      if (!isFree(resource, now)) return;
    }
  });

  test('a reservation that is cancelled later has no effect either', () => {
    const [used, untouched] = [make(BEGIN), make(BEGIN)];
    const now = startable(used, BEGIN);
    const permit = Permit.reserve(now, CONTRACT_NEED, [used]);
    const later = now + 30_000;
    permit.cancel(later);
    assert.deepEqual(outlook(used, later), outlook(untouched, later));
  });

  test('usage equal to the reservation settles to the same as usage unknown', () => {
    const [known, unknown] = [make(BEGIN), make(BEGIN)];
    const now = startable(known, BEGIN);
    Permit.reserve(now, CONTRACT_NEED, [known]).settle(now + 100, AS_RESERVED);
    Permit.reserve(now, CONTRACT_NEED, [unknown]).settle(now + 100, UNKNOWN_USAGE);
    assert.deepEqual(outlook(known, now + 100), outlook(unknown, now + 100));
  });

  test('a call that was not sent is not counted', () => {
    const [used, untouched] = [make(BEGIN), make(BEGIN)];
    const now = startable(used, BEGIN);
    if (PAUSES.has(used.kind)) return;
    Permit.reserve(now, CONTRACT_NEED, [used]).settle(now + 1, { ...UNKNOWN_USAGE, unsent: true });
    assert.deepEqual(outlook(used, now + 1), outlook(untouched, now + 1));
  });

  test('everything is free after all permits were closed, in any order and way', () => {
    const resource = make(BEGIN);
    const { now, permits } = useUp(resource, BEGIN);
    if (resource.earliest(now, CONTRACT_NEED) !== WHEN_SETTLED) return;
    permits.reverse().forEach((permit, i) => (i % 2 === 0 ? permit.cancel(now) : permit.settle(now, AS_RESERVED)));
    assert.ok(isFree(resource, now));
  });
}
