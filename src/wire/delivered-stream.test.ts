import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { DeliveredStream } from './delivered-stream.ts';

test('a stream that has begun a tool call is not continued, though only the name of the tool has come', () => {
  const delivered = new DeliveredStream('openai-chat', { id: 'r1', model: 'm', createdAt: 1, includeUsage: false, tools: [], echo: {} });
  const read = (delta: object): void =>
    delivered.read([Buffer.from(`data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: null }] })}\n\n`)]);
  read({ content: 'Let me look.' });
  assert.equal(delivered.text, 'Let me look.');
  read({ tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'get_', arguments: '' } }] });
  assert.equal(delivered.text, '');
});
