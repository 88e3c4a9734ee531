/** When a generateContent stream is complete. */
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

/** The kind of failure if the connection ends after these bytes; null if the stream is complete. */
function endOf(text: string): string | null {
  const reader = createGeminiStreamReader(1_000_000, 1);
  for (let at = 0; at < text.length; at += 7) reader.push(Buffer.from(text.slice(at, at + 7)));
  return reader.end().failure?.kind ?? null;
}

describe('a Gemini stream', () => {
  it('is complete at the finish reason', () => {
    assert.equal(endOf(TEXT + END), null);
    assert.equal(endOf(CALL), null);
    assert.equal(endOf(TEXT + END.trimEnd()), null, 'without the last blank line');
  });

  it('is incomplete again if content follows a finish reason, as after a server-side tool call', () => {
    assert.equal(endOf(CALL + RESULT), 'cut');
    assert.equal(endOf(CALL + RESULT + TEXT), 'cut');
    assert.equal(endOf(CALL + RESULT + TEXT + END), null);
  });

  it('is incomplete if an event after the finish reason is truncated', () => {
    for (const size of [10, 40, TEXT.length - 10]) assert.equal(endOf(CALL + TEXT.slice(0, size)), 'cut', `${size} bytes`);
  });

  it('stays complete if a signature or usage follows the finish reason', () => {
    const signed = event([{ text: '', thoughtSignature: 'c2ln' }]);
    const usage = 'data: {"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":3,"totalTokenCount":8}}\r\n\r\n';
    assert.equal(endOf(TEXT + END + signed + usage), null);
  });
});
