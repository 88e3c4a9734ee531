import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { mock, test } from 'node:test';
import { SlicedWork } from '../core/sliced-work.ts';
import { createManualClock } from '../testing/manual-clock.ts';
import { JOINED_BYTES_MAX } from './body-reader.ts';
import { withPathModel } from './large-body.ts';

test('a small body gets the model of its path at once; what is not a JSON object stays as it is', async () => {
  const slices = new SlicedWork(createManualClock());
  for (const [body, sent] of [
    ['{"messages":[]}', '{"model":"a/m","messages":[]}'],
    ['no JSON', 'no JSON'],
    ['[1]', '[1]'],
  ] as const) {
    assert.equal(Buffer.from(await withPathModel(Buffer.from(body), 'a/m', slices)).toString(), sent);
  }
});

test('a large body gets the model of its path in several turns of the event loop', async () => {
  const clock = createManualClock();
  const schedule = mock.method(clock, 'schedule');
  const text = 'x'.repeat(8 * JOINED_BYTES_MAX);
  const work = withPathModel(Buffer.from(`{"model":"old","input":"${text}"}`), 'a/m', new SlicedWork(clock));
  await clock.advanceAsync(0);
  assert.equal(Buffer.from(await work).toString(), `{"model":"a/m","input":"${text}"}`);
  // Three for the 33 slices of the scan, one for the copy.
  assert.equal(schedule.mock.callCount(), 4);
});
