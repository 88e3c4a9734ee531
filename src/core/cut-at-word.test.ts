import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cutAtWord } from './cut-at-word.ts';

test('a long text is cut at a word and marked', () => {
  assert.equal(cutAtWord('one two three', 13), 'one two three');
  assert.equal(cutAtWord('one two three four', 15), 'one two three…');
  assert.equal(cutAtWord('one two three four', 14), 'one two three…');
  assert.equal(cutAtWord('x'.repeat(20), 10), `${'x'.repeat(9)}…`);
  assert.equal(cutAtWord(`a ${'x'.repeat(20)}`, 10), `a ${'x'.repeat(7)}…`);
  for (let length = 1; length < 20; length++) {
    const cut = cutAtWord('ab \u{1F600}\u{1F600}\u{1F600} cd  efgh, ij', length);
    assert.ok(cut.length <= length && cut.isWellFormed(), cut);
  }
});
