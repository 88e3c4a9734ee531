import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decideSplice, HELD_CHARS, HELD_CHARS_MAX, isContinuable } from './splice.ts';
import type { SpliceDecision } from './splice.ts';

const TOLD = 'A harbour protects ships from the waves of the open sea, and it gives them a place where goods can be loa';
const REST =
  'ded and unloaded. The oldest ones were natural bays, but people soon learned to build long walls of stone that keep the ' +
  'water calm. Today most large ports depend on cranes, railways and computers, which together move thousands of boxes each day.';

const decide = (told: string, next: string, isAll = true): SpliceDecision => decideSplice(told, next, isAll);
const outcome = (told: string, next: string): string => {
  const decision = decide(told, next);
  return decision.kind === 'refuse'
    ? decision.why
    : decision.kind === 'join'
      ? `joins as ${next.slice(decision.drop, decision.drop + 12)}`
      : 'waits';
};

describe('the new text is held back', () => {
  it('until there is enough of it, or it has ended', () => {
    assert.deepEqual(decide(TOLD, REST.slice(0, HELD_CHARS - 1), false), { kind: 'wait' });
    assert.deepEqual(decide(TOLD, REST.slice(0, HELD_CHARS), false), { kind: 'join', drop: 0 });
    assert.deepEqual(decide(TOLD, REST.slice(0, 60), true), { kind: 'join', drop: 0 });
  });

  it('for longer where it repeats the last words, so that what is new is as long', () => {
    const next = TOLD.slice(-80) + REST;
    assert.deepEqual(decide(TOLD, next.slice(0, HELD_CHARS + 79), false), { kind: 'wait' });
    assert.deepEqual(decide(TOLD, next.slice(0, HELD_CHARS + 80), false), { kind: 'join', drop: 80 });
  });

  it('for longer where code comes first, up to a limit', () => {
    const told = `${TOLD}ded:\n\n\`\`\`ts\n`;
    const code = Array.from({ length: 100 }, (_, i) => `  fields[${i}] = read(${i * 7}) ?? 0;\n`).join('');
    assert.deepEqual(decide(told, `\n${code}`.slice(0, HELD_CHARS_MAX - 1), false), { kind: 'wait' });
    assert.equal(decide(told, `\n${code}`.slice(0, HELD_CHARS_MAX), false).kind, 'join');
  });
});

const CODE = Array.from({ length: 8 }, (_, i) => `  fields[${i}] = read(${i * 7}) ?? 0;\n`).join('');

const JOINS: readonly (readonly [told: string, next: string, as: string])[] = [
  [TOLD, REST, 'ded and unlo'],
  [`${TOLD}ded `, ' and unloaded, which takes a day.', 'and unloaded'],
  [`${TOLD}ded`, ' and unloaded, which takes a day.', ' and unloade'],
  [`${TOLD}ded.\n\n`, '\n\nThe oldest ones were natural bays.', 'The oldest o'],
  [`${TOLD}ded.\n\n- one for the boats\n- `, ' another for all the people who come', 'another for '],
  [`${TOLD}ded at 12:`, '30 and at 18:45 by those who live there.', '30 and at 18'],
  [`${TOLD}ded, see https://a.test/x and <b>, see https://a.test/`, 'x and https://a.test/y for what they cost there.', 'x and https:'],
  [`${CODE}  const ropes = boats.map((boat) => {\n    const length = boat.length * 2;\n`, '\n    return { boat, length };\n  });\n', '    return {'],
  ['{"title": "A harbour for ships", "days": [1, 2', ', 3], "open": true}', ', 3], "open"'],
  ['{"title": "A harbour for ships and the', ' people who live there", "open": true}', ' people who '],
]; // prettier-ignore

const REFUSALS: readonly (readonly [why: string, told: string, next: string])[] = [
  ['starts_over', TOLD, TOLD + REST],
  ['starts_over', TOLD, 'A harbour shelters ships from the waves of the open sea, and it gives them a spot where goods can be loaded and unloaded.'],
  ['starts_over', `${TOLD}${REST} And so on`, ` ${REST.slice(19)}`],
  ['repeats', TOLD, `oa${REST}`],
  ['repeats', `${TOLD}ded`, ` loaded ${REST.slice(4)}`],
  ['repeats', `${TOLD}ded`, `… Can be loaded ${REST.slice(4)}`],
  ['repeats', `He said that it was far, far, far`, ' far, far, far away from the harbour.'],
  ['repeats', 'They laughed and laughed in the old harbour: ha ha ha ha ha', ' ha ha ha ha ha! And then they went home.'],
  ['preamble', TOLD, `Sure! Here is the rest: ${REST}`],
  ['preamble', TOLD, `"Natürlich, hier geht es weiter: ${REST}`],
  ['preamble', TOLD, `**Continuation**\n\n${REST}`],
  ['preamble', TOLD, `好的，以下是后续内容：${REST}`],
  ['preamble', TOLD, ` to continue from where I left off: ${REST}`],
  ['break', TOLD, 'Harbours of all kinds are found in each country that has a coast or a river.'],
  ['break', `${TOLD}ded`, '\n\nHarbours of all kinds are found in each country.'],
  ['break', `${TOLD}ded and the`, ' The whole thing is found in each country that has a coast.'],
  ['break', `${TOLD}ded.`, 'All kinds are found in each country that has a coast.'],
  ['break', TOLD, '## Harbours\n\nmany kinds are found in each country'],
  ['break', '{"title": "A harbour for ships", "days": [1, 2', '{"title": "A harbour of another kind"}'],
  ['break', '{"title": "A harbour for ships", "days": [1, 2', ', 3], "open"'],
  ['language', TOLD, 'den und die Boote, das ist nicht neu, und der Lotse wartet, bis die Einfahrt sicher ist.'],
  ['language', TOLD, '港口保护船只免受外海波浪的侵袭，并为它们提供装卸货物的地方。'],
  ['language', TOLD, 'den.'],
  ['nothing', TOLD, ' \n'],
  ['nothing', TOLD, TOLD.slice(-40)],
]; // prettier-ignore

