import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../../testing/manual-clock.ts';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import { DIALECTS } from '../../wire/dialects.ts';
import { Downstream } from './downstream.ts';

test('a silent stream is kept alive once for each span, at whatever fraction of a millisecond it began', () => {
  const random = createSeededRandom(1);
  for (let round = 0; round < 300; round++) {
    const clock = createManualClock({ now: Math.sqrt(random.next()) * 100_000 });
    let comments = 0;
    const sink = { head() {}, write: () => ++comments > 0, end() {}, abort() {}, onDrain() {}, readerMoved: () => false };
    const options = { dialect: DIALECTS['openai-chat'], requestId: 'r', program: null, keepAliveMs: 25_000, owner: { note() {} } } as const;
    const downstream = new Downstream(sink, clock, options);
    clock.advance(Math.sqrt(random.next()) * 20_000);
    downstream.commit(200, [], true, '');
    downstream.write([]);
    let timers = 0;
    const schedule = clock.schedule.bind(clock);
    clock.schedule = (delayMs, task) => {
      assert.ok(++timers < 100, 'the timer fires repeatedly without time passing');
      return schedule(delayMs, task);
    };
    clock.advance(110_000);
    assert.equal(comments, 4);
    downstream.leave();
    assert.equal(clock.pendingTimers, 0);
  }
});

test('a stream is kept alive even if a keep-alive comment was what filled the buffer', () => {
  const clock = createManualClock();
  let comments = 0;
  const sink = { head() {}, write: () => ++comments > 1, end() {}, abort() {}, onDrain() {}, readerMoved: () => false };
  const options = { dialect: DIALECTS['openai-chat'], requestId: 'r', program: null, keepAliveMs: 25_000, owner: { note() {} } } as const;
  const downstream = new Downstream(sink, clock, options);
  clock.advance(110_000);
  assert.equal(comments, 4);
  downstream.leave();
});
