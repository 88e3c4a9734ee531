import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock } from '../../testing/manual-clock.ts';
import { sectionOf } from './aws-profile.ts';
import { googleKeyFault } from './google.ts';
import { RenewedValue } from './renewed-value.ts';

const MINUTE = 60_000;

/** Each load is resolved or rejected by the test. */
function setUp() {
  const clock = createManualClock();
  const loads: { readonly end: (value: string, forMs: number) => void; readonly fail: (error: Error) => void }[] = [];
  const troubles: string[] = [];
  const renewed = new RenewedValue<string>({
    clock,
    load: () =>
      new Promise((resolve, reject) => {
        loads.push({ end: (value, forMs) => resolve({ value, forMs }), fail: reject });
      }),
    onTrouble: ({ message }) => troubles.push(message),
  });
  const heard: (string | null)[] = [];
  const wait = (): (() => void) => renewed.whenReady((error) => heard.push(error?.message ?? null));
  return { clock, loads, troubles, renewed, heard, wait };
}

test('one load serves all waiters; a cancelled waiter is not called', async () => {
  const { clock, loads, renewed, heard, wait } = setUp();
  wait();
  wait()();
  wait();
  assert.equal(loads.length, 1);
  loads[0]!.end('a', MINUTE);
  await clock.advanceAsync(0);
  assert.deepEqual([heard, renewed.get()], [[null, null], 'a']);
});

test('a value is renewed before it expires, a short-lived one at half of its lifetime, and never used after that', async () => {
  const { clock, loads, renewed } = setUp();
  renewed.load();
  loads[0]!.end('a', 20 * MINUTE);
  await clock.advanceAsync(15 * MINUTE - 1);
  assert.equal(loads.length, 1);
  await clock.advanceAsync(1);
  assert.equal(loads.length, 2);
  await clock.advanceAsync(5 * MINUTE - 10_001);
  assert.equal(renewed.get(), 'a');
  await clock.advanceAsync(1);
  assert.equal(renewed.get(), null);
  loads[1]!.end('b', 2000);
  await clock.advanceAsync(999);
  assert.deepEqual([renewed.get(), loads.length], ['b', 2]);
  await clock.advanceAsync(1);
  assert.deepEqual([renewed.get(), loads.length], [null, 3]);
});

test('a failed load is retried after growing pauses, reported once, and returned to waiters at once meanwhile', async () => {
  const { clock, loads, troubles, heard, wait } = setUp();
  wait();
  const pauses: number[] = [];
  for (let i = 0; i < 11; i++) {
    loads[i]!.fail(new Error(`down ${i}`));
    await clock.advanceAsync(0);
    const failedAt = clock.now();
    wait();
    await clock.advanceAsync(0);
    assert.equal(heard.at(-1), `down ${i}`);
    assert.equal(loads.length, i + 1, 'no load during the pause');
    await clock.runUntil(() => loads.length > i + 1, clock.now() + 10 * MINUTE);
    pauses.push(clock.now() - failedAt);
  }
  assert.deepEqual(pauses, [250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  assert.deepEqual(troubles, ['down 0']);
});

test('a rejected value is renewed once; a stale rejection, or another soon after, has no effect', async () => {
  const { clock, loads, renewed } = setUp();
  renewed.load();
  loads[0]!.end('a', 60 * MINUTE);
  await clock.advanceAsync(0);
  assert.equal(renewed.refuse('a'), true);
  assert.deepEqual([renewed.get(), loads.length], [null, 2]);
  assert.equal(renewed.refuse('a'), true);
  loads[1]!.end('b', 60 * MINUTE);
  await clock.advanceAsync(0);
  assert.equal(renewed.refuse('a'), true);
  assert.equal(renewed.refuse('b'), false);
  assert.deepEqual([renewed.get(), loads.length], ['b', 2]);
  await clock.advanceAsync(10_000);
  assert.equal(renewed.refuse('b'), true);
  assert.equal(loads.length, 3);
});

test('after close nothing is loaded, and every wait ends', async () => {
  const { clock, loads, renewed, heard, wait } = setUp();
  wait();
  renewed.close();
  wait();
  await clock.advanceAsync(0);
  assert.equal(heard.length, 2);
  assert.ok(heard.every((message) => message !== null));
  loads[0]!.end('a', MINUTE);
  await clock.advanceAsync(60 * MINUTE);
  assert.deepEqual([loads.length, renewed.get(), clock.pendingTimers], [1, null, 0]);
});

test('a section of a shared file has only its own settings, in all notations', () => {
  const file =
    '[default]\nregion=a\n\n[ profile dev ]\r\n  # note\nAWS_Access_Key_Id= X \nnested =\n  inner = y\naws_secret_access_key=a=b/c+d # note\n[other]\nz=1\n';
  assert.deepEqual(sectionOf(file, 'profile dev'), { aws_access_key_id: 'X', nested: '', aws_secret_access_key: 'a=b/c+d' });
  assert.deepEqual([sectionOf(file, 'default'), sectionOf(file, 'none')], [{ region: 'a' }, {}]);
});

test('faults of a Google key are described without its secrets', () => {
  const key = { type: 'service_account', client_email: 'e', private_key: 'very-secret' };
  assert.equal(googleKeyFault(JSON.stringify(key)), null);
  for (const [text, fault] of [
    ['very-secret', 'is not JSON'],
    ['["very-secret"]', 'is not a JSON object'],
    [
      JSON.stringify({ ...key, type: 'external_account' }),
      'has the type "external_account"; supported types: service_account and authorized_user',
    ],
    [JSON.stringify({ ...key, client_email: '' }), 'lacks client_email'],
    [JSON.stringify({ ...key, token_uri: 'very-secret' }), 'has a token_uri that is not a URL'],
  ] as const)
    assert.equal(googleKeyFault(text), fault);
});
