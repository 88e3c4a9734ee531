import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatDuration, formatSize, parseDuration, parseNumber, parseSize } from './units.ts';

test('durations are parsed in every unit, including fractions', () => {
  const cases: [string, number][] = [
    ['250ms', 250],
    ['30s', 30_000],
    ['1.5s', 1500],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['1d', 86_400_000],
    [' 2s ', 2000],
  ];
  for (const [text, ms] of cases) assert.equal(parseDuration(text), ms, text);
});

test('an invalid duration is refused, not guessed', () => {
  for (const text of ['', '30', 's', '30 s', '-1s', '1h30m', '1e3s', '30S', '1w', 'Infinitys'])
    assert.equal(parseDuration(text), null, text);
});

test('sizes are parsed in powers of 1024, in any case', () => {
  const cases: [string, number][] = [
    ['512b', 512],
    ['16kb', 16_384],
    ['64MB', 67_108_864],
    ['1Gb', 1_073_741_824],
    ['0.5kb', 512],
  ];
  for (const [text, bytes] of cases) assert.equal(parseSize(text), bytes, text);
  for (const text of ['', '64', '64mib', '-1kb', 'mb']) assert.equal(parseSize(text), null, text);
});

test('a text is parsed as a number only as a whole', () => {
  assert.equal(parseNumber(' 8080 '), 8080);
  assert.equal(parseNumber('0.25'), 0.25);
  for (const text of ['', '0x10', '1,000', '8080a', 'NaN', 'Infinity']) assert.equal(parseNumber(text), null, text);
});

test('a formatted duration or size parses to the same value', () => {
  fc.assert(
    fc.property(fc.nat(), (value) => {
      assert.equal(parseDuration(formatDuration(value)), value);
      assert.equal(parseSize(formatSize(value)), value);
    }),
  );
  assert.equal(formatDuration(60_000), '1m');
  assert.equal(formatDuration(1500), '1500ms');
  assert.equal(formatSize(67_108_864), '64mb');
});
