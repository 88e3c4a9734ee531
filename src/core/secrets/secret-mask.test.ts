import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteStreamMask, EventStreamMask, type StreamMask } from './mask-stream.ts';
import { SecretMask } from './secret-mask.ts';

const KEY = 'sk-live/verysecret+1';
const stars = (text: string): string => '*'.repeat(text.length);
const mask = new SecretMask([KEY, 'team-token-0001', 'short', '']);

test('a secret is replaced with as many asterisks, anywhere in the text', () => {
  assert.equal(mask.text(`${KEY} and "${KEY}"`), `${stars(KEY)} and "${stars(KEY)}"`);
  assert.equal(mask.text('x-team: team-token-0001'), `x-team: ${stars('team-token-0001')}`);
});

test('without a secret the same object is returned', () => {
  const bytes = Buffer.from('{"content":"sk-live is a prefix, \\u0073 an escape, short is short"}');
  assert.equal(mask.bytes(bytes), bytes);
  assert.equal(new SecretMask([]).bytes(bytes), bytes);
});

for (const [how, written] of [
  ['with escaped slashes', KEY.replace('/', '\\/')],
  ['in a URL', encodeURIComponent(KEY)],
  ['with one character as an escape', KEY.replace('+', '\\u002b')],
  ['with every character as an escape', KEY.replace(/./g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)],
  ['escaped twice', KEY.replace('+', '\\\\u002B')],
] as const) {
  test(`a secret is found ${how}`, () => {
    assert.equal(mask.text(`{"m":"it is ${written}."}`), `{"m":"it is ${stars(written)}."}`);
  });
}

test('a secret with quotes and backslashes is found in JSON', () => {
  const odd = 'p"ass\\word-77';
  const json = JSON.stringify({ message: `no ${odd}!` });
  assert.doesNotMatch(new SecretMask([odd]).text(json), /ass|word-77/);
  assert.doesNotMatch(new SecretMask([odd]).text(JSON.stringify({ raw: json })), /ass|word-77/);
});

test('a thousand secrets are found like one', () => {
  const keys = Array.from({ length: 1000 }, (_, i) => `client-key-${i}-${(i * 7919).toString(36)}`);
  const many = new SecretMask(keys);
  for (const key of keys) assert.equal(many.text(`a ${key} b`).replace(/\*+/, '*'), 'a * b');
});

const event = (content: string): string => `data: {"id":"c1","choices":[{"index":0,"delta":{"content":${JSON.stringify(content)}}}]}\n\n`;

function events(): EventStreamMask {
  return new EventStreamMask(mask, mask.scan!);
}

/** The output after each part and at the end. */
function through(stream: StreamMask, parts: readonly string[]): { byPart: number[]; text: string } {
  const out: string[] = [];
  const byPart = parts.map((part) => {
    const passed = stream.push(Buffer.from(part));
    out.push(...passed.map(String));
    return passed.length;
  });
  out.push(...stream.flush().map(String));
  return { byPart, text: out.join('') };
}

test('a secret split over two events at any place is masked, except for three characters at its start', () => {
  for (let cut = 1; cut < KEY.length; cut++) {
    const { text } = through(events(), [event(`so ${KEY.slice(0, cut)}`), event(`${KEY.slice(cut)} it is`), 'data: [DONE]\n\n']);
    const shown = cut <= 3 ? KEY.slice(0, cut) : stars(KEY.slice(0, cut));
    assert.equal(text, `${event(`so ${shown}`)}${event(`${stars(KEY.slice(cut))} it is`)}data: [DONE]\n\n`, `cut at ${cut}`);
  }
});

test('a secret split over many events, with others between, is masked', () => {
  const other = 'data: {"choices":[{"index":1,"delta":{"content":"something else"}}]}\n\n: keep-alive\n\n';
  const { text } = through(events(), [event('sk-li'), other, event('ve/very'), event('secret'), other, event('+1')]);
  assert.equal(text, `${event('*****')}${other}${event('*******')}${event('******')}${other}${event('**')}`);
});

