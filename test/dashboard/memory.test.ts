/** What the feed keeps, over an hour of traffic in virtual time with a page open. */
import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test } from 'node:test';
import { EventBus } from '../../src/core/events.ts';
import { attempt, attemptEnd, failedAttempt, finished, received } from '../../src/telemetry/events.fixture.ts';
import { createTelemetry } from '../../src/telemetry/telemetry.ts';
import { createManualClock } from '../../src/testing/manual-clock.ts';

/** All lists of the feed and of the timelines are full after this time. */
const fullAfterSeconds = 1_200;
const seconds = 4_000;
const perSecond = 20;
const growthBytesMax = 2_000_000;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function liveBytes(): number {
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

test('memory is flat over an hour with a page open', () => {
  const clock = createManualClock();
  const telemetry = createTelemetry({ logs: { level: 'silent' }, requests: { file: '' }, clock, secrets: [] });
  const bus = new EventBus((error) => {
    throw error;
  });
  telemetry.attach(bus);
  const lengths: number[] = [];
  telemetry.feed.subscribe({ send: (event) => (lengths.push(event.length), true), close: assert.fail }, null);
  let before = 0;
  for (let second = 0; second < seconds; second++) {
    for (let i = 0; i < perSecond; i++) {
      const of = { requestId: `r-${second}-${i}`, at: clock.now() };
      const end = i % 5 === 0 ? failedAttempt(`message ${second}-${i}`, of) : attemptEnd(of);
      for (const event of [received(of), attempt(of), end, finished(of)]) bus.emit(event);
    }
    clock.advance(1_000);
    if (second === fullAfterSeconds) before = liveBytes();
  }
  const growth = liveBytes() - before;
  assert.ok(growth < growthBytesMax, `grew by ${growth} bytes`);
  assert.equal(lengths.length, seconds + 1);
  assert.ok(Math.max(...lengths) < 150_000, `a frame of ${Math.max(...lengths)} bytes`);
});
