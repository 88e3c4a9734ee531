/** Reading any valid JSON from a provider returns a value: an exception here would end the gateway. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readErrorBody } from './error-shape.ts';
import { failureFromResponse } from './failure.ts';
import { completionToStream } from './openai-chat/completion-to-stream.ts';
import { DeliveredStream } from './delivered-stream.ts';
import { readChatResponse } from './openai-chat/read-response.ts';
import { streamToCompletion } from './openai-chat/stream-to-completion.ts';
import { createChatStreamReader } from './openai-chat/stream-reader.ts';

/** Names that the parsers look for, and names that all objects have: such a member hides a method that conversion to a string calls. */
const NAMES = [
  'error,errors,message,code,type,param,loc,detail,details,metadata,raw,status,retryDelay,retry_after,violations,quotaId,reason',
  'choices,index,delta,message,content,refusal,reasoning_content,reasoning_details,tool_calls,function,arguments,function_call,audio,data',
  'id,object,model,usage,x_groq,finish_reason,logprobs,text,toString,valueOf,toJSON,constructor,__proto__',
]
  .join(',')
  .split(',');
const { value: anyValue } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'medium', withCrossShrink: true },
    fc.constantFrom('x', '', '[1]', '{"error":{"message":"inside"}}', '429', 'error', null, 0, 1, 429, -1, 1e308, true),
    fc.array(tie('value'), { maxLength: 3 }),
    fc
      .array(fc.tuple(fc.constantFrom(...NAMES), tie('value')), { maxLength: 5 })
      .map(
        (members) =>
          JSON.parse(`{${members.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`) as unknown,
      ),
  ),
}));

function readInEveryWay(json: string): void {
  const bytes = Buffer.from(json);
  readErrorBody(bytes);
  for (const status of [400, 424, 429]) failureFromResponse({ status, headers: { get: () => null }, body: bytes, epochMs: 0 });
  if (readChatResponse('chat', bytes).ok) completionToStream(bytes, true);
  readChatResponse('embeddings', bytes);
  const event = Buffer.from(`data: ${json}\n\n`);
  const reader = createChatStreamReader({ operation: 'chat', keepUsage: true, maxEventSize: 1e9 });
  if (reader.push(event).failure !== null || reader.push(event).failure !== null) return;
  reader.end();
  streamToCompletion(Buffer.concat([event, event, event]));
  const delivered = new DeliveredStream('openai-chat', { id: 'r', model: 'm', createdAt: 0, includeUsage: true, tools: [], echo: {} });
  delivered.read([event]);
  delivered.resume();
}

test('no JSON makes a parser throw', () => {
  fc.assert(
    fc.property(anyValue, anyValue, (value, inner) => {
      readInEveryWay(JSON.stringify(value));
      readInEveryWay(`{"error":${JSON.stringify(inner)}}`);
      readInEveryWay(`{"choices":[{"index":0,"delta":${JSON.stringify(inner)},"message":${JSON.stringify(inner)}}]}`);
    }),
    { numRuns: 2000 },
  );
});

test('nor does any depth of nesting', () => {
  const depth = 30_000;
  const values = [`${'['.repeat(depth)}${']'.repeat(depth)}`, `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`];
  for (const deep of values) {
    for (const around of ['error', 'detail', 'details', 'metadata', 'message', 'loc', 'param'])
      readInEveryWay(`{"error":{"${around}":${deep}}}`);
    readInEveryWay(`{"detail":[{"loc":${deep}}]}`);
    readInEveryWay(`{"choices":[{"index":0,"delta":{"content":"x","a":${deep}},"message":{"content":"x","a":${deep}}}]}`);
    readInEveryWay(`{"choices":[{"index":0,"delta":{"content":"x"},"logprobs":${deep},"a":${deep}}],"b":${deep}}`);
  }
});

test('from an error path with other values than names, the names are used', () => {
  const paramIn = (param: unknown): string | null => readErrorBody(Buffer.from(JSON.stringify({ error: { message: 'm', param } }))).param;
  assert.equal(paramIn(['body', 'tools', 0, 'name']), 'body.tools.0.name');
  assert.equal(paramIn(['body', { toString: 1, valueOf: 1 }, [['deep']]]), 'body');
  assert.equal(paramIn([{}]), null);
});
