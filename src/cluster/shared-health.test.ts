import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CircuitBreaker } from '../policy/circuit-breaker/circuit-breaker.ts';
import { Quarantine } from '../policy/cooldown/quarantine.ts';
import { Cooldown } from '../policy/cooldown/cooldown.ts';
import { createManualClock } from '../testing/manual-clock.ts';
import { createSeededRandom } from '../testing/seeded-random.ts';
import { SharedHealth } from './shared-health.ts';

const BREAKER = {
  windowMs: 30_000,
  failureRatio: 0.5,
  minRequests: 10,
  consecutiveFailures: 2,
  openForMs: 5_000,
  maxOpenForMs: 300_000,
  probes: 1,
};
const NEED = { requests: 1, inputTokens: 0, outputTokens: 0 };

/** Instances that receive each other's messages immediately. */
function instances(count: number) {
  const clock = createManualClock();
  const members = Array.from({ length: count }, (_, i) => `m${i}`);
  const link = { isUp: true };
  const all = members.map((member, i) => {
    const random = createSeededRandom(i + 1);
    const target = {
      name: 'p/m',
      breaker: new CircuitBreaker('p/m:breaker', BREAKER, random),
      cooldown: new Cooldown('p/m:cooldown', 'cooldown', random),
      overload: new Cooldown('p/m:overload', 'cooldown', random),
      credential: { id: 'p#1', quarantine: new Quarantine('p#1') },
    };
    const sent: string[] = [];
    const health = new SharedHealth({
      clock,
      subjects: () => [target],
      fleet: () => ({ member, members }),
      onAdopted: () => {},
      publish(text) {
        sent.push(text);
        if (!link.isUp) return;
        for (const other of all) if (other.health !== health) other.health.take(text.slice('health\n'.length));
      },
    });
    return { target, health, sent };
  });
  return { clock, all, link };
}

function fail({ target: { breaker } }: ReturnType<typeof instances>['all'][number], now: number): void {
  breaker.settle(now, breaker.reserve(now, NEED), NEED, { usage: null, health: 'failure' });
}

test('a cooldown applies on every instance and is published once; its expiry is not published', () => {
  const { clock, all } = instances(3);
  all[0]!.target.cooldown.coolUntil(10_000);
  all[0]!.health.changed();
  all[0]!.health.changed();
  assert.deepEqual(
    all.map(({ target }) => target.cooldown.remainingMs(0)),
    [10_000, 10_000, 10_000],
  );
  clock.advance(11_000);
  for (const { health } of all) health.changed();
  assert.deepEqual(
    all.map(({ sent }) => sent.length),
    [1, 0, 0],
  );
});

test('a cooldown reset on one instance is reset on all', () => {
  const { all } = instances(2);
  all[0]!.target.cooldown.coolUntil(10_000);
  all[0]!.health.changed();
  all[1]!.target.cooldown.reset();
  all[1]!.health.changed();
  assert.equal(all[0]!.target.cooldown.remainingMs(0), 0);
});

test('a breaker opens on every instance, and the others probe after the one that opened it', () => {
  const { all } = instances(3);
  for (let i = 0; i < 2; i++) fail(all[0]!, 0);
  all[0]!.health.changed();
  const [first, second, third] = all.map(({ target }) => target.breaker.openForMs(0)!);
  assert.ok(Math.abs(second! - first! - 150) < 1 && Math.abs(third! - first! - 300) < 1, `${first} ${second} ${third}`);
});

test('while one instance probes and announces it, the others wait; its success gradually closes all breakers', () => {
  const { clock, all } = instances(2);
  const [first, second] = [all[0]!, all[1]!];
  for (let i = 0; i < 2; i++) fail(first, 0);
  first.health.changed();
  clock.advance(10_000);
  const ticket = first.target.breaker.reserve(clock.now(), NEED);
  first.health.changed();
  assert.ok(second.target.breaker.earliest(clock.now(), NEED) > clock.now());
  clock.advance(5_000);
  assert.ok(second.target.breaker.earliest(clock.now(), NEED) > clock.now());
  first.target.breaker.settle(clock.now(), ticket, NEED, { usage: null, health: 'success' });
  first.health.changed();
  assert.deepEqual([second.target.breaker.state, second.target.breaker.isRamping], ['closed', true]);
  first.health.stop();
  assert.equal(clock.pendingTimers, 0);
});

