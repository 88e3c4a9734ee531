import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CsvReader } from './csv.ts';
import { RecentPace } from '../../jobs/recent-pace.ts';
import { PACE_WINDOW_MS, renderProgress, timeText } from './progress.ts';

test('a CSV file is parsed as RFC 4180 specifies, however it is split into chunks', () => {
  const text = 'id,text\r\n1,"a, ""b""\nc"\n\n2,\n3,"x"';
  const rows = [
    ['id', 'text'],
    ['1', 'a, "b"\nc'],
    ['2', ''],
    ['3', 'x'],
  ];
  for (let size = 1; size <= text.length; size++) {
    const reader = new CsvReader();
    const found: string[][] = [];
    for (let at = 0; at < text.length; at += size) found.push(...reader.read(text.slice(at, at + size)));
    found.push(...reader.end());
    assert.deepEqual(found, rows, `chunks of ${size}`);
  }
});

test('quotes within an unquoted CSV field are part of it', () => {
  const reader = new CsvReader();
  const rows = [...reader.read('6" pipe,say "hi"\n"a"b"c,""\n'), ...reader.end()];
  assert.deepEqual(rows, [['6" pipe', 'say "hi"'], ['ab"c', '']]); // prettier-ignore
});

const done = (done: number) => ({ done, total: 100 });
const counts = (completed: number, failed = 0, status = 'in_progress') => ({ status, total: 100, completed, failed });

test('the remaining time follows the recent rate', () => {
  const pace = new RecentPace(PACE_WINDOW_MS);
  assert.deepEqual(pace.note(done(0), 0), { perSecond: null, leftMs: null });
  assert.deepEqual(pace.note(done(20), 10_000), { perSecond: 2, leftMs: 40_000 });
  assert.equal(
    renderProgress(counts(20, 1), { perSecond: 2, leftMs: 40_000 }),
    '[#####-------------------] 21/100  21 %  2.0/s  1 failed  40 s left',
  );
  // After an hour without progress the first samples no longer count.
  for (let at = 20_000; at <= 80_000; at += 10_000) pace.note(done(20), at);
  const stalled = pace.note(done(20), 90_000);
  assert.deepEqual(stalled, { perSecond: 0, leftMs: null });
  assert.match(renderProgress(counts(20), stalled), /waiting: nothing has finished recently/);
  assert.equal(renderProgress({ ...counts(0), total: 0, status: 'validating' }, stalled), 'validating …');
  assert.match(renderProgress({ ...counts(20), waitingFor: 'waiting: no such model' }, stalled), /  waiting: no such model$/);
});

test('the last requests are expected no sooner than the current pause suggests', () => {
  const pace = new RecentPace(PACE_WINDOW_MS);
  pace.note(done(0), 0);
  pace.note(done(98), 10_000);
  assert.deepEqual(pace.note(done(98), 22_000), { perSecond: 98 / 22, leftMs: 12_000 });
});

test('on a narrow terminal the bar becomes shorter, and the facts stay', () => {
  const shown = (columns: number): string =>
    renderProgress({ ...counts(20, 1), costUsd: 0.012345 }, { perSecond: 2, leftMs: 40_000 }, columns);
  assert.equal(shown(80), '[#####-------------------] 21/100  21 %  2.0/s  $0.0123  1 failed  40 s left');
  assert.equal(shown(60), '[#-------] 21/100  21 %  2.0/s  $0.0123  1 failed  40 s left');
  assert.equal(shown(45), '21/100  2.0/s  $0.0123  1 failed  40 s left');
  assert.equal(shown(40), '21/100  2.0/s  1 failed  40 s left');
  assert.equal(shown(20), '21/100  40 s left');
  for (let columns = 1; columns < 90; columns++) assert.ok(shown(columns).length <= columns);
});

test('times are rounded for reading', () => {
  assert.deepEqual([400, 59_000, 90_000, 3_600_000, 5_400_000].map(timeText), ['1 s', '59 s', '2 min', '1 h 0 min', '1 h 30 min']);
});
