import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configOf } from '../../test/server/fake-gateway.ts';
import { createManualClock } from '../testing/manual-clock.ts';
import { createSeededRandom } from '../testing/seeded-random.ts';
import { LimitRegistry } from './limits.ts';
import { QualityChecks } from './quality-checks.ts';
import { Routes } from './routes.ts';
import { TargetRegistry, UNNAMED_TARGETS_MAX } from './targets.ts';

const INVENTED = 3_000;

function setUp() {
  const clock = createManualClock();
  const config = configOf({ providers: { backup: { baseUrl: 'http://127.0.0.1:9/v1', apiKeys: ['k1', 'k2'] } } });
  const targets = new TargetRegistry(clock, createSeededRandom(1), new LimitRegistry(clock), () =>
    assert.fail('unexpected call: no identity is configured'),
  );
  return { config, targets, routes: new Routes(config, targets, new QualityChecks()) };
}

for (const state of ['healthy', 'paused', 'in flight'] as const) {
  test(`${INVENTED} invented names are bounded and do not evict names of other clients (targets ${state})`, () => {
    const { targets, routes } = setUp();
    const configured = routes.find('fast', 'modest')!;
    const own = routes.find('backup/own', 'modest')!;
    for (let i = 0; i < INVENTED; i++) {
      const route = routes.find(`backup/invented-${i}`, 'greedy')!;
      const first = route.tiers[0]![0]!.state;
      if (state === 'in flight') first.inFlight++;
      else if (state === 'paused') first.cooldown.coolUntil(60_000);
    }
    const all = targets.all();
    assert.equal(all.length, 2 + UNNAMED_TARGETS_MAX);
    assert.equal(all[0]!.model, 'big', 'configured targets come first');
    assert.equal(routes.find('fast', 'modest'), configured);
    assert.deepEqual(
      routes
        .find('backup/own', 'modest')!
        .tiers.flat()
        .map((target) => target.state),
      own.tiers.flat().map((target) => target.state),
    );
    assert.deepEqual(
      targets.named('backup/own'),
      own.tiers.flat().map((target) => target.state),
    );
  });
}

test('a route to an evicted target is rebuilt, so that a target has one state', () => {
  const { targets, routes } = setUp();
  const before = routes.find('backup/a', 'one')!;
  for (let i = 0; i < UNNAMED_TARGETS_MAX; i++) routes.find(`backup/invented-${i}`, 'one');
  assert.deepEqual(targets.named('backup/a'), []);
  const after = routes.find('backup/a', 'one')!;
  assert.notEqual(after, before);
  assert.deepEqual(
    targets.named('backup/a'),
    after.tiers.flat().map((target) => target.state),
  );
});

test('a name that is added to the config is no longer evicted', () => {
  const { config, targets, routes } = setUp();
  const [state] = routes
    .find('backup/own', 'one')!
    .tiers.flat()
    .map((target) => target.state);
  const { fast } = config.models;
  const own = { ...fast!, name: 'own', tiers: [[{ ...fast!.tiers[0]![0]!, model: 'own' }]] };
  const next = new Routes({ ...config, models: { ...config.models, own } }, targets, new QualityChecks());
  for (let i = 0; i < 2 * UNNAMED_TARGETS_MAX; i++) next.find(`backup/invented-${i}`, 'one');
  assert.equal(targets.named('backup/own')[0], state);
});
