import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decideSplice, HELD_CHARS, HELD_CHARS_MAX, isContinuable } from './splice.ts';
import type { SpliceDecision } from './splice.ts';

const DELIVERED = 'A harbour protects ships from the waves of the open sea, and it gives them a place where goods can be loa';
const REST =
  'ded and unloaded. The oldest ones were natural bays, but people soon learned to build long walls of stone that keep the ' +
  'water calm. Today most large ports depend on cranes, railways and computers, which together move thousands of boxes each day.';

const decide = (delivered: string, next: string, isAll = true): SpliceDecision => decideSplice(delivered, next, isAll);
const outcome = (delivered: string, next: string): string => {
  const decision = decide(delivered, next);
  return decision.kind === 'refuse'
    ? decision.why
    : decision.kind === 'join'
      ? `joins as ${next.slice(decision.drop, decision.drop + 12)}`
      : 'waits';
};

describe('the new text is held back', () => {
  it('until there is enough of it, or it has ended', () => {
    assert.deepEqual(decide(DELIVERED, REST.slice(0, HELD_CHARS - 1), false), { kind: 'wait' });
    assert.deepEqual(decide(DELIVERED, REST.slice(0, HELD_CHARS), false), { kind: 'join', drop: 0 });
    assert.deepEqual(decide(DELIVERED, REST.slice(0, 60), true), { kind: 'join', drop: 0 });
  });

  it('for longer where it repeats the last words, so that the new part is as long', () => {
    const next = DELIVERED.slice(-80) + REST;
    assert.deepEqual(decide(DELIVERED, next.slice(0, HELD_CHARS + 79), false), { kind: 'wait' });
    assert.deepEqual(decide(DELIVERED, next.slice(0, HELD_CHARS + 80), false), { kind: 'join', drop: 80 });
  });

  it('for longer where code comes first, up to a limit', () => {
    const delivered = `${DELIVERED}ded:\n\n\`\`\`ts\n`;
    const code = Array.from({ length: 100 }, (_, i) => `  fields[${i}] = read(${i * 7}) ?? 0;\n`).join('');
    assert.deepEqual(decide(delivered, `\n${code}`.slice(0, HELD_CHARS_MAX - 1), false), { kind: 'wait' });
    assert.equal(decide(delivered, `\n${code}`.slice(0, HELD_CHARS_MAX), false).kind, 'join');
  });
});

const CODE = Array.from({ length: 8 }, (_, i) => `  fields[${i}] = read(${i * 7}) ?? 0;\n`).join('');

const JOINS: readonly (readonly [delivered: string, next: string, as: string])[] = [
  [DELIVERED, REST, 'ded and unlo'],
  [`${DELIVERED}ded `, ' and unloaded, which takes a day.', 'and unloaded'],
  [`${DELIVERED}ded`, ' and unloaded, which takes a day.', ' and unloade'],
  [`${DELIVERED}ded.\n\n`, '\n\nThe oldest ones were natural bays.', 'The oldest o'],
  [`${DELIVERED}ded.\n\n- one for the boats\n- `, ' another for all the people who come', 'another for '],
  [`${DELIVERED}ded at 12:`, '30 and at 18:45 by those who live there.', '30 and at 18'],
  [`${DELIVERED}ded, see https://a.test/x and <b>, see https://a.test/`, 'x and https://a.test/y for what they cost there.', 'x and https:'],
  [`${CODE}  const ropes = boats.map((boat) => {\n    const length = boat.length * 2;\n`, '\n    return { boat, length };\n  });\n', '    return {'],
  ['{"title": "A harbour for ships", "days": [1, 2', ', 3], "open": true}', ', 3], "open"'],
  ['{"title": "A harbour for ships and the', ' people who live there", "open": true}', ' people who '],
]; // prettier-ignore

