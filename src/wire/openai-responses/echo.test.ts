import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scanObject } from '../json-scan.ts';
import { boundedEcho, echoOf } from './echo.ts';

function bodyOf(text: string): Parameters<typeof boundedEcho>[0] {
  const bytes = Buffer.from(text);
  const scan = scanObject(bytes);
  assert.ok('members' in scan);
  return { bytes, members: scan.members };
}

test('the echo of a body parses the echoed members only', (t) => {
  const text = JSON.stringify({ model: 'm', input: 'x'.repeat(1_000_000), metadata: { a: 'b' }, tools: [{ type: 'web_search' }] });
  const body = bodyOf(text);
  const parse = t.mock.method(JSON, 'parse');
  const echo = boundedEcho(body, 16_384);
  const parsed = parse.mock.calls.map(({ arguments: [json] }) => json);
  parse.mock.restore();
  assert.deepEqual(parsed, ['{"a":"b"}', '[{"type":"web_search"}]']);
  assert.deepEqual(echo, echoOf(text));
});

test('the last member of a name counts, null is the default, and numbers keep their digits', () => {
  const text = '{"user":"a","temperature":0.70,"truncation":null,"user":"b"}';
  const echo = boundedEcho(bodyOf(text), 16_384);
  assert.equal(JSON.stringify(echo), JSON.stringify(echoOf(text)));
  assert.deepEqual([echo['user'], echo['truncation'], JSON.stringify(echo['temperature'])], ['b', 'disabled', '0.70']);
});

test('members that exceed the limit are omitted; what is left is echoed', (t) => {
  const body = bodyOf(JSON.stringify({ instructions: 'x'.repeat(200), metadata: { huge: 'x'.repeat(1_000) }, user: 'u' }));
  const parse = t.mock.method(JSON, 'parse');
  const echo = boundedEcho(body, 100);
  assert.equal(parse.mock.callCount(), 2, 'one is too large to be parsed');
  assert.deepEqual([echo['instructions'], echo['metadata'], echo['user']], [null, {}, 'u']);
});