test('a credential is quarantined on every instance, and released on every instance', () => {
  const { clock, all } = instances(2);
  const [first, second] = [all[0]!.target.credential.quarantine, all[1]!.target.credential.quarantine];
  first.strike(0, first.ticket, 60_000);
  all[0]!.health.changed();
  assert.equal(second.remainingMs(0), 60_000);
  clock.advance(61_000);
  second.settle(61_000, second.reserve(61_000, NEED), NEED, { usage: null, health: 'success' });
  all[1]!.health.changed();
  assert.equal(first.isInDoubt, false);
});

test('invalid messages are ignored', () => {
  const { all } = instances(1);
  const { health, target } = all[0]!;
  for (const body of [
    '',
    '{',
    'null',
    '[]',
    '{"epochMs":1,"news":[null,{"kind":"breaker","id":"p/m","record":{"state":"odd"}},{"kind":"cooldown","id":"p/m:cooldown"}]}',
  ])
    health.take(body);
  assert.equal(target.breaker.state, 'closed');
  assert.equal(target.cooldown.remainingMs(0), 0);
});

const states = (all: ReturnType<typeof instances>['all']): string[] => all.map(({ target }) => target.breaker.state);

/** Ends the connection of all instances for what `work` does, and restores it. */
async function cutOff({ clock, all, link }: ReturnType<typeof instances>, work: () => void): Promise<void> {
  link.isUp = false;
  work();
  for (const { health } of all) health.changed();
  await clock.advanceAsync(1_000);
  link.isUp = true;
  for (const { health } of all) health.linked();
  await clock.advanceAsync(1_000);
}

test('what was isolated or reset by hand without the store applies everywhere once it is back', async () => {
  const stage = instances(3);
  const [first, second] = [stage.all[0]!, stage.all[1]!];
  await cutOff(stage, () => {
    first.target.breaker.isolate();
    for (let i = 0; i < 2; i++) fail(second, 0);
  });
  assert.deepEqual(states(stage.all), ['isolated', 'isolated', 'isolated']);
  await cutOff(stage, () => second.target.breaker.reset());
  assert.deepEqual(states(stage.all), ['closed', 'closed', 'closed']);
  await cutOff(stage, () => first.target.breaker.isolate());
  assert.deepEqual(states(stage.all), ['isolated', 'isolated', 'isolated']);
});

test('cooldowns and quarantines that began or were reset without the store apply once it is back', async () => {
  const stage = instances(2);
  const [first, second] = [stage.all[0]!.target, stage.all[1]!.target];
  await cutOff(stage, () => {
    first.cooldown.coolUntil(60_000);
    second.credential.quarantine.strike(0, second.credential.quarantine.ticket, 60_000);
  });
  const now = stage.clock.now();
  assert.deepEqual([second.cooldown.remainingMs(now), first.credential.quarantine.remainingMs(now)], [58_000, 58_000]);
  await cutOff(stage, () => second.cooldown.reset());
  assert.equal(first.cooldown.remainingMs(stage.clock.now()), 0);
});

test('an instance that alone was cut off gets the states of the others', async () => {
  const stage = instances(2);
  const [first, second] = [stage.all[0]!, stage.all[1]!];
  stage.link.isUp = false;
  first.target.breaker.isolate();
  first.health.changed();
  stage.link.isUp = true;
  second.health.linked();
  await stage.clock.advanceAsync(1_000);
  assert.deepEqual(states(stage.all), ['isolated', 'isolated']);
  assert.equal(stage.clock.pendingTimers, 0);
});

test('an isolated breaker is left by a reset by hand only', () => {
  const { all } = instances(2);
  const [first, second] = [all[0]!, all[1]!];
  first.target.breaker.isolate();
  first.health.changed();
  const record = { state: 'open', openUntilEpochMs: 9_000, missedUntilEpochMs: 9_000, openings: 1 };
  for (const each of [record, null, 'half-open']) {
    first.health.take(JSON.stringify({ from: 'm1', epochMs: 0, news: [{ kind: 'breaker', id: 'p/m', record: each }] }));
    assert.equal(first.target.breaker.state, 'isolated');
  }
  assert.equal(second.target.breaker.state, 'isolated');
  second.target.breaker.reset();
  second.health.changed();
  assert.equal(first.target.breaker.state, 'closed');
});
