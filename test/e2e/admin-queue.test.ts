/** The contents of `/admin/queue`, in virtual time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chatResponse } from '../../src/testing/simulated-chat.ts';
import { startVirtualWorld } from './virtual.ts';

describe('the queue as it is shown', () => {
  it('shows which requests wait, for what, how long, and why, and no secrets', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: () => chatResponse(), b: () => chatResponse() },
      models: { fast: ['a/m'], both: [['a/m', 'b/m']] },
      limits: { requestsPerMinute: 6 },
    });
    for (let i = 0; i < 12; i++) await world.answerTo({ model: 'both' });
    const messages = [{ role: 'user', content: 'the secret recipe' }];
    const asked = [
      ...Array.from({ length: 3 }, () => world.ask({ messages }, { 'x-breakwater-priority': 'high' })),
      world.ask({ model: 'both', messages }),
      world.ask({ model: 'a/m', messages }),
    ];
    await world.clock.advanceAsync(1_500);
    const status = world.gateway.queue();
    assert.deepEqual([status.waiting, status.oldestMs, status.others], [5, 1_500, 0]);
    assert.deepEqual(
      status.groups.map(({ model, priority, waiting, targets }) => ({ model, priority, waiting, targets })),
      [
        { model: 'fast', priority: 'high', waiting: 3, targets: ['a/m'] },
        { model: 'both', priority: 'normal', waiting: 1, targets: ['a/m', 'b/m'] },
        { model: 'a/m', priority: 'normal', waiting: 1, targets: ['a/m'] },
      ],
    );
    const [fast] = status.groups;
    assert.deepEqual([fast!.waitedMs, fast!.leftMs], [1_500, 600_000 - 1_500]);
    assert.deepEqual(
      fast!.why.map(({ target, kind }) => [target, kind]),
      [['a/m', 'requests']],
    );
    assert.ok(Math.abs(Number(fast!.why[0]!.waitMs) - 8_500) < 500, `${fast!.why[0]!.waitMs}`);
    // Three requests precede it at one per ten seconds, and occasionally one of a lower class.
    assert.ok(fast!.startsInMs! > 30_000 && fast!.startsInMs! < 60_000, `${fast!.startsInMs}`);
    assert.doesNotMatch(JSON.stringify(status), /recipe|sk-test|#[0-9a-f]/);
    await world.until(Promise.all(asked.map(({ done }) => done)));
    assert.deepEqual(world.gateway.queue().groups, []);
  });

  it('is bounded, whatever names callers send', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: () => chatResponse({ headersAfterMs: 60_000 }) },
      limits: { concurrency: 1 },
    });
    const asked = Array.from({ length: 61 }, (_, i) => world.ask({ model: `a/${'x'.repeat(300)}${i}` }));
    const ended = Promise.allSettled(asked.map(({ done }) => done));
    await world.clock.advanceAsync(1);
    const { groups, others, waiting } = world.gateway.queue();
    assert.deepEqual([waiting, groups.length, others], [60, 50, 10]);
    assert.ok(groups.every(({ model }) => model.length <= 200));
    for (const each of asked) each.leave();
    await world.clock.advanceAsync(1);
    assert.deepEqual(world.gateway.queue().groups, []);
    await world.until(ended);
  });
});
