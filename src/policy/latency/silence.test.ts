import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstContentLimitMs, headersLimitMs, SilenceRecord, silenceShareMs } from './silence.ts';
import type { CallKind } from './silence.ts';

const AUTO = { headers: 'auto', firstContent: 'auto' } as const;
const PLAIN: CallKind = { stream: false, thinks: false, local: false, outputBound: 1000 };
const STREAM: CallKind = { ...PLAIN, stream: true };

test('left to itself it waits a minute for a stream and five for what is known to be silent for long', () => {
  const limits = (call: CallKind): number[] => [headersLimitMs(AUTO, call), firstContentLimitMs(AUTO, call)];
  assert.deepEqual(limits(STREAM), [60_000, 60_000]);
  assert.deepEqual(limits({ ...STREAM, thinks: true }), [60_000, 300_000]);
  assert.deepEqual(limits({ ...STREAM, local: true }), [300_000, 300_000]);
  assert.deepEqual(limits(PLAIN), [300_000, 300_000]);
});

test('a configured duration is taken as it is', () => {
  const configured = { headers: 5000, firstContent: 7000 };
  for (const call of [PLAIN, STREAM, { ...STREAM, thinks: true, local: true }]) {
    assert.equal(headersLimitMs(configured, call), 5000);
    assert.equal(firstContentLimitMs(configured, call), 7000);
  }
});

test('while somebody else is untried, three fifths of what remains may be silent', () => {
  assert.equal(silenceShareMs(10_000), 6000);
});

test('slow is said only after fifty answers of that kind, and never below ten seconds', () => {
  const record = new SilenceRecord();
  for (let i = 0; i < 49; i++) record.record(STREAM, 300);
  assert.equal(record.slowAfterMs(STREAM), Infinity);
  record.record(STREAM, 300);
  assert.equal(record.slowAfterMs(STREAM), 10_000);
  assert.equal(record.slowAfterMs({ ...STREAM, thinks: true }), Infinity);
  assert.equal(record.slowAfterMs(PLAIN), Infinity);
});

test('slow is five times what the target takes for calls of that length', () => {
  const record = new SilenceRecord();
  for (let i = 0; i < 50; i++) record.record(PLAIN, 20_000);
  const limit = record.slowAfterMs({ ...PLAIN, outputBound: 900 });
  assert.ok(limit >= 100_000 && limit <= 110_000);
  assert.equal(record.slowAfterMs({ ...PLAIN, outputBound: 30_000 }), Infinity);
  assert.equal(record.slowAfterMs({ ...PLAIN, outputBound: null }), Infinity);
});

test('a quantile is told only after fifty answers of that kind', () => {
  const record = new SilenceRecord();
  for (let i = 1; i < 50; i++) record.record(STREAM, i * 10);
  assert.equal(record.quantileMs(STREAM, 0.95), null);
  record.record(STREAM, 500);
  const p95 = record.quantileMs(STREAM, 0.95)!;
  assert.ok(p95 >= 470 && p95 <= 550, `${p95}`);
  assert.equal(record.quantileMs(PLAIN, 0.95), null);
});
