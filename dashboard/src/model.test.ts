import assert from 'node:assert/strict';
import { test } from 'node:test';
import { POINT_COLUMNS as sent, POINT_MS as sentMs, POINTS_MAX as keptThere } from '../../src/telemetry/feed-frames.ts';
import { emptyModel, applyFrame, type Model } from './model.ts';
import { POINT_COLUMNS, POINT_MS, POINTS_MAX } from './points.ts';
import { notice, point, request, stateWith } from './sample-state.ts';

test('the columns of the points match those of the gateway', () => {
  assert.deepEqual(POINT_COLUMNS, sent);
  assert.deepEqual([POINT_MS, POINTS_MAX], [sentMs, keptThere]);
});

const hello = (change: object = {}) =>
  ({ type: 'hello', data: { resumed: false, state: stateWith(), points: [], notices: [], requests: [], ...change } }) as const;
const tick = (change: object = {}) =>
  ({
    type: 'tick',
    data: { state: stateWith(), points: [], notices: [], requests: [], finished: 0, unshownNotices: 0, ...change },
  }) as const;

function modelAfter(...frames: Parameters<typeof applyFrame>[1][]): Model {
  return frames.reduce(applyFrame, emptyModel);
}

test('ticks extend the first frame, newest first', () => {
  const model = modelAfter(
    hello({ points: [point({ at: 5_000 })], requests: [request({ id: 'a' })], notices: [notice({ text: 'one' })] }),
    tick({
      points: [point({ at: 10_000 })],
      requests: [request({ id: 'b' }), request({ id: 'c' })],
      notices: [notice({ text: 'two' })],
      finished: 40,
    }),
  );
  assert.deepEqual(
    model.requests.map(({ id }) => id),
    ['c', 'b', 'a'],
  );
  assert.deepEqual(
    model.notices.map(({ text }) => text),
    ['two', 'one'],
  );
  assert.equal(model.points.length, 2);
  assert.equal(model.finished, 41);
});

test('after a reconnect missed entries are added; a restarted gateway replaces everything', () => {
  const before = hello({ points: [point({ at: 5_000 })], requests: [request({ id: 'a' })] });
  const resumed = modelAfter(before, hello({ resumed: true, points: [point({ at: 10_000 })], requests: [request({ id: 'b' })] }));
  assert.equal(resumed.points.length, 2);
  assert.equal(resumed.requests.length, 2);
  const anew = modelAfter(before, hello({ points: [point({ at: 20_000 })] }));
  assert.equal(anew.points.length, 1);
  assert.deepEqual(anew.requests, []);
});

test('a frame that repeats points and requests adds no duplicates', () => {
  const frame = { points: [point({ at: 5_000 }), point({ at: 10_000 })], requests: [request({ id: 'a' })] };
  const model = modelAfter(hello(frame), hello({ ...frame, resumed: true }));
  assert.equal(model.points.length, 2);
  assert.equal(model.requests.length, 1);
});

test('the model stays bounded for any input', () => {
  let model = modelAfter(hello());
  for (let i = 0; i < 2_000; i++) {
    const at = i * POINT_MS;
    model = applyFrame(
      model,
      tick({ points: [point({ at })], notices: [notice({ at })], requests: [request({ id: `r${i}` })], finished: 1_000 }),
    );
  }
  assert.deepEqual([model.points.length, model.notices.length, model.requests.length], [POINTS_MAX, 100, 500]);
  assert.equal(model.finished, 2_000_000);
});

test('omitted notices are shown as a count', () => {
  const model = modelAfter(hello(), tick({ unshownNotices: 35 }));
  assert.match(model.notices[0]!.text, /^35 further notices/);
});
