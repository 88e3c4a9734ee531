import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { loopLength } from './repetition.ts';

const here = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const lines = (count: number, line: (i: number) => string): string => Array.from({ length: count }, (_, i) => line(i)).join('\n');

const PROSE = `The keeper of the light had seen the clouds gather before noon. He climbed the hundred and twelve steps, wiped the glass with a
cloth that smelled of oil, and lit the lamp four hours early. Down in the harbour people noticed. The baker's son ran along the wall and counted the boats that
were still out: seven, then five, then two. By dusk the wind had turned and the sea stood grey and high against the stones. One boat
came in without a mast. Nobody spoke until the last one lay at anchor, and then everybody did, all at once, about the price of rope.`;

const CHINESE =
  '灯塔看守人在中午之前就看见乌云聚集。他爬上一百一十二级台阶，用一块带着油味的布擦拭玻璃，比平常早四个小时点亮了灯。港口里的人注意到了。面包师的儿子沿着石墙奔跑，数着还在海上的船：七条，五条，然后两条。黄昏时风向变了，灰色的海浪高高地拍打着石头。有一条船没有桅杆就进了港。直到最后一条船下锚，没有人说话，然后大家同时谈起了绳子的价钱。';
const JAPANESE =
  '灯台守は正午前に雲が集まるのを見た。百十二段の階段を上り、油の匂いのする布でガラスを拭き、いつもより四時間早く灯をともした。港の人々はそれに気づいた。パン屋の息子は堤防を走り、まだ沖にいる船を数えた。七隻、五隻、そして二隻。夕暮れには風が変わり、海は灰色に高く石に打ち寄せた。';

const HONEST: Readonly<Record<string, string>> = {
  'a short text': 'No.',
  nothing: '',
  prose: PROSE,
  'Chinese prose': CHINESE,
  'Japanese prose': JAPANESE,
  'our own code': here('src/policy/verdict.ts'),
  'more of our own code': here('src/transport/response-guard.ts'),
  'JSON with a regular form': here('breakwater.schema.json'),
  'a lock file': here('package-lock.json').slice(0, 20_000),
  'our own documents': here('docs/failures.md'),
  'a table of numbers': lines(
    200,
    (i) => `| 2026-${1 + (i % 12)}-${1 + (i % 28)} | ${(i * 7919) % 1000} | ${(i * 104_729) % 97} | ${i * i} |`,
  ),
  'a numbered list of one form': lines(300, (i) => `${i + 1}. Row ${i + 1} of the table is in order.`),
  'a table with an empty column': lines(120, (i) => `| item ${i} | | | |`),
  'a list of names': lines(
    150,
    (i) => `- ${['Anna', 'Bert', 'Carla', 'Dora', 'Emil'][i % 5]} ${['Ahorn', 'Birke', 'Ceder'][(i * 7) % 3]}, room ${i}`,
  ),
  'a CSV of flags': lines(200, (i) => `${i},${(i * 31) % 7 > 3},${(i * 17) % 5 > 2},${(i * 13) % 3 > 1}`),
  'a refrain, three times': `${PROSE}\n\n${Array.from({ length: 3 }, () => 'Row, row, row your boat, gently down the stream. Merrily, merrily, life is but a dream.').join('\n')}`,
  'a rule at the end': `${PROSE}\n${'-'.repeat(120)}`,
  'code that closes many braces': `${PROSE}\n${lines(12, (i) => `${'  '.repeat(12 - i)}}`)}`,
  'HTML rows': lines(60, (i) => `<tr><td>${i}</td><td>${(i * 37) % 11}</td></tr>`),
  'SQL inserts': lines(80, (i) => `INSERT INTO harbour (id, name, depth) VALUES (${i}, 'berth ${i}', ${(i * 13) % 40});`),
};

const LOOPS: Readonly<Record<string, string>> = {
  'a phrase': 'and then the storm came back '.repeat(40),
  'a phrase after prose': PROSE + ' It came back.'.repeat(60),
  'a phrase, cut inside': `${PROSE}${'and then the storm came back '.repeat(30)}and then the st`,
  'a word': `${PROSE} ${'no '.repeat(200)}`,
  'a letter': `Aa${'h'.repeat(600)}`,
  'a paragraph': `Well: ${`${PROSE}\n\n`.repeat(5)}`,
  'a Chinese sentence': CHINESE + '他看见了海。'.repeat(40),
  'a Japanese sentence': '風が変わった。'.repeat(30),
  'a table row': `| a | b |\n|---|---|\n${'| 0 | 0 |\n'.repeat(80)}`,
  'line ends of both kinds': Array.from({ length: 60 }, (_, i) => `The storm came back.${i % 2 ? '\r\n' : '\n'}`).join(''),
  'endless white space, as in JSON mode': `{"answer":${' \n'.repeat(400)}`,
  'two sentences in no order': Array.from({ length: 120 }, (_, i) =>
    (i * i * 7) % 5 > 2 ? 'I will try again. ' : 'Let me think about it. ',
  ).join(''),
};

describe('a normal text that was cut off is no loop', () => {
  for (const [name, text] of Object.entries(HONEST)) {
    test(name, () => assert.equal(loopLength(text), 0));
  }

  test('wherever it is cut', () => {
    const text = `${PROSE}\n${here('src/policy/verdict.ts')}`;
    for (let end = 200; end < text.length; end += 977) assert.equal(loopLength(text.slice(0, end)), 0, `cut at ${end}`);
  });
});

describe('a loop is found', () => {
  for (const [name, text] of Object.entries(LOOPS)) {
    test(name, () => assert.ok(loopLength(text) > 0));
  }
});

test('any fragment that is repeated often enough is a loop, whatever came before', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 5, maxLength: 60 }), fc.string({ maxLength: 200 }), (piece, before) => {
      assert.ok(loopLength(before + `${piece}.`.repeat(200)) > 0);
    }),
    { numRuns: 200 },
  );
});

test('words drawn at random are no loop', () => {
  const words = PROSE.split(/\s+/);
  fc.assert(
    fc.property(fc.array(fc.nat(words.length - 1), { minLength: 100, maxLength: 600 }), (drawn) => {
      fc.pre(new Set(drawn).size > 20);
      assert.equal(loopLength(drawn.map((i) => words[i]).join(' ')), 0);
    }),
    { numRuns: 100 },
  );
});

test('only the end of a huge text is examined', () => {
  const started = process.cpuUsage();
  assert.equal(loopLength(`${'x'.repeat(20_000_000)}\n${here('src/policy/verdict.ts').slice(0, 12_000)}`), 0);
  assert.ok(process.cpuUsage(started).user < 500_000);
});
