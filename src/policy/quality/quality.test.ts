import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import type { AnswerChoice } from '../../core/quality.ts';
import { isAtLimit } from '../../core/finish-reason.ts';
import { QualityRules, usableLength } from './quality.ts';
import type { QualitySettings } from './quality.ts';

const nothing: QualitySettings = {
  rejectEmpty: true,
  rejectTruncated: false,
  rejectRefusal: false,
  rejectRepetition: false,
  minLength: 0,
  mustMatch: [],
  mustNotMatch: [],
};
const LOOP = 'and then the storm came back '.repeat(40);

const rules = (change: Partial<QualitySettings> = {}): QualityRules => new QualityRules({ ...nothing, ...change }, 'u');
const said = (text: string, change: Partial<AnswerChoice> = {}): AnswerChoice => ({
  text,
  refusal: '',
  reasoning: '',
  callArguments: '',
  callsTool: false,
  hasMedia: false,
  finishReason: 'stop',
  ...change,
});
const called = (callArguments: string, change: Partial<AnswerChoice> = {}) => said('', { callsTool: true, callArguments, ...change });

const cases: readonly (readonly [name: string, settings: Partial<QualitySettings>, choice: AnswerChoice, expected: string | null])[] = [
  ['any response, without checks', {}, said(LOOP, { finishReason: 'length' }), null],
  ['an empty response', {}, said(''), 'empty'],
  ['an empty response, where that is accepted', { rejectEmpty: false }, said(''), null],
  ['reasoning alone', {}, said('', { reasoning: 'hm' }), 'empty'],
  ['reasoning cut off by the limit', {}, said('', { reasoning: 'hm', finishReason: 'length' }), null],
  [
    'reasoning cut off by the limit, where that is rejected',
    { rejectTruncated: true },
    said('', { reasoning: 'hm', finishReason: 'length' }),
    'truncated',
  ],
  ['a tool call without content', {}, called('{}'), null],
  ['a refusal without content', {}, said('', { refusal: 'No.' }), null],
  ['audio without content', {}, said('', { hasMedia: true }), null],
  ['a response without content because of a filter', {}, said('', { finishReason: 'content_filter' }), null],
  ['a response that ended normally', { rejectTruncated: true }, said('Done.'), null],
  ['a response that ended at its limit', { rejectTruncated: true }, said('Not d', { finishReason: 'length' }), 'truncated'],
  ['the same as other providers report it', { rejectTruncated: true }, said('Not d', { finishReason: 'max_tokens' }), 'truncated'],
  ['a tool call that ended at its limit', { rejectTruncated: true }, called('{"a":', { finishReason: 'length' }), 'truncated'],
  ['a loop at the limit', { rejectRepetition: true }, said(LOOP, { finishReason: 'length' }), 'repetition'],
  ['a loop that ended normally', { rejectRepetition: true }, said(LOOP), null],
  ['a loop in the reasoning', { rejectRepetition: true }, said('', { reasoning: LOOP, finishReason: 'length' }), 'repetition'],
  ['a loop in the arguments of a tool', { rejectRepetition: true }, called(`{"a":"${LOOP}`, { finishReason: 'length' }), 'repetition'],
  [
    'a loop is the more serious failure',
    { rejectRepetition: true, rejectTruncated: true },
    said(LOOP, { finishReason: 'length' }),
    'repetition',
  ],
  ['a refusal in its field', { rejectRefusal: true }, said('', { refusal: 'No.' }), 'refused'],
  ['a refusal in the text', { rejectRefusal: true }, said("I'm sorry, I can't assist with that."), 'refused'],
  ['a response that was withheld', { rejectRefusal: true }, said('', { finishReason: 'content_filter' }), 'refused'],
  ['words of refusal beside a tool call', { rejectRefusal: true }, called('{}', { text: "I can't help with that." }), null],
  ['a short text', { minLength: 10 }, said('123456789'), 'short'],
  ['a text that is just long enough', { minLength: 10 }, said('1234567890'), null],
  ['white space around a text', { minLength: 10 }, said(`  12345 ${'\n'.repeat(20)}`), 'short'],
  ['characters of two code units', { minLength: 10 }, said('🌩'.repeat(9)), 'short'],
  ['enough of them', { minLength: 10 }, said('🌩'.repeat(10)), null],
  ['a tool call, which has no length', { minLength: 10 }, called('{}'), null],
  ['a picture, which has no length', { minLength: 10 }, said('', { hasMedia: true }), null],
  ['a text that matches', { mustMatch: ['^A', 'z$'] }, said('A to z'), null],
  ['a text that matches one of two', { mustMatch: ['^A', 'z$'] }, said('A to y'), 'mismatch'],
  ['a text that contains a forbidden pattern', { mustNotMatch: ['b', 'LOREM'] }, said('a LOREM'), 'mismatch'],
  ['a text without one', { mustNotMatch: ['b', 'LOREM'] }, said('a'), null],
  ['a text too long to be matched', { mustNotMatch: ['a'] }, said('a'.repeat(200_001)), null],
];

