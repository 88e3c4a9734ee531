import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { JSON_DEPTH_MAX, scanObject } from './json-scan.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

function parses(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** The scan agrees with JSON.parse: the same verdict, and each span parses to the member's value (the last one wins). */
function assertAgrees(text: string): void {
  const bytes = encode(text);
  const scan = scanObject(bytes);
  const expected = parses(text);
  assert.equal(scan.ok, expected !== null, text);
  if (!scan.ok || expected === null) return;
  const entries = scan.members.map((member) => [member.name, JSON.parse(Buffer.from(bytes.subarray(member.start, member.end)).toString())]);
  assert.deepEqual(Object.fromEntries(entries), expected);
  for (const member of scan.members) assert.equal(bytes[member.keyStart], 0x22);
}

test('finds the top-level members with their positions', () => {
  const text = ' { "model" : "gpt" , "messages":[{"a":"}"}],"n":1}\n';
  const scan = scanObject(encode(text));
  assert.ok(scan.ok);
  const found = scan.members.map((m) => [m.name, text.slice(m.keyStart, m.keyStart + 3), text.slice(m.start, m.end)]);
  assert.deepEqual(found, [
    ['model', '"mo', '"gpt"'],
    ['messages', '"me', '[{"a":"}"}]'],
    ['n', '"n"', '1'],
  ]);
});

test('unescapes names and keeps unknown and non-ASCII ones', () => {
  const scan = scanObject(encode('{"mod\\u0065l":1,"größe":2,"":3,"x_unknown":4}'));
  assert.ok(scan.ok);
  assert.deepEqual(
    scan.members.map((m) => m.name),
    ['model', 'größe', '', 'x_unknown'],
  );
});

test('tolerates a byte order mark and white space around the object', () => {
  assert.ok(scanObject(encode('\ufeff\r\n\n {"a":1}\t\n')).ok);
  assert.ok(!scanObject(encode('{"a":1} x')).ok);
});

test('refuses invalid UTF-8 anywhere', () => {
  for (const bad of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0xaf]]) {
    assert.ok(!scanObject(Buffer.concat([Buffer.from('{"a":"'), Buffer.from(bad), Buffer.from('"}')])).ok);
  }
});

test('reports where the text stops being JSON', () => {
  assert.deepEqual(scanObject(encode('{"a":tru}')), { ok: false, at: 8, message: 'not valid JSON at byte 8' });
  assert.deepEqual(scanObject(encode('{"a":1')), { ok: false, at: 6, message: 'not complete JSON' });
  assert.deepEqual(scanObject(encode('[1]')), { ok: false, at: 0, message: 'not a JSON object' });
  assert.deepEqual(scanObject(encode(' ')), { ok: false, at: 1, message: 'empty' });
});

test(`accepts ${JSON_DEPTH_MAX} levels and not one more`, () => {
  const nested = (levels: number): Uint8Array => encode(`{"a":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`);
  assert.ok(scanObject(nested(JSON_DEPTH_MAX)).ok);
  assert.ok(!scanObject(nested(JSON_DEPTH_MAX + 1)).ok);
});

const awkward = [
  '{}', '{ }', '{"a":-0}', '{"a":01}', '{"a":1.}', '{"a":.5}', '{"a":1e5}', '{"a":1E+05}', '{"a":1e}', '{"a":-}', '{"a":+1}', '{"a":1,}',
  '{,}', '{"a"}', '{"a":}', '{"a":[1,]}', '{"a":[,1]}', '{"a":[1 2]}', '{"a":{"b":1]}', '{"a":[1}', '{"a":nul}', '{"a":nulll}', '{"a":NaN}',
  '{"a":"\t"}', '{"a":"\u0000"}', '{"a":"\u007f\u2028"}', '{"a":"\\x"}', '{"a":"\\u12g4"}', '{"a":"\\ud800"}', '{"a":"\\', '{"a":"\\u12',
  "{'a':1}", '{a:1}', '{"a":1}{"b":2}', '{"a":1}\u00a0', '\u000b{"a":1}', '{"a":1} ', '{"__proto":1}', '{"a":1,"a":2}', '{"a":1 "b":2}', '{"a"1}',
  '{"a":true,"b":false,"c":null}', '{"a":tRue}', '{"a":1.5e-7}', '{"a":1e5.5}', '{"a":--1}', '{"a":0x1}', '{"a":"b"c}', '"a"', 'null', '1', '',
]; // prettier-ignore

test('agrees with JSON.parse on unusual texts', () => {
  for (const text of awkward) assertAgrees(text);
});

test('agrees with JSON.parse on every prefix and every changed byte of a body', () => {
  const body =
    '{"model":"a/b","messages":[{"role":"user","content":"grüß \\"dich\\" \\u00e9\\n and a tail long enough to be read by words"}],"n":-1.5e+3,"t":true}';
  for (let i = 0; i < body.length; i++) {
    assertAgrees(body.slice(0, i));
    for (const c of ['"', '\\', '\n', '{', ']', ',', '0', 'x', ' ']) assertAgrees(body.slice(0, i) + c + body.slice(i + 1));
  }
});

test('agrees with JSON.parse on generated objects, intact and damaged', () => {
  const spaces = fc.constantFrom('', ' ', '\n', '\t');
  fc.assert(
    fc.property(
      fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue()),
      spaces,
      fc.nat(),
      fc.string({ maxLength: 2 }),
      (value, space, at, junk) => {
        const text = space + JSON.stringify(value, null, space) + space;
        assertAgrees(text);
        const cut = at % (text.length + 1);
        assertAgrees((text.slice(0, cut) + junk + text.slice(cut + 1)).toWellFormed());
      },
    ),
    { numRuns: 2000 },
  );
});

test('finds quotes, escapes and control characters at every offset of a long string', () => {
  for (let length = 0; length < 80; length++) {
    for (const special of ['\\"', '\\\\', '\\n', '\\u00ff', '\u0001', '\u001f', '\\q', 'é', '\u007f']) {
      assertAgrees(`{"a":"${'x'.repeat(length)}${special}${'y'.repeat(79 - length)}","b":1}`);
    }
  }
});
