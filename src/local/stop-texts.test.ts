import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { StopTexts } from './stop-texts.ts';

test('a text ends before its first stop text, however it is split into chunks', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(word, { maxLength: 3 }), fc.array(word, { maxLength: 12 }), (stops, pieces) => {
      const texts = new StopTexts(stops);
      const written = pieces.map((piece) => texts.push(piece)).join('') + texts.end();
      const whole = pieces.join('');
      const ends = stops.map((stop) => whole.indexOf(stop)).filter((at) => at >= 0);
      if (ends.length === 0) assert.equal(written, whole);
      else {
        assert.ok(stops.some((stop) => whole.startsWith(written + stop)));
        assert.ok(texts.isMet);
      }
    }),
  );
});

test('only a possible prefix of a stop text is held back', () => {
  const texts = new StopTexts(['\n\n']);
  assert.equal(texts.push('one\n'), 'one');
  assert.equal(texts.push('two'), '\ntwo');
  assert.equal(texts.push('\n\nthree'), '');
  assert.equal(texts.isMet, true);
  assert.equal(texts.push('four'), '');
});
