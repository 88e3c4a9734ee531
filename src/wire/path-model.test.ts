import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { withModel } from './path-model.ts';

for (const [body, sent] of [
  ['{"messages":[]}', '{"model":"a/m","messages":[]}'],
  [' { } ', ' {"model":"a/m" } '],
  ['{"a": {"model":"x"}, "model" : "old", "b":1}', '{"a": {"model":"x"}, "model" : "a/m", "b":1}'],
  ['no JSON', 'no JSON'],
  ['[1]', '[1]'],
] as const) {
  test(`the model of the path is the model of ${body}`, () =>
    assert.equal(Buffer.from(withModel(Buffer.from(body), 'a/m')).toString(), sent));
}
