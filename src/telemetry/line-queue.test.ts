import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createManualClock } from '../testing/manual-clock.ts';
import { gatherMs, LineQueue, type LineQueueOptions, type LineSink } from './line-queue.ts';

/** A sink whose writes are completed by the test. */
function heldSink() {
  const writes: { text: string; done: (error: Error | null) => void }[] = [];
  const sink: LineSink = { write: (text, done) => void writes.push({ text, done }) };
  return { sink, writes };
}

function setUp(change: Partial<LineQueueOptions> = {}) {
  const clock = createManualClock();
  const held = heldSink();
  const reports: string[] = [];
  const queue = new LineQueue({
    sink: held.sink,
    clock,
    bufferedLengthMax: 100,
    onTrouble: (error) => reports.push(error.message),
    onRecovered: (dropped) => reports.push(`lost ${dropped}`),
    ...change,
  });
  return { clock, queue, reports, writes: held.writes };
}

test('the lines of one turn are written together after it', () => {
  const { clock, queue, writes } = setUp();
  queue.push('a\n');
  queue.push('b\n');
  assert.equal(writes.length, 0);
  clock.advance(0);
  assert.deepEqual(
    writes.map((write) => write.text),
    ['a\nb\n'],
  );
});

test('one write at a time: lines pushed meanwhile are in the next one', () => {
  const { clock, queue, writes } = setUp();
  queue.push('a\n');
  clock.advance(0);
  queue.push('b\n');
  queue.push('c\n');
  clock.advance(10);
  assert.equal(writes.length, 1);
  writes[0]!.done(null);
  assert.deepEqual(
    writes.map((write) => write.text),
    ['a\n', 'b\nc\n'],
  );
});

test('under load lines are batched, and none waits longer than one interval', () => {
  const { clock, queue, writes } = setUp();
  for (let turn = 0; turn < 3 * gatherMs; turn++) {
    queue.push(`${turn}\n`);
    clock.advance(1);
    writes.at(-1)!.done(null);
  }
  assert.deepEqual(
    writes.map((write) => write.text.split('\n').length - 1),
    [1, gatherMs - 1, gatherMs, gatherMs],
  );
});

test('a burst is written after its turn, however recent the last write', () => {
  const { clock, queue, writes } = setUp({ bufferedLengthMax: 1_000_000 });
  for (const length of [1, 1, 70_000, 70_000]) {
    queue.push('x'.repeat(length));
    if (length === 1) clock.advance(0);
    writes.at(-1)!.done(null);
  }
  clock.advance(0);
  assert.deepEqual(
    writes.map((write) => write.text.length),
    [1, 140_001],
  );
});

test('a sink that never finishes buffers no more than the limit, and the rest is counted', () => {
  const { clock, queue } = setUp();
  for (let i = 0; i < 1_000; i++) {
    queue.push('123456789\n');
    clock.advance(1);
    assert.ok(queue.bufferedLength <= 100);
  }
  assert.equal(queue.dropped, 990);
});

test('the number of lines lost to a slow sink is reported once when it catches up', () => {
  const { clock, queue, reports, writes } = setUp();
  for (let i = 0; i < 15; i++) queue.push('123456789\n');
  clock.advance(0);
  writes[0]!.done(null);
  assert.deepEqual(reports, ['lost 5']);
  queue.push('again\n');
  clock.advance(gatherMs);
  writes[1]!.done(null);
  assert.deepEqual(reports, ['lost 5']);
});

test('a failed sink is retried after a delay; the failure is reported once', () => {
  const { clock, queue, reports, writes } = setUp();
  queue.push('a\n');
  clock.advance(0);
  writes[0]!.done(new Error('EPIPE'));
  queue.push('b\n');
  clock.advance(999);
  assert.equal(writes.length, 1);
  clock.advance(1);
  writes[1]!.done(new Error('EPIPE'));
  queue.push('c\n');
  clock.advance(1_000);
  writes[2]!.done(null);
  assert.deepEqual(reports, ['EPIPE', 'lost 2']);
  assert.equal(queue.dropped, 2);
});

test('a sink that throws has failed', () => {
  const { clock, queue, reports } = setUp({
    sink: {
      write() {
        throw new Error('gone');
      },
    },
  });
  queue.push('a\n');
  clock.advance(0);
  assert.deepEqual(reports, ['gone']);
});

test('a second done callback is ignored', () => {
  const { clock, queue, writes } = setUp();
  queue.push('a\n');
  clock.advance(0);
  writes[0]!.done(null);
  writes[0]!.done(new Error('late'));
  assert.equal(queue.dropped, 0);
  assert.equal(queue.bufferedLength, 0);
});

test('flush resolves when all earlier lines are written', async () => {
  const { clock, queue, writes } = setUp();
  let isFlushed = false;
  queue.push('a\n');
  const flushed = queue.flush(1_000).then(() => (isFlushed = true));
  queue.push('b\n');
  await clock.advanceAsync(500);
  assert.equal(isFlushed, false);
  writes[0]!.done(null);
  await flushed;
  assert.deepEqual(
    writes.map((write) => write.text),
    ['a\n', 'b\n'],
  );
  assert.equal(clock.pendingTimers, 0);
});

test('flush times out on a stuck sink', async () => {
  const { clock, queue } = setUp();
  queue.push('a\n');
  const flushed = queue.flush(1_000);
  clock.advance(1_000);
  await flushed;
});

test('flush does not wait for a sink that fails', async () => {
  const { queue, writes } = setUp();
  queue.push('a\n');
  const flushed = queue.flush(1_000);
  writes[0]!.done(new Error('EPIPE'));
  await flushed;
});

test('after close nothing is stored, written or left running', async () => {
  const { clock, queue, writes } = setUp();
  queue.push('a\n');
  const closed = queue.close(1_000);
  queue.push('b\n');
  clock.advance(1_000);
  await closed;
  assert.equal(queue.push('c\n'), false);
  writes[0]!.done(new Error('EPIPE'));
  clock.advance(10_000);
  assert.equal(writes.length, 1);
  assert.equal(clock.pendingTimers, 0);
});

test('for any sink behavior every line is written, lost or queued, and the limit applies', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('push' as const), length: fc.integer({ min: 1, max: 60 }) }),
    fc.record({ do: fc.constantFrom('succeed' as const, 'fail' as const, 'wait' as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const { clock, queue, writes } = setUp();
      let pushed = 0;
      let written = 0;
      const answer = (error: Error | null): void => {
        const write = writes.shift();
        if (write === undefined) return;
        if (error === null) written += write.text.split('\n').length - 1;
        write.done(error);
      };
      for (const next of steps) {
        if (next.do === 'push') {
          pushed++;
          queue.push(`${'x'.repeat(next.length)}\n`);
        } else if (next.do === 'wait') clock.advance(1_000);
        else answer(next.do === 'fail' ? new Error('no') : null);
        assert.ok(queue.bufferedLength <= 100);
        assert.ok(writes.length <= 1);
      }
      for (let i = 0; i < 300; i++) {
        clock.advance(1_000);
        answer(null);
      }
      assert.equal(queue.bufferedLength, 0);
      assert.equal(written + queue.dropped, pushed);
    }),
  );
});