describe('a text can be continued', () => {
  it('if there is enough of it, and its last character is whole', () => {
    assert.ok(isContinuable(TOLD));
    assert.ok(isContinuable(`${TOLD} 🌊`));
    assert.ok(!isContinuable('A harbour protects.     '));
    assert.ok(!isContinuable(`${TOLD} ${'🌊'[0]}`));
    assert.ok(!isContinuable(`${TOLD} \ufffd`));
  });
});

describe('a continuation joins, without what is there already', () => {
  for (const [told, next, as] of JOINS) {
    it(`${JSON.stringify(told.slice(-20))} + ${JSON.stringify(next.slice(0, 20))}`, () =>
      assert.equal(outcome(told, next), `joins as ${as}`));
  }
});

describe('anything else is refused', () => {
  for (const [why, told, next] of REFUSALS) {
    it(`${why}: ${JSON.stringify(told.slice(-20))} + ${JSON.stringify(next.slice(0, 30))}`, () => assert.equal(outcome(told, next), why));
  }
});

describe('wherever a text breaks', () => {
  const WHOLE = TOLD + REST;
  const place = fc.integer({ min: 60, max: WHOLE.length - 40 });

  it('its own rest joins without loss, or is refused', () => {
    fc.assert(
      fc.property(place, (at) => {
        const told = WHOLE.slice(0, at);
        const next = WHOLE.slice(told.trimEnd().length);
        const decision = decide(told, next);
        if (decision.kind === 'join') assert.equal(told + next.slice(decision.drop), WHOLE);
      }),
    );
  });

  it('a repeated tail of any length is dropped to the letter, or refused', () => {
    fc.assert(
      fc.property(place, fc.integer({ min: 1, max: 200 }), (at, count) => {
        const told = WHOLE.slice(0, at);
        const sent = told.trimEnd();
        const next = sent.slice(-count) + WHOLE.slice(sent.length);
        const decision = decide(told, next);
        if (decision.kind === 'join') assert.equal(told + next.slice(decision.drop), WHOLE);
      }),
    );
  });

  it('no text of any kind makes it throw, and what is dropped is a beginning of it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), fc.string({ unit: 'binary', maxLength: 600 }), (told, next) => {
        const decision = decide(told, next);
        assert.ok(decision.kind !== 'join' || (decision.drop >= 0 && decision.drop <= next.length));
      }),
    );
  });
});

describe('a text that is one long run is judged as fast as any other', () => {
  const count = 200_000;
  const sentence =
    ' and so it goes on, with more of a kind that nobody has heard in this place before; even the cat has turned away from it.';
  const next = sentence.repeat(3);
  const RUNS: Record<string, [told: string, next: string]> = {
    'capitals, and a small letter': ['ACGT'.repeat(count / 4) + 'x', `B${next}`],
    'letters, and a full stop': [`${'a'.repeat(count)}.`, `b${next}`],
    'base64': [`data:image/png;base64,${'q83vEjRW/+'.repeat(count / 10)}.`, `b${next}`],
    'paths': [`${'a.b/'.repeat(count / 4)}x`, `y${next}`],
    'at signs, tags and quotes': [`${'@'.repeat(count / 4)} ${'<'.repeat(count / 4)} ${'."'.repeat(count / 8)}x`, `y${next}`],
    'white space': [`x${' '.repeat(count / 2)}${'\n'.repeat(count / 2)}y`, next],
    'accents': [`${'\u0301'.repeat(count)}.`, next],
    'fences and backticks': [`x${'\n~~~'.repeat(count / 8)}${'`'.repeat(count / 2)}y`, next],
    'one ideograph': ['哈'.repeat(count), '明天的天气怎么样呢'.repeat(40)],
    'digits in JSON': [`{"a":${'1'.repeat(count)}`, '1'.repeat(600)],
  }; // prettier-ignore
  for (const [name, [told, more]] of Object.entries(RUNS)) {
    it(name, () => {
      const startedAt = performance.now();
      decide(`Here is what you asked for, in full: ${told}`, more, false);
      decide(told, more, true);
      // What is quadratic takes minutes here.
      assert.ok(performance.now() - startedAt < 10_000);
    });
  }
});
