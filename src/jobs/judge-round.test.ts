import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSeededRandom } from '../testing/seeded-random.ts';
import { ItemSink } from './item-sink.ts';
import { judgeRound, ROUNDS_MIN, type RoundFacts, type RoundJudgement } from './judge-round.ts';
import { STRIKES_MAX } from './round-odds.ts';

const DAY_MS = 86_400_000;
const rule = { strikesNeeded: 4, roundsMin: ROUNDS_MIN, leftMs: DAY_MS };
const first: RoundFacts = { strikes: 0, rounds: 0, ownCode: null, wasSent: true, othersSucceed: false, ...rule };

function judge(status: number, body: unknown, round: Partial<RoundFacts> = {}, headers: string[] = []): RoundJudgement {
  const sink = new ItemSink();
  if (status !== 0) {
    sink.head(status, headers);
    sink.end(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)));
  }
  return judgeRound(sink, { ...first, ...round }, createSeededRandom(1));
}

const error = (code: string): object => ({ error: { code, message: 'so it is' } });

test('a final response is the result; any other leads to another round', () => {
  for (const status of [400, 401, 403, 404, 413, 422]) {
    const judged = judge(status, error('x'));
    assert.deepEqual([judged.kind, judged.kind === 'result' && judged.result.succeeded], ['result', false], String(status));
  }
  for (const status of [0, 408, 409, 425, 429, 499, 500, 502, 503, 504, 529])
    assert.equal(judge(status, error('x')).kind, 'again', String(status));
  assert.equal(judge(200, '<html>').kind, 'again', 'no JSON');
});

test('the last error of a request that waits is stored whole, or is cut at a word', () => {
  const noteOf = (message: string): string => {
    const judged = judge(503, { error: { code: 'x', message } });
    assert.ok(judged.kind === 'again');
    return judged.note;
  };
  assert.equal(noteOf(`${'word '.repeat(100)}end`), `503 ${'word '.repeat(100)}end`);
  assert.match(noteOf('word '.repeat(1_000)), /^503 (?:word ){390,}word…$/);
});

test('a response is stored on one line, with its usage and the facts in its headers', () => {
  const judged = judge(200, '{\n "a": "b\\n",\r\n "usage": {"total_tokens": 3}\n}', {}, [
    'x-request-id',
    'r1',
    'x-breakwater-quality',
    'short',
  ]);
  assert.ok(judged.kind === 'result' && judged.result.succeeded);
  const { body, facts } = judged.result;
  assert.ok(!Buffer.from(body!).includes('\n'));
  assert.deepEqual(JSON.parse(Buffer.from(body!).toString()), { a: 'b\n', usage: { total_tokens: 3 } });
  assert.deepEqual(facts, { requestId: 'r1', quality: 'short', usage: { total_tokens: 3 } });
});

test('a request is at fault only if it was sent, others succeed, and the error is not a limit or one of Breakwater', () => {
  const isStrike = (judged: RoundJudgement): unknown => judged.kind === 'again' && judged.strike;
  assert.equal(isStrike(judge(500, error('x'), { othersSucceed: true })), true);
  assert.equal(isStrike(judge(500, error('x'))), false);
  assert.equal(isStrike(judge(500, error('x'), { othersSucceed: true, wasSent: false })), false);
  for (const code of ['queue_full', 'no_target_available', 'shutting_down', 'upstream_auth_failed', 'store_unavailable'])
    assert.equal(isStrike(judge(503, error(code), { othersSucceed: true })), false, code);
  assert.equal(isStrike(judge(429, error('x'), { othersSucceed: true })), false);
  const last = judge(500, error('x'), { othersSucceed: true, strikes: STRIKES_MAX - 1 });
  assert.deepEqual([last.kind, last.kind === 'result' && last.result.status], ['result', 500]);
});

test('the pause is the requested one, else it grows; a request that was not sent waits briefly', () => {
  const pause = (round: Partial<RoundFacts>, headers: string[] = []): number => {
    const judged = judge(503, error('no_target_available'), round, headers);
    assert.ok(judged.kind === 'again');
    return judged.afterMs;
  };
  const between = (value: number, least: number, most: number): void => assert.ok(value >= least && value <= most, `${value}`);
  between(pause({}), 1_000, 2_000);
  between(pause({ rounds: 3 }), 30_000, 60_000);
  between(pause({ rounds: 50 }), 150_000, 300_000);
  between(pause({ rounds: 50, wasSent: false }), 7_500, 15_000);
  between(pause({}, ['retry-after-ms', '40000']), 40_000, 44_000);
  between(pause({}, ['retry-after-ms', '86400000']), 900_000, 990_000);
});

test('a failed request ends after five rounds at the earliest, with enough failures beside successes of others', () => {
  const ends = (round: Partial<RoundFacts>): boolean => judge(503, error('x'), { othersSucceed: true, ...round }).kind === 'result';
  assert.equal(ends({ rounds: 3, strikes: 3 }), false, 'the fourth round');
  assert.equal(ends({ rounds: 4, strikes: 3 }), true);
  assert.equal(ends({ rounds: 4, strikes: 4, strikesNeeded: 9 }), false, 'others fail often, too');
  assert.equal(ends({ rounds: 8, strikes: 8, strikesNeeded: 9 }), true);
  assert.equal(ends({ rounds: 4, strikes: 4, othersSucceed: false }), true, 'it failed beside others before, and none are left');
  assert.equal(ends({ rounds: 40, strikes: 2, othersSucceed: false }), false, 'an outage');
  assert.equal(ends({ rounds: 40, strikes: 4, wasSent: false }), false, 'it was not sent');
});

test('a request that is left alone after it failed beside others ends after twenty rounds', () => {
  const ends = (round: Partial<RoundFacts>): boolean =>
    judge(503, error('x'), { strikes: 3, strikesNeeded: 9, ...round }).kind === 'result';
  assert.equal(ends({ rounds: 18 }), false);
  assert.equal(ends({ rounds: 19 }), true);
  assert.equal(ends({ rounds: 60, strikes: 2 }), false, 'it may be an outage');
});

test('a pause is at most half of the time that is left', () => {
  const pause = (leftMs: number): number => {
    const judged = judge(503, error('x'), { rounds: 10, leftMs });
    assert.ok(judged.kind === 'again');
    return judged.afterMs;
  };
  assert.ok(pause(60_000) <= 30_000 && pause(60_000) >= 15_000);
  assert.ok(pause(100) <= 1_000, 'the next round would be too late');
});

test('a request that no period of a budget has room for ends at once; one that a later period has room for waits', () => {
  const message = { error: { code: 'budget_exceeded', message: 'more than the budget' } };
  const judged = judge(429, message, { wasSent: false }, ['x-should-retry', 'false']);
  assert.deepEqual([judged.kind, judged.kind === 'result' && judged.result.status], ['result', 429]);
  assert.equal(judge(429, message, { wasSent: false }, ['x-should-retry', 'false', 'retry-after-ms', '60000']).kind, 'again');
  assert.equal(judge(429, message, { wasSent: false }).kind, 'again', 'an error in a stream');
});

test('an error of Breakwater is recognized in protocols without codes, too', () => {
  const body = { type: 'error', error: { type: 'api_error', message: 'the key is refused' } };
  const round = { othersSucceed: true, strikes: STRIKES_MAX - 1 };
  assert.equal(judge(502, body, round).kind, 'result');
  assert.equal(judge(502, body, { ...round, ownCode: 'upstream_auth_failed' }).kind, 'again');
});
