import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chatResponse, chatError } from '../../src/testing/simulated-chat.ts';
import { startVirtualWorld } from './virtual.ts';

describe('the last attempt of a request', () => {
  it('waits for a busy unused target, and is not repeated on one that failed', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: () => chatError(503), b: () => chatResponse({ headersAfterMs: 5_000 }) },
      models: { fast: ['a/m', 'b/m'], second: ['b/m'] },
      limits: { concurrency: 1 },
      config: { policy: { maxAttempts: 2 } },
    });
    const busy = world.ask({ model: 'second' });
    const seen = await world.answerTo({ model: 'fast' });
    await world.until(busy.done);
    assert.equal(seen.status, 200);
    assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 2]);
    assert.equal(seen.headers.get('x-breakwater-target'), 'b/m');
  });

  it('is repeated if the unused target is not available within half of the time', async (t) => {
    let calls = 0;
    const world = await startVirtualWorld(t, {
      providers: { a: () => (++calls === 1 ? chatError(503) : chatResponse()), b: () => chatResponse({ headersAfterMs: 60_000 }) },
      models: { fast: ['a/m', 'b/m'], second: ['b/m'] },
      limits: { concurrency: 1 },
      config: { policy: { maxAttempts: 2 } },
    });
    const busy = world.ask({ model: 'second' });
    const seen = await world.answerTo({ model: 'fast' }, { 'x-breakwater-deadline-ms': '8000' });
    assert.deepEqual([seen.status, Math.round(seen.endAtMs / 100)], [200, 50], 'half of the time, and then its patience');
    await world.until(busy.done);
    assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [2, 1]);
  });
});