test('a secret split over two events in one part is masked', () => {
  const { text } = through(events(), [event('sk-live/') + event('verysecret+1')]);
  assert.equal(text, event('********') + event('************'));
});

test('only an event that ends with the beginning of a secret is held back, for a few events at most', () => {
  const parts = [event('this'), event('a sk-l'), event('ine'), event('1'), event('2'), event('3'), event('4')];
  const { byPart, text } = through(events(), parts);
  assert.deepEqual(byPart, [1, 0, 0, 0, 0, 5, 1]);
  assert.equal(text, parts.join(''));
});

test('a partial secret at the end of the stream is mostly masked', () => {
  assert.equal(through(events(), [event('sk-live/verysec')]).text, event(stars('sk-live/verysec')));
  assert.equal(through(events(), [event('sk-li')]).text, event('sk-li'));
});

test('held events are bounded', () => {
  const big = event('x'.repeat(70_000));
  assert.deepEqual(through(events(), [event('sk-li'), big]).byPart, [0, 2]);
});

test('a part with a possible secret in every event is read once, not once per event', () => {
  const many = event('a sk-l').repeat(20_000);
  const startedAt = performance.now();
  const { byPart, text } = through(events(), [many, event('ive/verysecret+1'), event('more')]);
  assert.ok(performance.now() - startedAt < 2000);
  assert.deepEqual(byPart, [1, 1, 1]);
  assert.equal(text, many + event('ive/verysecret+1') + event('more'), 'passed on before the rest, since at most 64 KB are held');
});

test('several starts in one part are all masked when the rest follows', () => {
  const { text } = through(events(), [event('a sk-l') + event('b sk-l'), event('ive/verysecret+1')]);
  assert.equal(text, event('a ****') + event('b ****') + event(stars('ive/verysecret+1')));
});

test('secrets are masked for all part sizes', () => {
  const whole = `{"echo":"${KEY}","again":"${KEY}"}`;
  for (let size = 1; size < whole.length; size++) {
    const parts = whole.match(new RegExp(`.{1,${size}}`, 'gs'))!;
    assert.equal(through(new ByteStreamMask(mask), parts).text, whole.replaceAll(KEY, stars(KEY)), `parts of ${size}`);
  }
});

test('bytes that look like a secret at the end are passed on at the end', () => {
  const { byPart, text } = through(new ByteStreamMask(mask), ['all is', ' well, sk-li', 'ne']);
  assert.deepEqual(byPart, [1, 1, 1]);
  assert.equal(text, 'all is well, sk-line');
});

test('a search in one JSON string finds what a search in its bytes finds', () => {
  const insides = [
    '',
    'hello',
    'sk-',
    'sk-l',
    `${KEY}`,
    `a ${KEY} b`,
    `x ${KEY.slice(0, 9)}`,
    'sk-live is a word',
    KEY.slice(1),
    KEY.slice(3),
    KEY.slice(4),
  ];
  for (const inside of [...insides, '\\u0073k', 'é'.repeat(9), `é ${KEY.slice(0, 5)}`]) {
    const text = `"${Buffer.from(inside).toString('latin1')}"`;
    assert.equal(mask.scan!.touchesString(text, 0, text.length - 1), mask.scan!.touches(Buffer.from(text, 'latin1')), inside);
  }
});

test('a secret with a quote or a control character may extend beyond one JSON string', () => {
  assert.equal(mask.scan!.isWithinStrings, true);
  for (const odd of ['pass"word-77', 'pass\nword-77']) assert.equal(new SecretMask([odd]).scan!.isWithinStrings, false);
});

test('a short text that is free of secrets is found to be so', () => {
  for (const text of ['req_0123456789', `a${KEY.slice(0, 7)}b`]) assert.equal(mask.scan!.isFreeOf(text), true, text);
  for (const text of [KEY, `id ${KEY}`, 'caf\u00e9 with a secret', 'an \\u0073 escape', 'x'.repeat(300)])
    assert.equal(mask.scan!.isFreeOf(text), false, text);
});
