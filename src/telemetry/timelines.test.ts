import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Blocker } from '../core/events.ts';
import { createManualClock } from '../testing/manual-clock.ts';
import { attempt, attemptEnd, failedAttempt, finished, queued, received } from './events.fixture.ts';
import { createTimelines } from './timelines.ts';
import { Traces, type RequestScopedEvent, type TraceBounds } from './traces.ts';

function setUp(bounds: TraceBounds = {}) {
  const clock = createManualClock({ now: 5_000, epochMs: Date.UTC(2025, 5, 1, 12) });
  const traces = new Traces(clock, bounds);
  const timelines = createTimelines(traces, clock);
  const tell = (...events: RequestScopedEvent[]): void => events.forEach((event) => void traces.record(event, clock.epochMs()));
  const run = (requestId: string): void => tell(received({ requestId, at: clock.now() }), finished({ requestId, at: clock.now() }));
  return { clock, run, tell, timelines };
}

test('a timeline describes the events of a request in order', () => {
  const { clock, tell, timelines } = setUp();
  const blockers: Blocker[] = [
    { target: 'openai/gpt', kind: 'tokens', waitMs: 1_200 },
    { target: 'claude/haiku', kind: 'concurrency', waitMs: null },
    { target: 'offline/small', kind: 'incapable', waitMs: Infinity },
  ];
  tell(received({ at: 5_000, stream: true, deadlineMs: 20_000 }), queued({ at: 5_001, blockers }));
  clock.advance(3_000);
  tell(
    attempt({ at: 6_201, queuedMs: 1_200 }),
    failedAttempt('Rate limit reached', { at: 6_301, durationMs: 100 }),
    { type: 'backoff', requestId: 'req-1', at: 6_301, delayMs: 250, reason: 'rate_limited' },
    { type: 'note', requestId: 'req-1', at: 6_551, target: 'claude/haiku', note: 'logit_bias dropped' },
    attempt({ at: 6_551, attempt: 2, target: 'claude/haiku' }),
    { type: 'committed', requestId: 'req-1', at: 7_000, target: 'claude/haiku', attempt: 2, race: null },
    attemptEnd({ at: 7_551, attempt: 2, target: 'claude/haiku', durationMs: 1_000 }),
    finished({ at: 7_551, target: 'claude/haiku', attempts: 2, fallback: 'rate_limited', queueMs: 1_200, durationMs: 2_551 }),
  );
  const timeline = timelines.get('req-1')!;
  assert.deepEqual(
    timeline.entries.map((entry) => `${entry.atMs} ${entry.text}`),
    [
      '0 received from web: streaming chat for fast, priority normal, 20 s until the deadline',
      '1 queued, no target can start: openai/gpt: tokens, free in 1200 ms; claude/haiku: concurrency, free when another request ends; ' +
        'offline/small: incapable, for good',
      '1201 attempt 1 is sent to openai/gpt (credential 1), after 1200 ms in the queue',
      '1301 attempt 1 on openai/gpt ended after 100 ms: failed, only another target may work ' +
        '(rate_limited, status 429, in phase headers): Rate limit reached',
      '1301 backoff of 250 ms before the next attempt (rate_limited)',
      '1551 claude/haiku: logit_bias dropped',
      '1551 attempt 2 is sent to claude/haiku (credential 1)',
      '2000 the response of attempt 2 (claude/haiku) starts to reach the caller',
      '2551 attempt 2 on claude/haiku ended after 1000 ms: success',
      '2551 success with status 200, served by claude/haiku as a fallback (rate_limited), 2 attempts, 2551 ms in total, 1200 ms of it in the queue',
    ],
  );
  assert.equal(timeline.startedAt, '2025-06-01T12:00:00.000Z');
  assert.equal(timeline.entries[2]!.at, '2025-06-01T12:00:01.201Z');
  assert.deepEqual([timeline.queueMs, timeline.upstreamMs, timeline.backoffMs], [1_200, 1_100, 250]);
  assert.deepEqual(JSON.parse(JSON.stringify(timeline)).entries[1].details.blockers[2].waitMs, 'never');
});

test('a running request shows its queue time so far', () => {
  const { clock, tell, timelines } = setUp();
  tell(received({ at: 5_000 }), queued({ at: 5_000 }));
  clock.advance(750);
  const [summary] = timelines.list();
  assert.equal(summary!.outcome, 'running');
  assert.equal(summary!.lastEvent, 'queued');
  assert.deepEqual([summary!.queueMs, summary!.durationMs, summary!.attempts], [750, 750, 0]);
});

