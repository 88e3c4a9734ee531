import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { scanObject } from './json-scan.ts';
import { withModel } from './path-model.ts';

for (const [body, sent] of [
  ['{"messages":[]}', '{"model":"a/m","messages":[]}'],
  [' { } ', ' {"model":"a/m" } '],
  ['{"a": {"model":"x"}, "model" : "old", "b":1}', '{"a": {"model":"x"}, "model" : "a/m", "b":1}'],
] as const) {
  test(`the model of the path is the model of ${body}`, () => {
    const bytes = Buffer.from(body);
    const scan = scanObject(bytes);
    assert.ok(scan.ok);
    assert.equal(Buffer.concat(withModel(bytes, scan.members, 'a/m')).toString(), sent);
  });
}
