import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../../testing/manual-clock.ts';
import { GatewayWatch } from './gateway-watch.ts';

/** A watch whose gateway gives these answers. */
function stage(answers: readonly object[]) {
  const clock = createManualClock();
  const changes: string[] = [];
  let looks = 0;
  const client = {
    fetch: async () => {
      const answer = answers[looks++];
      if (answer === undefined) throw new TypeError('refused');
      return Response.json(answer);
    },
    close: async () => {},
  };
  const watch: GatewayWatch = new GatewayWatch({
    clock,
    client,
    url: 'http://gateway',
    headers: {},
    onChange: (isAlive) => void changes.push(isAlive ? 'alive' : 'lost'),
    onShares: () => void changes.push(`1/${watch.shares}`),
  });
  return { clock, watch, changes };
}

test('the share of a library is what the gateway last answered: its instances times its libraries', async () => {
  const ready = { status: 'ready', libraries: 2 };
  const { clock, watch, changes } = stage([{ ...ready, instances: 3 }, ready, { ...ready, instances: 3 }]);
  void watch.start();
  await clock.advanceAsync(0);
  assert.equal(watch.shares, 6);
  await clock.advanceAsync(1_000);
  assert.equal(watch.shares, 2, 'a gateway of an earlier version');
  await clock.advanceAsync(2_000);
  assert.deepEqual([watch.isAlive, watch.shares], [false, 6]);
  assert.deepEqual(changes, ['alive', '1/6', '1/2', '1/6', 'lost']);
  watch.stop();
  assert.equal(clock.pendingTimers, 0);
});

test('a response without sensible numbers changes no share', async () => {
  const answers = [{ libraries: 2, instances: 0 }, { libraries: 0, instances: 4 }, { libraries: 'many' }, { libraries: 1.5 }, {}];
  const { clock, watch } = stage(answers.map((answer) => ({ status: 'ready', ...answer })));
  void watch.start();
  await clock.advanceAsync(4_500);
  assert.equal(watch.shares, 2);
  watch.stop();
});