const REFUSALS: readonly (readonly [why: string, delivered: string, next: string])[] = [
  ['starts_over', DELIVERED, DELIVERED + REST],
  ['starts_over', DELIVERED, 'A harbour shelters ships from the waves of the open sea, and it gives them a spot where goods can be loaded and unloaded.'],
  ['starts_over', `${DELIVERED}${REST} And so on`, ` ${REST.slice(19)}`],
  ['repeats', DELIVERED, `oa${REST}`],
  ['repeats', `${DELIVERED}ded`, ` loaded ${REST.slice(4)}`],
  ['repeats', `${DELIVERED}ded`, `… Can be loaded ${REST.slice(4)}`],
  ['repeats', `He said that it was far, far, far`, ' far, far, far away from the harbour.'],
  ['repeats', 'They laughed and laughed in the old harbour: ha ha ha ha ha', ' ha ha ha ha ha! And then they went home.'],
  ['preamble', DELIVERED, `Sure! Here is the rest: ${REST}`],
  ['preamble', DELIVERED, `"Natürlich, hier geht es weiter: ${REST}`],
  ['preamble', DELIVERED, `**Continuation**\n\n${REST}`],
  ['preamble', DELIVERED, `好的，以下是后续内容：${REST}`],
  ['preamble', DELIVERED, ` to continue from where I left off: ${REST}`],
  ['break', DELIVERED, 'Harbours of all kinds are found in each country that has a coast or a river.'],
  ['break', `${DELIVERED}ded`, '\n\nHarbours of all kinds are found in each country.'],
  ['break', `${DELIVERED}ded and the`, ' The whole thing is found in each country that has a coast.'],
  ['break', `${DELIVERED}ded.`, 'All kinds are found in each country that has a coast.'],
  ['break', DELIVERED, '## Harbours\n\nmany kinds are found in each country'],
  ['break', '{"title": "A harbour for ships", "days": [1, 2', '{"title": "A harbour of another kind"}'],
  ['break', '{"title": "A harbour for ships", "days": [1, 2', ', 3], "open"'],
  ['language', DELIVERED, 'den und die Boote, das ist nicht neu, und der Lotse wartet, bis die Einfahrt sicher ist.'],
  ['language', DELIVERED, '港口保护船只免受外海波浪的侵袭，并为它们提供装卸货物的地方。'],
  ['language', DELIVERED, 'den.'],
  ['nothing', DELIVERED, ' \n'],
  ['nothing', DELIVERED, DELIVERED.slice(-40)],
]; // prettier-ignore

describe('a text can be continued', () => {
  it('if it is long enough, and ends with a whole character', () => {
    assert.ok(isContinuable(DELIVERED));
    assert.ok(isContinuable(`${DELIVERED} 🌊`));
    assert.ok(!isContinuable('A harbour protects.     '));
    assert.ok(!isContinuable(`${DELIVERED} ${'🌊'[0]}`));
    assert.ok(!isContinuable(`${DELIVERED} \ufffd`));
  });
});

describe('a continuation joins, without the parts that were delivered before', () => {
  for (const [delivered, next, as] of JOINS) {
    it(`${JSON.stringify(delivered.slice(-20))} + ${JSON.stringify(next.slice(0, 20))}`, () =>
      assert.equal(outcome(delivered, next), `joins as ${as}`));
  }
});

describe('anything else is refused', () => {
  for (const [why, delivered, next] of REFUSALS) {
    it(`${why}: ${JSON.stringify(delivered.slice(-20))} + ${JSON.stringify(next.slice(0, 30))}`, () =>
      assert.equal(outcome(delivered, next), why));
  }
});

describe('wherever a text breaks', () => {
  const WHOLE = DELIVERED + REST;
  const place = fc.integer({ min: 60, max: WHOLE.length - 40 });

  it('its own rest joins without loss, or is refused', () => {
    fc.assert(
      fc.property(place, (at) => {
        const delivered = WHOLE.slice(0, at);
        const next = WHOLE.slice(delivered.trimEnd().length);
        const decision = decide(delivered, next);
        if (decision.kind === 'join') assert.equal(delivered + next.slice(decision.drop), WHOLE);
      }),
    );
  });

  it('a repeated tail of any length is dropped exactly, or refused', () => {
    fc.assert(
      fc.property(place, fc.integer({ min: 1, max: 200 }), (at, count) => {
        const delivered = WHOLE.slice(0, at);
        const sent = delivered.trimEnd();
        const next = sent.slice(-count) + WHOLE.slice(sent.length);
        const decision = decide(delivered, next);
        if (decision.kind === 'join') assert.equal(delivered + next.slice(decision.drop), WHOLE);
      }),
    );
  });

  it('no text makes it throw, and the dropped part is a prefix of it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), fc.string({ unit: 'binary', maxLength: 600 }), (delivered, next) => {
        const decision = decide(delivered, next);
        assert.ok(decision.kind !== 'join' || (decision.drop >= 0 && decision.drop <= next.length));
      }),
    );
  });
});

describe('a text that is one long run takes no longer than any other', () => {
  const count = 200_000;
  const sentence =
    ' and so it goes on, with more of a kind that nobody has heard in this place before; even the cat has turned away from it.';
  const next = sentence.repeat(3);
  const RUNS: Record<string, [delivered: string, next: string]> = {
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
  for (const [name, [delivered, more]] of Object.entries(RUNS)) {
    it(name, () => {
      const startedAt = performance.now();
      decide(`Here is what you asked for, in full: ${delivered}`, more, false);
      decide(delivered, more, true);
      // Quadratic time would take minutes here.
      assert.ok(performance.now() - startedAt < 10_000);
    });
  }
});
