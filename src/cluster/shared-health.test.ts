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
  const all = members.map((member, i) => {
    const random = createSeededRandom(i + 1);
    const target = {
      name: 'p/m',
      breaker: new CircuitBreaker('p/m:breaker', BREAKER, random),
      cooldown: new Cooldown('p/m:cooldown', 'cooldown', random),
      overload: new Cooldown('p/m:overload', 'cooldown', random),
      credential: { id: 'p#1', bench: new Quarantine('p#1') },
    };
    const sent: string[] = [];
    const health = new SharedHealth({
      clock,
      subjects: () => [target],
      fleet: () => ({ member, members }),
      onAdopted: () => {},
      publish(text) {
        sent.push(text);
        for (const other of all) if (other.health !== health) other.health.take(text.slice('health\n'.length));
      },
    });
    return { target, health, sent };
  });
  return { clock, all };
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
  const [first, second] = [all[0]!.target.credential.bench, all[1]!.target.credential.bench];
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