test('the list is newest first, and pages by sequence', () => {
  const { run, tell, timelines } = setUp();
  tell(received({ requestId: 'slow' }));
  for (const id of ['a', 'b', 'c']) run(id);
  const first = timelines.list({ limit: 2 });
  assert.deepEqual(
    first.map((summary) => summary.id),
    ['c', 'b'],
  );
  const second = timelines.list({ limit: 2, before: first[1]!.sequence });
  assert.deepEqual(
    second.map((summary) => summary.id),
    ['a', 'slow'],
  );
});

test('the list filters by outcome, status, model and client', () => {
  const { tell, timelines } = setUp();
  tell(received({ requestId: 'a' }), finished({ requestId: 'a' }));
  tell(received({ requestId: 'b', model: 'big' }), finished({ requestId: 'b', outcome: 'failed', status: 504 }));
  tell(received({ requestId: 'c', client: 'nightly' }));
  const ids = (options: Parameters<typeof timelines.list>[0]) => timelines.list(options).map((summary) => summary.id);
  assert.deepEqual(ids({ outcome: 'failed' }), ['b']);
  assert.deepEqual(ids({ outcome: 'running' }), ['c']);
  assert.deepEqual(ids({ status: 200 }), ['a']);
  assert.deepEqual(ids({ model: 'big' }), ['b']);
  assert.deepEqual(ids({ client: 'nightly' }), ['c']);
});

test('only the last finished requests are stored', () => {
  const { run, timelines } = setUp({ finishedMax: 3 });
  for (let i = 0; i < 10; i++) run(`req-${i}`);
  assert.deepEqual(
    timelines.list().map((summary) => summary.id),
    ['req-9', 'req-8', 'req-7'],
  );
  assert.equal(timelines.get('req-6'), null);
});

test('beyond the limit the oldest running requests are dropped, and their end has no effect', () => {
  const { tell, timelines } = setUp({ runningMax: 2 });
  for (const requestId of ['a', 'b', 'c']) tell(received({ requestId }));
  tell(attemptEnd({ requestId: 'a' }), finished({ requestId: 'a' }));
  assert.deepEqual(
    timelines.list().map((summary) => summary.id),
    ['c', 'b'],
  );
});

test('events of one request beyond the limit are counted, and its end is still recorded', () => {
  const { tell, timelines } = setUp({ eventsPerRequestMax: 5 });
  tell(received());
  for (let i = 0; i < 20; i++) tell(attempt({ attempt: i + 1 }));
  tell(finished());
  const timeline = timelines.get('req-1')!;
  assert.equal(timeline.entries.length, 7);
  assert.equal(timeline.skippedEntries, 15);
  assert.equal(timeline.entries.at(-1)!.type, 'finished');
});

test('events of all requests are bounded: the oldest finished request is dropped first', () => {
  const { tell, timelines } = setUp({ eventsMax: 10 });
  for (const requestId of ['a', 'b', 'c']) {
    tell(received({ requestId }));
    for (let i = 0; i < 4; i++) tell(attempt({ requestId }));
    tell(finished({ requestId }));
  }
  assert.deepEqual(
    timelines.list().map((summary) => summary.id),
    ['c', 'b'],
  );
  tell(received({ requestId: 'd' }));
  for (let i = 0; i < 15; i++) tell(attempt({ requestId: 'd' }));
  assert.deepEqual(
    timelines.list().map((summary) => summary.id),
    ['d'],
  );
  assert.equal(timelines.get('d')!.skippedEntries, 5);
});

test('finished requests are records of the request log, oldest first', () => {
  const { clock, run, tell, timelines } = setUp();
  for (const requestId of ['one', 'two', 'three']) run(requestId);
  tell(
    received({ requestId: 'four', at: clock.now() }),
    attempt({ requestId: 'four', at: clock.now() }),
    failedAttempt('Rate limit reached', { requestId: 'four', at: clock.now(), durationMs: 0 }),
    finished({ requestId: 'four', at: clock.now() }),
    received({ requestId: 'running', at: clock.now() }),
  );
  const records = timelines.records({ limit: 4 });
  assert.deepEqual(
    records.map(({ id, attempts }) => [id, attempts.map(({ target, status }) => `${target} ${status}`)]),
    [['two', []], ['three', []], ['four', ['openai/gpt 429']]],
  ); // prettier-ignore
  assert.equal(records[0]!.at, Date.UTC(2025, 5, 1, 12));
});
