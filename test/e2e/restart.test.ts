/** What is known of targets and limits outlives the process, through a SQLite file. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/gateway/system-clock.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { StormOptions } from '../../src/storm/index.ts';
import { startGateway } from './harness.ts';
import type { TestGateway } from './harness.ts';
import { startWorld } from './world.ts';
import type { WorldOptions } from './world.ts';

type Provider = NonNullable<WorldOptions['providers']>[string];

/** A provider that goes on while the gateway before it is stopped and started anew. */
async function stage(t: TestContext, storm: StormOptions, provider: Provider = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-restart-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const world = await startWorld(t, { storms: { a: storm }, providers: { a: provider } });
  const config = {
    providers: {
      a: { protocol: 'openai', baseUrl: world.storms['a']!.url, ...('apiKeys' in provider ? {} : { apiKey: 'sk-test' }), ...provider },
    },
    models: { fast: ['a/m'] },
    policy: { maxAttempts: 1 },
  } as Parameters<typeof startGateway>[0];
  const start = async (changed: Provider = {}): Promise<TestGateway> => {
    const warnings: string[] = [];
    const store = await openStore(`sqlite:${join(folder, 'state.db')}`, {
      clock: systemClock,
      onWarning: (warning) => warnings.push(String(warning)),
    });
    const a = { ...config.providers!['a']!, ...changed };
    return startGateway({ ...config, providers: { a } }, { store });
  };
  const calls = () => world.storms['a']!.stats().calls;
  return { start, calls, storm: world.storms['a']! };
}

const soon = { 'x-breakwater-deadline-ms': '500' };

