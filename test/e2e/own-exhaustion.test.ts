/** What this machine is out of is no fault of a provider. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatResponse } from '../../src/testing/simulated-chat.ts';
import { startVirtualWorld } from './virtual.ts';
import { errorOf } from './world.ts';

for (const code of ['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENOBUFS', 'ENOMEM']) {
  test(`${code} is reported as ours, and opens no breaker`, async (t) => {
    let isExhausted = true;
    const world = await startVirtualWorld(t, {
      providers: { a: () => (isExhausted ? { refuse: code, steps: [] } : chatResponse()) },
      config: { policy: { maxAttempts: 2 } },
    });
    for (let i = 0; i < 30; i++) {
      const seen = await world.answerTo();
      assert.equal(seen.status, 503);
      assert.deepEqual([errorOf(seen.text).code, seen.headers.get('retry-after')], ['internal_error', '1']);
      assert.match(errorOf(seen.text).message, new RegExp(code));
    }
    const ends = world.eventsOf('attempt_end');
    assert.ok(ends.length >= 30);
    assert.ok(ends.every(({ failure, reason }) => failure === 'exhausted' && reason === 'internal'));
    assert.equal(world.gateway.targets()[0]?.breaker.state, 'closed');
    assert.equal(world.eventsOf('breaker').length, 0);
    assert.ok(world.eventsOf('warning').length >= 1 && world.eventsOf('warning').length <= 3);
    assert.match(world.eventsOf('warning')[0]!.message, /ulimit -n/);
    isExhausted = false;
    assert.equal((await world.answerTo()).status, 200);
  });
}
