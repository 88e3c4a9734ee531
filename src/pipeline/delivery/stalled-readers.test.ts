import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Permit } from '../../core/permit.ts';
import type { Need, Resource } from '../../core/resource.ts';
import { ConcurrencyLimiter } from '../../policy/concurrency-limiter/concurrency-limiter.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import { BEHIND_MAX_MS, STALLED_MAX_MS, STALLED_AGAIN_MAX_MS, StalledReaders } from './stalled-readers.ts';
import type { StalledReader } from './stalled-readers.ts';

const NEED: Need = { requests: 1, inputTokens: 0, outputTokens: 0 };
const LOOK_MS = 250;

function scene() {
  const clock = createManualClock();
  const waitedFor = new Set<Resource>();
  const readers = new StalledReaders(clock, (resource) => waitedFor.has(resource));
  const ended: string[] = [];
  const stall = (name: string, limit: Resource, client = 'one', hasMoved = () => false): StalledReader => {
    const permit = Permit.reserve(clock.now(), NEED, [limit]);
    const reader: StalledReader = {
      client,
      permit,
      hasMoved,
      interrupt() {
        ended.push(name);
        readers.remove(reader);
      },
    };
    readers.add(reader);
    return reader;
  };
  return { clock, waitedFor, readers, ended, stall };
}

test('a response that is not read is ended only for a request that waits for its place', () => {
  const { clock, waitedFor, ended, stall } = scene();
  const [wanted, other] = [new ConcurrencyLimiter('a', 2), new ConcurrencyLimiter('b', 2)];
  stall('other', other);
  stall('first', wanted);
  stall('second', wanted, 'two');
  waitedFor.add(wanted);
  clock.advance(STALLED_MAX_MS - 1);
  assert.deepEqual(ended, []);
  clock.advance(1);
  assert.deepEqual(ended, ['first'], 'one place at a time');
  clock.advance(LOOK_MS);
  assert.deepEqual(ended, ['first', 'second']);
  clock.advance(60_000);
  assert.deepEqual(ended, ['first', 'second']);
});

test('a second stalled response to the same client is ended sooner', () => {
  const { clock, waitedFor, ended, stall } = scene();
  const limit = new ConcurrencyLimiter('a', 9);
  waitedFor.add(limit);
  stall('first', limit);
  clock.advance(STALLED_MAX_MS);
  stall('again', limit);
  stall('of another', limit, 'two');
  clock.advance(STALLED_AGAIN_MAX_MS);
  assert.deepEqual(ended, ['first', 'again']);
  clock.advance(STALLED_MAX_MS - STALLED_AGAIN_MAX_MS);
  assert.deepEqual(ended, ['first', 'again', 'of another']);
  clock.advance(60_000);
  stall('much later', limit);
  clock.advance(STALLED_MAX_MS - 1);
  assert.equal(ended.length, 3);
});

test('a slow caller is tolerated, but not endlessly', () => {
  const { clock, waitedFor, ended, stall } = scene();
  const limit = new ConcurrencyLimiter('a', 1);
  waitedFor.add(limit);
  stall('drips', limit, 'one', () => true);
  clock.advance(BEHIND_MAX_MS - 1);
  assert.deepEqual(ended, []);
  clock.advance(1);
  assert.deepEqual(ended, ['drips']);
});

test('a caller that catches up is no longer watched, and no timer is left', () => {
  const { clock, waitedFor, readers, ended, stall } = scene();
  const limit = new ConcurrencyLimiter('a', 1);
  waitedFor.add(limit);
  const reader = stall('quick', limit);
  assert.equal(readers.holdsAny([limit]), true);
  readers.remove(reader);
  assert.equal(readers.holdsAny([limit]), false);
  clock.advance(STALLED_MAX_MS);
  assert.deepEqual([ended, clock.nextTimerAt], [[], undefined]);
});
