import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteLog } from './byte-log.ts';
import { freshnessOf } from './freshness.ts';
import { RecentEntries } from './recent-entries.ts';

test('a response is fresh, then stale, then gone; a clock that was set back makes it no older', () => {
  const policy = { ttl: 100, staleIfError: 50 };
  const at = [-5, 0, 99, 100, 149, 150].map((ageMs) => freshnessOf(ageMs, policy));
  assert.deepEqual(at, ['fresh', 'fresh', 'fresh', 'stale', 'stale', 'gone']);
  assert.equal(freshnessOf(100, { ttl: 100, staleIfError: 0 }), 'gone');
});

test('the least recently used entry is dropped first, by number and by size', () => {
  const entries = new RecentEntries<string>(3, 100);
  for (const key of ['a', 'b', 'c']) entries.set(key, key, 30);
  entries.get('a');
  entries.set('d', 'd', 30);
  assert.deepEqual([entries.get('b'), entries.get('a'), entries.size, entries.bytes], [undefined, 'a', 3, 90]);
  entries.set('e', 'e', 80);
  assert.deepEqual([entries.size, entries.bytes, entries.get('e')], [1, 80, 'e']);
  assert.equal(entries.set('huge', 'h', 101), false);
  assert.equal(entries.get('e'), 'e', 'an entry that is too large evicts nothing');
  entries.resize(10);
  assert.deepEqual([entries.size, entries.bytes], [0, 0]);
});

const bytes = (text: string) => Buffer.from(text);

test('a byte log returns what was stored, the newest entry of a key', () => {
  const log = new ByteLog(10, 10_000);
  log.set('a', bytes('head '), bytes('body'));
  log.set('b', bytes(''), bytes(''));
  log.set('a', bytes('new '), bytes('one'));
  assert.equal(Buffer.from(log.get('a')!).toString(), 'new one');
  assert.equal(log.get('b')!.byteLength, 0);
  assert.equal(log.get('c'), null);
  log.delete('a');
  assert.deepEqual([log.get('a'), log.size], [null, 1]);
});

test('property: a byte log stays within its bounds, and drops the oldest entries first', () => {
  const write = fc.record({ key: fc.integer({ min: 0, max: 30 }), size: fc.integer({ min: 0, max: 700_000 }) });
  fc.assert(
    fc.property(fc.array(write, { maxLength: 60 }), (writes) => {
      const log = new ByteLog(12, 1_000_000);
      const written: string[] = [];
      for (const [i, { key, size }] of writes.entries()) {
        const name = `k${key}`;
        assert.equal(log.set(name, bytes(`${i} `), new Uint8Array(size)), true);
        const before = written.indexOf(name);
        if (before >= 0) written.splice(before, 1);
        written.push(name);
        assert.ok(log.bytes <= 1_000_000 && log.size <= 12);
        assert.ok(Buffer.from(log.get(name)!).toString('latin1').startsWith(`${i} `), 'the newest is there');
        const kept = written.map((each) => log.get(each) !== null);
        assert.equal(
          kept.lastIndexOf(false) < (kept.indexOf(true) < 0 ? Infinity : kept.indexOf(true)),
          true,
          'the oldest are dropped first',
        );
      }
    }),
    { numRuns: 60 },
  );
});
