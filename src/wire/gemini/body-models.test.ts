import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import { replaceModel } from '../passthrough-body.ts';
import { BodyModelScan, type BodyModels } from './body-models.ts';

function read(text: string): BodyModels | null {
  const scan = new BodyModelScan(Buffer.from(text), 'alias');
  while (!scan.step());
  return scan.take();
}

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
      '{"requests":[{"model":"models/real","content":{"parts":[{"text":"\\u2028 model"}]},"n":12345678901234567890},{"model":"models/real"}]}',
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
      '{"generateContentRequest":{"contents":[],"model":null}}',
      '{"model":{"model":"alias"}}',
      '{"model":["alias"]}',
      '{"model":"alias","model":"other"}',
      '{"m\\u006fdel":"other"}',
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
      '{"content":{"model":"other"},"labels":["model","other"]}',
      '{"requests":{"model":"other"},"generateContentRequest":[{"model":"other"}]}',
      '{"requests":[["model"],{"content":{"requests":[{"model":"other"}]}}]}',
      '{}',
    ])
      assert.equal(read(text), null, text);
  });

  it('are found in a large body step by step, and nothing is copied', () => {
    const text = 'x"\\'.repeat(100_000);
    const bytes = Buffer.from(
      JSON.stringify({
        requests: [
          { content: text, model: 'alias' },
          { model: 'models/alias', content: text },
        ],
      }),
    );
    const scan = new BodyModelScan(bytes, 'alias');
    let steps = 1;
    while (!scan.step()) steps++;
    assert.ok(steps >= bytes.length / 65_536 && steps <= bytes.length / 65_536 + 2, String(steps));
    const models = scan.take();
    assert.ok(models !== null && models.ok);
    assert.equal(models.pieces.length, 3);
    for (const piece of models.pieces) assert.equal(piece.buffer, bytes.buffer);
  });

  it('leave a text as it is, whatever it says', () => {
    const text = ',"content":{"parts":[{"text":"\\u0000model \\"model\\":\\"x\\""}]}}';
    assert.equal(sentTo('real', `{"model":"alias"${text}`), `{"model":"models/real"${text}`);
  });
});