describe('a response is checked as the policy requires', () => {
  for (const [name, settings, choice, expected] of cases) {
    test(`${name}: ${expected ?? 'passes'}`, () => assert.equal(rules(settings).judge([choice]), expected));
  }

  test('one failing choice among several is enough', () => {
    assert.equal(rules({ minLength: 3 }).judge([said('long enough'), said('no')]), 'short');
    assert.equal(rules({ minLength: 3 }).judge([]), null);
  });
});

describe('a stream that has started', () => {
  test('is undecided until its text is long enough', () => {
    const five = rules({ minLength: 5 });
    assert.deepEqual(
      ['', '1234', '12345'].map((text) => five.isUndecided(text)),
      [true, true, false],
    );
    assert.equal(rules({ minLength: 1_000_000 }).isUndecided('x'.repeat(4_000)), false);
  });

  test('is undecided while it may be a refusal', () => {
    const noRefusal = rules({ rejectRefusal: true });
    assert.deepEqual(
      ['', "I'm s", "I'm sorry, but I can't", 'The harbour'].map((text) => noRefusal.isUndecided(text)),
      [true, true, true, false],
    );
  });

  test('is not held back where no check concerns its opening', () => {
    assert.equal(rules({ rejectTruncated: true, mustMatch: ['a'] }).checksOpenings, false);
    assert.equal(rules({ minLength: 1 }).checksOpenings, true);
  });

  test('is never undecided once it can be judged good (any text, any split)', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 400 }), fc.nat(60), (text, minLength) => {
        const both = rules({ rejectRefusal: true, minLength });
        const released = Array.from({ length: text.length + 1 }, (_, end) => text.slice(0, end)).find((begun) => !both.isUndecided(begun));
        // Text that was released is never found too short, or a refusal, in the end.
        if (released !== undefined) assert.equal(both.judge([said(text.trimEnd().length < text.length ? `${text}.` : text)]), null);
      }),
    );
  });
});

test('the reasons for which a response ended', () => {
  assert.deepEqual(['length', 'MAX_TOKENS', 'stop', null, 'tool_calls'].map(isAtLimit), [true, true, false, false, false]);
});

test('empty responses are accepted only where no check concerns their text', () => {
  assert.equal(rules({ rejectEmpty: false }).acceptsEmpty, true);
  assert.equal(rules({ rejectEmpty: false, minLength: 1 }).acceptsEmpty, false);
  assert.equal(rules().acceptsEmpty, false);
});

describe('the useful content of a failed response', () => {
  test('a text counts by its length', () => assert.equal(usableLength([said('12345')], 'short'), 5));
  test('a loop does not count', () => {
    const real = usableLength([said(`Once upon a time. ${LOOP}`, { finishReason: 'length' })], 'repetition');
    assert.ok(real < 100, String(real));
  });
  test('a refusal counts less than any other response, and more than an empty one', () => {
    assert.equal(usableLength([said('', { refusal: 'No, and for a long reason.' })], 'refused'), 1);
    assert.equal(usableLength([said('', { finishReason: 'content_filter' })], 'refused'), 0);
  });
});
