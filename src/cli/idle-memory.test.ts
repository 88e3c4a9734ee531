import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../testing/manual-clock.ts';
import { releaseWhenIdle } from './idle-memory.ts';

const MB = 1024 * 1024;

function stage() {
  const clock = createManualClock();
  const state = { isBusy: false, requests: 0, bytes: 40 * MB, collections: 0 };
  const stop = releaseWhenIdle({
    clock,
    isBusy: () => state.isBusy,
    requests: () => state.requests,
    residentBytes: () => state.bytes,
    collect() {
      state.collections++;
      state.bytes = 20 * MB;
    },
  });
  return { clock, state, stop };
}

test('memory is returned once after the start', () => {
  const { clock, state } = stage();
  clock.advance(60_000);
  assert.equal(state.collections, 1);
});

test('nothing is collected while requests run, wait or keep coming', () => {
  const { clock, state } = stage();
  state.isBusy = true;
  clock.advance(10_000);
  state.isBusy = false;
  for (let i = 0; i < 20; i++) {
    state.requests++;
    clock.advance(2_000);
  }
  clock.advance(8_000);
  assert.equal(state.collections, 0);
  clock.advance(4_000);
  assert.equal(state.collections, 1);
});

test('memory is returned again after a load, and not for a little', () => {
  const { clock, state, stop } = stage();
  clock.advance(10_000);
  state.bytes = 25 * MB;
  clock.advance(10_000);
  assert.equal(state.collections, 1);
  state.bytes = 200 * MB;
  clock.advance(10_000);
  assert.equal(state.collections, 2);
  stop();
  state.bytes = 200 * MB;
  clock.advance(10_000);
  assert.equal(state.collections, 2);
});
