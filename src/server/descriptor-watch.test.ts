import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../testing/manual-clock.ts';
import { DescriptorWatch } from './descriptor-watch.ts';

function scene() {
  const clock = createManualClock();
  const warnings: string[] = [];
  const state = { code: '', probes: 0 };
  const watch = new DescriptorWatch(
    clock,
    (message) => warnings.push(message),
    () => {
      state.probes++;
      if (state.code !== '') throw Object.assign(new Error(state.code), { code: state.code });
    },
  );
  return { clock, warnings, state, watch };
}

for (const code of ['EMFILE', 'ENFILE']) {
  test(`${code} is reported with the remedy, at most every half minute, and so is its end`, () => {
    const { clock, warnings, state } = scene();
    clock.advance(5_000);
    assert.deepEqual(warnings, []);
    state.code = code;
    clock.advance(20_000);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, new RegExp(`${code}.*ulimit -n`));
    clock.advance(30_000);
    assert.equal(warnings.length, 2);
    state.code = '';
    clock.advance(5_000);
    assert.deepEqual(warnings.slice(2), ['file descriptors are available again: new connections are accepted']);
  });
}

test('exhaustion is detected on new connections, with a probe at most every tenth of a second', () => {
  const { clock, warnings, state, watch } = scene();
  state.code = 'EMFILE';
  for (let i = 0; i < 1000; i++) watch.noteConnection();
  assert.deepEqual([state.probes, warnings.length], [1, 1]);
  clock.advance(100);
  watch.noteConnection();
  assert.equal(state.probes, 2);
});

test('other errors of a probe are ignored; those of accepting are reported', () => {
  const { clock, warnings, state, watch } = scene();
  state.code = 'ENOENT';
  clock.advance(5_000);
  assert.deepEqual(warnings, []);
  watch.noteError(Object.assign(new Error('accept ECONNABORTED'), { code: 'ECONNABORTED' }));
  assert.match(warnings[0]!, /could not be accepted: accept ECONNABORTED/);
});

test('after close there are no probes', () => {
  const { clock, state, watch } = scene();
  watch.close();
  clock.advance(10_000);
  assert.deepEqual([state.probes, clock.nextTimerAt], [0, undefined]);
});
