import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SecretMask } from '../../core/secrets/secret-mask.ts';
import { createChatStreamReader } from './stream-reader.ts';

const KEY = 'sk-proj-0123456789';
const mask = new SecretMask([KEY]);
const event = (delta: object, rest: object = {}): string =>
  `data: ${JSON.stringify({ id: 'c1', choices: [{ index: 0, delta, finish_reason: null }], ...rest })}\n\n`;

function reader(secrets: SecretMask): ReturnType<typeof createChatStreamReader> {
  return createChatStreamReader({ operation: 'chat', keepUsage: true, maxEventSize: 1024 * 1024, secrets: secrets.scan });
}

/** After how many events the reader reports a possible secret; the number of events where it reports none. */
function cleanEvents(events: readonly string[], size: number): number {
  const stream = reader(mask);
  const bytes = Buffer.from(events.join(''));
  for (let at = 0; at < bytes.length; at += size) {
    stream.push(bytes.subarray(at, at + size));
    if (stream.mayHoldSecret === true) return Math.floor(at / (bytes.length / events.length));
  }
  return events.length;
}

const words = Array.from({ length: 20 }, (_, i) => event({ content: `word ${i}` }));
const cases: readonly (readonly [string, string])[] = [
  ['the text of an event', event({ content: `is ${KEY}` })],
  ['the end of the text', event({ content: `is ${KEY.slice(0, 7)}` })],
  ['the text, without its first character', event({ content: KEY.slice(1) })],
  ['an escape in the text', event({ content: 'x' }).replace('"x"', '"\\u0073k-proj"')],
  ['random padding', event({ content: 'x' }, { obfuscation: KEY })],
  ['another member', event({ content: 'x' }, { id: KEY })],
  ['a comment', `: ${KEY}\n\n`],
];
for (const [where, holding] of cases) {
  test(`a secret in ${where} is reported, however the stream is cut`, () => {
    for (const size of [1, 7, 64, 1000, 1_000_000]) {
      for (const at of [0, 1, 10, 20]) {
        assert.ok(cleanEvents(words.toSpliced(at, 0, holding), size) <= words.length, `${size} ${at}`);
      }
    }
  });
}

test('a stream without secrets is not searched again', () => {
  for (const size of [1, 7, 64, 1000, 1_000_000]) assert.equal(cleanEvents(words, size), words.length);
  for (const text of ['sk-', 'a sk-projector', '"sk-" \\ é\n'])
    assert.equal(cleanEvents([event({ content: text }), ...words], 50), words.length + 1);
});

test('a stream is searched as a whole where a secret may extend beyond one string', () => {
  assert.equal(reader(new SecretMask(['pass"word-77'])).mayHoldSecret, true);
  assert.equal(reader(new SecretMask([])).mayHoldSecret, true);
});
