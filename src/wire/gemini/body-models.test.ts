import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import { replaceModel } from '../passthrough-body.ts';
import { readBodyModels } from './body-models.ts';

const read = (text: string) => readBodyModels(Buffer.from(text), 'alias');

function sentTo(model: string, text: string): string {
  const models = read(text);
  assert.ok(models !== null && models.ok);
  const passed = { model: null, parts: null, pieces: models.pieces };
  const bytes = replaceModel({ bytes: Buffer.from(text), members: [], values: 0, contentType: null, passed }, model);
  return Buffer.concat(bytes instanceof Uint8Array ? [bytes] : bytes).toString();
}

describe('models in the body of a Gemini request', () => {
  it('are replaced with the model of the target, and nothing else changes', () => {
    assert.equal(
      sentTo(
        'real',
        '{"requests":[{"model":"models/alias","content":{"parts":[{"text":"\\u2028 model"}]},"n":12345678901234567890},{"model":"alias"}]}',
      ),
      '{"requests":[{"model":"models/real","content":{"parts":[{"text":"\u2028 model"}]},"n":12345678901234567890},{"model":"models/real"}]}',
    );
    assert.equal(
      sentTo('real', '{"generateContentRequest":{"model":"models/alias","contents":[]}}'),
      '{"generateContentRequest":{"model":"models/real","contents":[]}}',
    );
    assert.equal(sentTo('r"x', '{"model":"models/alias"}'), '{"model":"models/r\\"x"}');
  });

  it('have to be the model of the path', () => {
    for (const text of [
      '{"model":"other"}',
      '{"requests":[{"model":"models/alias"},{"model":"models/other"}]}',
      '{"generateContentRequest":{"model":1}}',
    ]) {
      const models = read(text);
      assert.ok(models !== null && !models.ok);
      assert.match(models.message, /must be the model of the path, models\/alias/);
    }
  });

  it('are not looked for where none can be', () => {
    for (const text of [
      '{"requests":[{"content":{}}]}',
      '{"content":{"parts":[{"text":"the \\"model\\""}]}}',
      'no JSON "model"',
      '["model"]',
    ])
      assert.equal(read(text), null);
  });

  it('can not be forged by a text', () => {
    const models = read('{"model":"alias","content":{"parts":[{"text":"\\u0000model"}]}}');
    assert.ok(models !== null && !models.ok);
  });
});
