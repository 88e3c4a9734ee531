import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RejectedEvent } from '../core/events.ts';
import { attempt, attemptEnd, failedAttempt, finished, queued, received } from './events.fixture.ts';
import { explanationLines, explain } from './explanation.ts';

const texts = (...input: Parameters<typeof explain>) => explain(...input).steps.map(({ text }) => text);

test('each bar covers the time of its step', () => {
  const story = explain({
    received: received(),
    events: [
      queued({ at: 10 }),
      attempt({ at: 510, queuedMs: 500 }),
      failedAttempt('', { at: 610, durationMs: 100 }),
      { type: 'backoff', requestId: 'req-1', at: 610, delayMs: 250, reason: 'overloaded' },
      attempt({ at: 860, attempt: 2 }),
      attemptEnd({ at: 1_360, attempt: 2 }),
    ],
    finished: finished({ at: 1_370, durationMs: 1_370, queueMs: 500, attempts: 2 }),
  });
  assert.deepEqual(
    story.steps.map(({ kind, fromMs, toMs, tone, firstContentMs }) => [kind, fromMs, toMs, tone, firstContentMs]),
    [
      ['received', 0, null, 'neutral', undefined],
      ['queue', 10, 510, 'wait', undefined],
      ['attempt', 510, 610, 'bad', undefined],
      ['backoff', 610, 860, 'wait', undefined],
      ['attempt', 860, 1_360, 'good', 980],
      ['finished', 1_370, null, 'good', undefined],
    ],
  );
  assert.equal(story.time, '1.4 s in total, 500 ms in the queue, 600 ms in 2 attempts, 250 ms of backoff');
});

test('parallel attempts give their reason, and overlapping times are noted', () => {
  const story = explain({
    received: received(),
    events: [
      attempt(),
      attempt({ at: 300, attempt: 2, target: 'claude/haiku', race: 'rescue' }),
      attemptEnd({ at: 900, attempt: 2, target: 'claude/haiku', durationMs: 600 }),
      attemptEnd({ at: 900, verdict: 'cancelled', durationMs: 900, firstContentMs: null, usage: null }),
    ],
    finished: finished({ at: 900, durationMs: 900, attempts: 2, target: 'claude/haiku' }),
  });
  assert.match(
    story.steps[2]!.text,
    /^attempt 2, claude\/haiku, a rescue beside an attempt that has been silent for too long: succeeded in 600 ms/,
  );
  assert.match(story.steps[1]!.text, /^attempt 1, openai\/gpt: cancelled after 900 ms$/);
  assert.match(story.time, /1\.5 s in 2 attempts \(some ran in parallel\)$/);
});

test('a running request shows what it is waiting for', () => {
  const running = { received: received(), events: [attempt()], finished: null, nowMs: 4_000 };
  assert.equal(explain(running).summary, 'non-streaming chat for fast is running for 4 s, 1 attempt so far');
  assert.deepEqual(texts(running).slice(1), ['attempt 1, openai/gpt: no response yet']);
  assert.deepEqual([explain(running).steps[1]!.toMs, explain(running).cost], [4_000, null]);
});

test('a wait names the blocker of each target, up to a limit', () => {
  const kinds = ['requests', 'concurrency', 'breaker', 'quarantine', 'budget', 'cooldown'] as const;
  const blockers = kinds.map((kind, i) => ({ target: `t/${i}`, kind, waitMs: i === 1 ? null : i === 3 ? Infinity : 1_500 }));
  const [, text] = texts({ received: received(), events: [queued({ blockers })], finished: null, nowMs: 2_000 });
  assert.equal(
    text,
    'queued, no target can start: t/0: request limit, for another 1.5 s; t/1: concurrency limit, until a running request ends; ' +
      't/2: circuit breaker open, for another 1.5 s; t/3: credential quarantined; and 2 more',
  );
});

test('the pause of an overloaded target is not reported as the quarantine of its credential', () => {
  const blockers = [{ target: 't/0', kind: 'pause', waitMs: 1_500 }] as const;
  const [, text] = texts({ received: received(), events: [queued({ blockers })], finished: null, nowMs: 2_000 });
  assert.equal(text, 'queued, no target can start: t/0: paused at its request, for another 1.5 s');
});

for (const [outcome, change, expected] of [
  ['a cached response', { cache: 'hit', attempts: 0, target: null }, /succeeded after 500 ms and 0 attempts, served from the cache$/],
  ['a refusal', { outcome: 'refused', status: 429, code: 'queue_full', attempts: 0 }, /was refused with 429 \(queue_full\) after 500 ms/],
  ['a disconnected caller', { outcome: 'cancelled', status: 499 }, /was cancelled by the caller after 500 ms/],
  ['a broken stream', { outcome: 'interrupted', code: 'stream_interrupted' }, /was cut off mid-stream \(stream_interrupted\)/],
  ['a failure', { outcome: 'failed', status: 502, code: 'all_targets_failed' }, /failed with 502 \(all_targets_failed\)/],
] as const) {
  test(`${outcome} is stated in the first sentence`, () => {
    assert.match(explain({ received: received(), events: [], finished: finished(change) }).summary, expected);
  });
}

test('a rejected request shows only its reason', () => {
  const rejected: RejectedEvent = {
    type: 'rejected',
    requestId: 'req-1',
    at: 0,
    status: 401,
    code: 'invalid_api_key',
    message: 'unknown API key',
    method: 'POST',
    path: '/v1/chat/completions',
    protocol: 'openai',
    operation: 'chat',
    model: null,
    client: null,
  };
  const lines = explanationLines(
    'req-1',
    explain({ received: received(), events: [rejected], finished: finished({ outcome: 'refused', usage: null }) }),
  );
  assert.equal(lines[0], 'req-1: rejected with 401 (invalid_api_key) before a target was chosen: unknown API key');
  assert.equal(lines[2], '  0 ms  POST /v1/chat/completions: 401 unknown API key');
});

test('the cost of calls whose response was not used is shown separately', () => {
  const wasted = { usage: { inputTokens: 40, cachedInputTokens: 0, outputTokens: 10 }, costUsd: 0.0004 };
  const { cost } = explain({ received: received(), events: [], finished: finished({ wasted }) });
  assert.equal(cost, '240 input + 60 output tokens, $0.002, of which 50 tokens ($0.0004) on calls whose response was not used');
});

test('dropped events are counted', () => {
  assert.equal(texts({ received: received(), events: [], finished: finished(), skippedEvents: 7 })[1], '7 further events were dropped');
});
