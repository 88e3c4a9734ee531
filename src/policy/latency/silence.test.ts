import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstContentLimitMs, headersLimitMs, SilenceRecord, silenceShareMs } from './silence.ts';
import type { CallKind } from './silence.ts';

const AUTO = { headers: 'auto', firstContent: 'auto' } as const;
const PLAIN: CallKind = { stream: false, usesReasoning: false, local: false, outputBound: 1000 };
const STREAM: CallKind = { ...PLAIN, stream: true };
const limits = (call: CallKind): number[] => [headersLimitMs(AUTO, call), firstContentLimitMs(AUTO, call)];

test('the automatic limit is a minute for a stream and five minutes for a non-streaming response', () => {
  assert.deepEqual(limits(STREAM), [60_000, 60_000]);
  assert.deepEqual(limits(PLAIN), [300_000, 300_000]);
});

test('reasoning, the operator’s own servers and large prompts lengthen both limits, and headers are never due before content', () => {
  for (const longer of [{ usesReasoning: true }, { local: true }, { ownServer: true }]) {
    assert.deepEqual(limits({ ...STREAM, ...longer }), [300_000, 300_000]);
    assert.deepEqual(limits({ ...PLAIN, ...longer }), [600_000, 600_000]);
  }
  assert.deepEqual(limits({ ...STREAM, inputTokens: 10_000 }), [60_000, 60_000]);
  assert.deepEqual(limits({ ...STREAM, inputTokens: 210_000 }), [160_000, 160_000]);
  assert.deepEqual(limits({ ...PLAIN, inputTokens: 210_000 }), [400_000, 400_000]);
});

test('an automatic limit is never shorter than the configured one beside it', () => {
  assert.equal(headersLimitMs({ headers: 'auto', firstContent: 90_000 }, STREAM), 90_000);
  assert.equal(firstContentLimitMs({ headers: 90_000, firstContent: 'auto' }, STREAM), 90_000);
  assert.equal(headersLimitMs({ headers: 'auto', firstContent: 5_000 }, STREAM), 60_000);
  assert.equal(firstContentLimitMs({ headers: 5_000, firstContent: 'auto' }, STREAM), 60_000);
});

test('a configured duration applies as it is', () => {
  const configured = { headers: 5000, firstContent: 7000 };
  for (const call of [PLAIN, STREAM, { ...STREAM, usesReasoning: true, local: true }]) {
    assert.equal(headersLimitMs(configured, call), 5000);
    assert.equal(firstContentLimitMs(configured, call), 7000);
  }
});

test('while another target is untried, three fifths of the remaining time may be silent', () => {
  assert.equal(silenceShareMs(10_000), 6000);
});

test('a call is slow only after fifty responses of its kind, and never within ten seconds', () => {
  const record = new SilenceRecord();
  for (let i = 0; i < 49; i++) record.record(STREAM, 300);
  assert.equal(record.slowAfterMs(STREAM), Infinity);
  record.record(STREAM, 300);
  assert.equal(record.slowAfterMs(STREAM), 10_000);
  assert.equal(record.slowAfterMs({ ...STREAM, usesReasoning: true }), Infinity);
  assert.equal(record.slowAfterMs(PLAIN), Infinity);
});

test('slow is five times the usual latency of calls of that length', () => {
  const record = new SilenceRecord();
  for (let i = 0; i < 50; i++) record.record(PLAIN, 20_000);
  const limit = record.slowAfterMs({ ...PLAIN, outputBound: 900 });
  assert.ok(limit >= 100_000 && limit <= 110_000);
  assert.equal(record.slowAfterMs({ ...PLAIN, outputBound: 30_000 }), Infinity);
  assert.equal(record.slowAfterMs({ ...PLAIN, outputBound: null }), Infinity);
});

test('a quantile is known only after fifty responses of its kind', () => {
  const record = new SilenceRecord();
  for (let i = 1; i < 50; i++) record.record(STREAM, i * 10);
  assert.equal(record.quantileMs(STREAM, 0.95), null);
  record.record(STREAM, 500);
  const p95 = record.quantileMs(STREAM, 0.95)!;
  assert.ok(p95 >= 470 && p95 <= 550, `${p95}`);
  assert.equal(record.quantileMs(PLAIN, 0.95), null);
});

test('an unknown target is rescued after 20 s for a stream, and after 30 s plus the generation time for a non-streaming response', () => {
  const record = new SilenceRecord();
  assert.equal(record.rescueAfterMs(STREAM), 20_000);
  assert.equal(record.rescueAfterMs(PLAIN), 55_000);
  assert.equal(record.rescueAfterMs({ ...PLAIN, outputBound: null }), 30_000);
  for (const longer of [{ usesReasoning: true }, { local: true }, { unread: true }]) {
    assert.equal(record.rescueAfterMs({ ...STREAM, ...longer }), 60_000);
    assert.equal(record.rescueAfterMs({ ...PLAIN, ...longer }), 165_000);
  }
  assert.equal(record.rescueAfterMs({ ...STREAM, ownServer: true }), 20_000);
  assert.equal(record.rescueAfterMs({ ...STREAM, inputTokens: 30_000 }), 30_000);
});

test('from ten responses on three times the longest is enough, from fifty on the learned limit applies', () => {
  const record = new SilenceRecord();
  for (let i = 0; i < 9; i++) record.record(STREAM, 300);
  assert.equal(record.rescueAfterMs(STREAM), 20_000);
  record.record(STREAM, 3_000);
  assert.equal(record.rescueAfterMs(STREAM), 9_000);
  const quick = new SilenceRecord();
  for (let i = 0; i < 10; i++) quick.record(STREAM, 300);
  assert.equal(quick.rescueAfterMs(STREAM), 5_000);
  const slow = new SilenceRecord();
  for (let i = 0; i < 10; i++) slow.record(STREAM, 9_000);
  assert.equal(slow.rescueAfterMs(STREAM), 20_000, 'never longer than for an unknown target');
  for (let i = 0; i < 40; i++) quick.record(STREAM, 300);
  assert.equal(quick.rescueAfterMs(STREAM), 10_000);
});