describe('after a restart', { concurrency: true }, () => {
  it('an open breaker is still open, and closes as it would have', async (t) => {
    const { start, calls, storm } = await stage(t, { faults: [{ kind: '500' }] });
    const before = await start();
    for (let i = 0; i < 5; i++) await before.chat();
    const openMs = before.gateway.targets()[0]!.breaker.openForMs!;
    await before.close();
    storm.setFaults([]);

    const after = await start();
    t.after(() => after.close());
    const { state, openForMs } = after.gateway.targets()[0]!.breaker;
    assert.equal(state, 'open');
    assert.ok(openForMs! <= openMs && openForMs! > openMs - 2000, `${openForMs} ms of ${openMs}`);
    const refused = await after.chat({}, soon);
    assert.equal(refused.status, 503);
    assert.equal(calls(), 5);
    assert.equal((await after.chat()).status, 200, 'waits for the probe');
    assert.equal(calls(), 6);
    assert.equal(after.gateway.targets()[0]!.breaker.state, 'closed');
  });

  it('what was learned is still known', async (t) => {
    const { start } = await stage(t, { limits: { requestsPerMinute: 100 } });
    const before = await start();
    for (let i = 0; i < 30; i++) await before.chat();
    const [told] = before.gateway.targets()[0]!.learned.limits;
    assert.deepEqual([told!.kind, told!.source, told!.limit], ['requests', 'reported', 100]);
    const { outputTokens } = before.gateway.targets()[0]!.learned;
    assert.ok(Object.values(outputTokens)[0]! > 0);
    await before.close();

    const after = await start();
    t.after(() => after.close());
    const { learned } = after.gateway.targets()[0]!;
    assert.equal(learned.limits[0]!.limit, 100);
    assert.ok(learned.limits[0]!.available < 80, `${learned.limits[0]!.available}`);
    assert.ok(Math.abs(Object.values(learned.outputTokens)[0]! - Object.values(outputTokens)[0]!) <= 1, 'to a token');
  });

  it('a quarantined credential is still quarantined', async (t) => {
    const { start, calls } = await stage(t, { faults: [{ kind: '429-quota', calls: [1] }] });
    const before = await start();
    assert.equal((await before.chat()).status, 429);
    await before.close();

    const after = await start();
    t.after(() => after.close());
    const [target] = after.gateway.targets();
    assert.ok(target!.quarantinedMs > 590_000);
    assert.deepEqual(
      [target!.quarantine!.reason, target!.quarantine!.status, target!.quarantine!.code],
      ['quota', 429, 'insufficient_quota'],
    );
    const refused = await after.chat();
    assert.equal(refused.status, 503);
    assert.ok(Number(refused.headers.get('retry-after')) > 590);
    assert.equal(calls(), 1);
  });

  it('a target that asked for a pause still gets it', async (t) => {
    const { start, calls } = await stage(t, { faults: [{ kind: '429-retry', retryAfter: 600, calls: [1] }] });
    const before = await start();
    await before.chat();
    await before.close();

    const after = await start();
    t.after(() => after.close());
    const refused = await after.chat();
    assert.equal(refused.status, 429);
    assert.ok(Number(refused.headers.get('retry-after')) > 590);
    assert.equal(calls(), 1);
  });

  for (const window of ['bucket', 'sliding'] as const) {
    it(`a drained limit is still drained, as a ${window}`, async (t) => {
      const shape = window === 'sliding' ? { window } : { burst: 1 };
      const { start, calls, storm } = await stage(
        t,
        { limits: { requestsPerMinute: 6, enforce: window } },
        { limits: { requestsPerMinute: 6, ...shape } },
      );
      const before = await start();
      for (let i = 0; i < 6; i++) assert.equal((await before.chat()).status, 200);
      await before.close();

      const after = await start();
      t.after(() => after.close());
      const { available } = after.gateway.targets()[0]!.limits[0]!;
      assert.ok(available < 1, `${available} available`);
      const refused = await after.chat({}, soon);
      assert.equal(refused.status, 429);
      assert.equal(calls(), 6);
      assert.equal(storm.stats().violations.total, 0);
    });
  }

  it('a key that was refused still rests, wherever it stands now; what a limit has left follows it too', async (t) => {
    const limits = { requestsPerMinute: 6 };
    const keys = ['sk-bad-1234567890', 'sk-good-123456789'];
    const { start, calls, storm } = await stage(t, { apiKeys: [keys[1]!], keepBodies: 100 }, { apiKeys: keys, limits });
    const before = await start();
    // One of the first two requests may meet the bad key, and can't be sent twice: all others never do.
    for (let i = 0; i < 6; i++) await before.chat({}, soon);
    const spent = before.gateway.targets().find((target) => target.credential === 2)!.limits[0]!.available;
    const quarantinedMs = before.gateway.targets()[0]!.quarantinedMs;
    assert.ok(quarantinedMs > 290_000, `${quarantinedMs} ms`);
    await before.close();

    const after = await start({ apiKeys: [...keys].reverse() });
    t.after(() => after.close());
    const [first, second] = after.gateway.targets();
    assert.deepEqual([first!.credential, first!.quarantinedMs], [1, 0]);
    assert.ok(first!.limits[0]!.available < spent + 1);
    assert.equal(second!.credential, 2);
    assert.ok(
      second!.quarantinedMs > quarantinedMs - 5000 && second!.quarantinedMs <= quarantinedMs,
      `${second!.quarantinedMs} of ${quarantinedMs} ms`,
    );
    await after.chat({}, soon);
    const bad = storm.stats().log.filter((call) => call.headers?.authorization === `Bearer ${keys[0]}`);
    assert.deepEqual([bad.length, calls() <= 7], [1, true]);
  });

  it('nothing is left of what is over', async (t) => {
    const { start } = await stage(t, { faults: [{ kind: '429-retry', retryAfter: 1, calls: [1] }] });
    const before = await start();
    await before.chat();
    await before.close();
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const after = await start();
    t.after(() => after.close());
    assert.equal(after.gateway.targets()[0]!.cooldownMs, 0);
    assert.equal((await after.chat()).status, 200);
  });
});
