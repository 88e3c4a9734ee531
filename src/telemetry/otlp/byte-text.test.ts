import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteText } from './byte-text.ts';
import { NAMES } from './names.ts';

const valuesIn = (out: ByteText): unknown => JSON.parse(`[{}${out.bytes.toString()}]`);

test('texts of any characters and numbers of any size are the JSON attributes of their names, in a buffer that grows', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.string({ unit: 'binary', maxLength: 300 }), fc.double({ noNaN: true, noDefaultInfinity: true })), {
        maxLength: 10,
      }),
      (pairs) => {
        const out = new ByteText(0);
        for (const [text, value] of pairs) out.text('error', text).number('costUsd', value);
        const expected = pairs.flatMap(([text, value]) => [
          { key: NAMES.error, value: { stringValue: text.toWellFormed() } },
          { key: NAMES.costUsd, value: Number.isInteger(value) ? { intValue: value + 0 } : { doubleValue: value } },
        ]);
        assert.deepEqual(JSON.parse(JSON.stringify(valuesIn(out))), JSON.parse(JSON.stringify([{}, ...expected])));
      },
    ),
    { numRuns: 30 },
  );
});

test('a missing value is no attribute', () => {
  assert.deepEqual(valuesIn(new ByteText(10).text('error', null).number('costUsd', null).number('costUsd', undefined)), [{}]);
});

test('digits are padded with zeros, and long texts are written whole', () => {
  const text = 'a'.repeat(5_000);
  assert.equal(new ByteText(1).digits(42, 6).ascii(text).ascii('.').bytes.toString(), `000042${text}.`);
});
