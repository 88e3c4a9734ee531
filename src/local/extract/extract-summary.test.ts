import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { extractSummary } from './extract-summary.ts';
import { SENTENCES_MAX, toSentences } from './sentences.ts';

const english = `The harbour of Rotterdam is the largest in Europe, and handles more than 400 million tonnes of cargo a year. In 2004 the
harbour lost its place as the largest of the world to Shanghai. Mr. Smith said that the harbour gives work to 180,000 people.
He likes fish. Most of the cargo of the harbour comes from Asia and America.

The weather was nice yesterday. A new terminal in the harbour, built in the sea for the largest ships, was opened in 2015.
Robots carry the cargo of the new terminal. A cat slept on a bench. The harbour plans the terminal to grow until 2030.`;

const german = `Der Hafen von Hamburg ist der größte Deutschlands. Im vergangenen Jahr wurden im Hafen acht Millionen Container
umgeschlagen. Dr. Müller nannte das ein gutes Jahr für den Hafen. Das Wetter war schön. Viele Container kommen aus China in den
Hafen. Ein Hund bellte laut. Die Stadt will die Elbe für größere Schiffe vertiefen. Umweltverbände klagen gegen die Vertiefung der Elbe.`;

const japanese =
  '東京湾には多くの港があります。横浜港は日本で最も有名な港の一つです。横浜港では毎年多くの貨物が扱われています。昨日は天気が良かったです。横浜港の貨物の多くはアジアから来ます。猫が寝ていました。横浜港は新しい施設を作っています。';

const textOf = (text: string, bytesMax?: number): string => extractSummary(text, bytesMax).sentences.join('');

test('a summary consists of the main sentences, in the order of the text', () => {
  for (const text of [english, german, japanese]) {
    const flat = text.replaceAll(/\s+/g, ' ');
    const { sentences, isCut } = extractSummary(text);
    const places = sentences.map((sentence) => flat.indexOf(sentence.trim()));
    assert.ok(sentences.length >= 2 && sentences.length <= 6, `${sentences.length}`);
    assert.ok(
      places.every((place) => place >= 0),
      sentences.join('|'),
    );
    assert.deepEqual(
      places,
      places.toSorted((a, b) => a - b),
    );
    assert.equal(isCut, false);
  }
  assert.match(textOf(english), /harbour/);
  assert.doesNotMatch(textOf(english), /cat slept|likes fish|weather/);
  assert.match(textOf(german), /Hafen/);
  assert.doesNotMatch(textOf(german), /Hund|Wetter/);
  assert.match(textOf(japanese), /横浜港/);
  assert.doesNotMatch(textOf(japanese), /猫|天気/);
});

test('an abbreviation does not end a sentence', () => {
  const texts = toSentences(`${english}\n\n${german}`).map(({ text }) => text);
  assert.ok(texts.some((text) => text.startsWith('Mr. Smith said')));
  assert.ok(texts.some((text) => text.startsWith('Dr. Müller nannte')));
});

test('a repeated sentence appears once', () => {
  const twice = 'The harbour of Rotterdam and its new terminal handle cargo of ships from Asia.';
  const summary = textOf(`${twice} ${english} ${twice}`);
  assert.equal(summary.split(twice).length, 2);
});

test('the output limit applies, and a truncated first sentence is reported as cut', () => {
  const short = extractSummary(english, 150);
  assert.ok(Buffer.byteLength(short.sentences.join('')) <= 150);
  assert.equal(short.isCut, false);
  const cut = extractSummary(japanese, 20);
  assert.ok(Buffer.byteLength(cut.sentences.join('')) <= 20);
  assert.equal(cut.isCut, true);
  assert.doesNotMatch(cut.sentences.join(''), /\uFFFD/);
});

test('a text of few sentences is returned unchanged', () => {
  assert.equal(textOf('Hello there.'), 'Hello there.');
  assert.equal(textOf('A tree fell on the old bridge. No one was hurt.'), 'A tree fell on the old bridge. No one was hurt.');
  assert.deepEqual(extractSummary('   ').sentences, []);
});

test('a summary is never longer than its text, and deterministic', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), fc.integer({ min: 1, max: 300 }), (text, bytesMax) => {
      const summary = textOf(text, bytesMax);
      assert.ok(Buffer.byteLength(summary) <= bytesMax);
      assert.equal(textOf(text, bytesMax), summary);
    }),
  );
});

test('work is bounded for a text of any length', () => {
  const long = Array.from({ length: 20_000 }, (_, i) => `Sentence number ${i} speaks of ship ${i % 97} and harbour ${i % 31}.`).join(' ');
  assert.equal(toSentences(long).length, SENTENCES_MAX);
  assert.ok(textOf(long).length < 2_000);
  assert.ok(textOf('word '.repeat(200_000)).length < 2_000);
  assert.ok(textOf('x'.repeat(1_000_000)).length < 2_000);
});
