/** When a stream of generateContent is whole. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createGeminiStreamReader } from './stream-reader.ts';

const event = (parts: readonly object[], more: object = {}): string =>
  `data: ${JSON.stringify({ candidates: [{ content: { role: 'model', parts }, index: 0, ...more }] })}\r\n\r\n`;
const STOP = { finishReason: 'STOP' };
const CALL = event([{ functionCall: { name: 'tide', args: {} } }], STOP);
const RESULT = event([{ functionResponse: { name: 'tide', response: { output: 'high' } } }]);
const TEXT = event([{ text: 'The tide is high.' }]);
const END = event([{ text: '' }], STOP);

/** What the end of the connection means after these bytes: the kind of the failure; null: the stream is whole. */
function endOf(text: string): string | null {
  const reader = createGeminiStreamReader(1_000_000, 1);
  for (let at = 0; at < text.length; at += 7) reader.push(Buffer.from(text.slice(at, at + 7)));
  return reader.end().failure?.kind ?? null;
}

describe('a Gemini stream', () => {
  it('is whole at the finish reason', () => {
    assert.equal(endOf(TEXT + END), null);
    assert.equal(endOf(CALL), null);
    assert.equal(endOf(TEXT + END.trimEnd()), null, 'the last blank line may be missing');
  });

  it('is open again where content follows a finish reason, as after a tool that Google runs', () => {
    assert.equal(endOf(CALL + RESULT), 'cut');
    assert.equal(endOf(CALL + RESULT + TEXT), 'cut');
    assert.equal(endOf(CALL + RESULT + TEXT + END), null);
  });

  it('is not whole where an event after the finish reason broke off', () => {
    for (const size of [10, 40, TEXT.length - 10]) assert.equal(endOf(CALL + TEXT.slice(0, size)), 'cut', `${size} bytes`);
  });

  it('stays whole where a signature or the usage follows the finish reason', () => {
    const signed = event([{ text: '', thoughtSignature: 'c2ln' }]);
    const usage = 'data: {"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":3,"totalTokenCount":8}}\r\n\r\n';
    assert.equal(endOf(TEXT + END + signed + usage), null);
  });
});
