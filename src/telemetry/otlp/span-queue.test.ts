import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createManualClock } from '../../testing/manual-clock.ts';
import { finished, received } from '../events.fixture.ts';
import type { Trace } from '../traces.ts';
import { batchMax, exportsMax, exportTimeoutMs, gatherMs, queuedMax, retryMs, SpanQueue } from './span-queue.ts';

type Done = (error: Error | null) => void;

function setUp() {
  const clock = createManualClock();
  const sent: { readonly size: number; readonly done: Done }[] = [];
  const notes: string[] = [];
  const queue = new SpanQueue({
    clock,
    send: (traces, done) => void sent.push({ size: traces.length, done }),
    onTrouble: (error) => notes.push(error.message),
    onRecovered: (lost) => notes.push(`lost ${lost}`),
  });
  const push = (count: number): void => {
    for (let i = 0; i < count; i++) queue.push(traceOf());
  };
  return { clock, sent, notes, queue, push };
}

/** A request with one attempt: two spans. */
function traceOf(): Trace {
  return { sequence: 1, received: received(), startedEpochMs: 0, events: [], skippedEvents: 0, finished: finished() };
}

describe('the span queue', () => {
  it('exports what was gathered in half a second as one batch, never in the turn of a request', () => {
    const { clock, sent, push, queue } = setUp();
    push(3);
    clock.advance(gatherMs - 1);
    assert.equal(sent.length, 0);
    clock.advance(1);
    assert.deepEqual(
      sent.map(({ size }) => size),
      [3],
    );
    sent[0]!.done(null);
    assert.deepEqual([queue.exported, queue.lost], [6, 0]);
  });

  it('exports a full batch in the next turn, several at a time up to a limit', () => {
    const { clock, sent, push } = setUp();
    push(batchMax * (exportsMax + 2));
    assert.equal(sent.length, 0);
    clock.advance(0);
    assert.equal(sent.length, exportsMax);
    assert.ok(sent.every(({ size }) => size === batchMax));
    sent[0]!.done(null);
    clock.advance(0);
    assert.equal(sent.length, exportsMax + 1);
  });

  it('holds a bounded number of requests while a collector takes its time, and counts the spans of the others as lost', () => {
    const { clock, push, queue } = setUp();
    push(queuedMax);
    clock.advance(0);
    push(queuedMax);
    const taken = batchMax * exportsMax;
    assert.equal(queue.lost, (queuedMax - taken) * 2);
  });

  it('gives up an export without a response, and then leaves the collector alone for a while', () => {
    const { clock, sent, push, notes, queue } = setUp();
    push(1);
    clock.advance(gatherMs + exportTimeoutMs);
    assert.equal(queue.lost, 2);
    assert.equal(notes.length, 1);
    push(1);
    clock.advance(retryMs - 1);
    assert.equal(sent.length, 1);
    clock.advance(1);
    assert.equal(sent.length, 2);
    sent[0]!.done(null);
    assert.equal(queue.exported, 0, 'a late response changes nothing');
  });

  it('reports trouble once, and the number of lost spans at the next success', () => {
    const { clock, sent, push, notes } = setUp();
    for (let i = 0; i < 3; i++) {
      push(1);
      clock.advance(retryMs + gatherMs);
      sent.at(-1)!.done(new Error('refused'));
    }
    push(1);
    clock.advance(retryMs);
    sent.at(-1)!.done(null);
    assert.deepEqual(notes, ['refused', 'lost 6']);
  });

  it('counts an export that throws as failed', () => {
    const clock = createManualClock();
    const send = (): never => {
      throw new Error('broken');
    };
    const queue = new SpanQueue({ clock, send, onTrouble: () => {}, onRecovered: () => {} });
    queue.push(traceOf());
    clock.advance(gatherMs);
    assert.equal(queue.lost, 2);
  });

  it('flushes at once, and closes within its limit, losing what is left', async () => {
    const { clock, sent, push, queue } = setUp();
    push(1);
    const flushed = queue.flush(1_000);
    clock.advance(0);
    sent[0]!.done(null);
    await flushed;
    push(2);
    const closed = queue.close(1_000);
    clock.advance(1_000);
    await closed;
    push(1);
    assert.equal(queue.lost, 6);
    assert.equal(clock.pendingTimers, 0, 'no timer of an export is left');
    sent[1]!.done(null);
    assert.deepEqual([queue.lost, queue.exported], [6, 2], 'a late response changes nothing');
  });

  it('a flush that took too long leaves no trace: a later failure loses only its own spans', async () => {
    const { clock, sent, push, queue } = setUp();
    push(1);
    const flushed = queue.flush(1_000);
    clock.advance(1_000);
    await flushed;
    push(batchMax);
    clock.advance(0);
    push(1);
    sent[0]!.done(new Error('refused'));
    assert.equal(queue.lost, 2);
  });

  it('a flush ends with the close', async () => {
    const { clock, push, queue } = setUp();
    push(1);
    const flushed = queue.flush(60_000);
    const closed = queue.close(1_000);
    clock.advance(1_000);
    await closed;
    await flushed;
    assert.equal(clock.pendingTimers, 0);
  });

  it('counts the spans of an export that runs at the end once, whatever its collector responds later', async () => {
    const { clock, sent, push, queue } = setUp();
    push(1);
    const closed = queue.close(1_000);
    clock.advance(1_000);
    await closed;
    queue.countRejected(2);
    sent[0]!.done(null);
    assert.deepEqual([queue.exported, queue.lost], [0, 2]);
  });
});
