/** Streams as providers send them (the files in `golden/`), read at once, in chunks, and byte by byte. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { ResponseFacts, FailureKind } from '../../core/facts.ts';
import { createChatStreamReader } from './stream-reader.ts';

const folder = new URL('golden/', import.meta.url);

interface Expected {
  readonly facts: Partial<ResponseFacts>;
  readonly failure?: FailureKind;
  /** The stream sent downstream, from the received one; default: the same bytes. */
  readonly passed?: (stream: string) => string;
}

const stop = { finishReason: 'stop', hasContent: true };

const EXPECTED: Readonly<Record<string, Expected>> = {
  'openai.sse': {
    facts: { ...stop, model: 'gpt-4o-mini-2024-07-18', usage: { inputTokens: 21, cachedInputTokens: 16, outputTokens: 6 } },
    passed: (stream) => withoutEvent(stream, '"choices":[],'),
  },
  'openai-tools.sse': { facts: { hasContent: true, finishReason: 'tool_calls', usage: null } },
  'azure.sse': { facts: { ...stop, model: 'gpt-4o' } },
  'groq.sse': { facts: { ...stop, usage: { inputTokens: 12, cachedInputTokens: 0, outputTokens: 3 } } },
  'deepseek.sse': { facts: { ...stop, usage: { inputTokens: 30, cachedInputTokens: 20, outputTokens: 9 } } },
  'openrouter-error.sse': {
    facts: { hasContent: true, finishReason: null },
    failure: 'error',
    passed: (stream) => stream.slice(0, stream.lastIndexOf('data: {')),
  },
  'mistral-crlf.sse': { facts: { ...stop, usage: { inputTokens: 5, cachedInputTokens: 0, outputTokens: 3 } } },
  'llamacpp-no-done.sse': { facts: { ...stop, model: 'local.gguf' }, passed: (stream) => `${stream}data: [DONE]\n\n` },
};

function withoutEvent(stream: string, mark: string): string {
  return stream
    .split(/(?<=\n\n)/)
    .filter((event) => !event.includes(mark))
    .join('');
}

test('every golden stream has its expectation', () => {
  const files = readdirSync(folder).filter((name) => name.endsWith('.sse'));
  assert.deepEqual(files.toSorted(), Object.keys(EXPECTED).toSorted());
});

for (const [name, expected] of Object.entries(EXPECTED)) {
  test(`reads ${name} under any chunking`, () => {
    const stream = readFileSync(new URL(name, folder));
    const passed = (expected.passed ?? ((same: string): string => same))(stream.toString());
    for (const size of [stream.length, 1000, 97, 1]) {
      const reader = createChatStreamReader({ operation: 'chat', keepUsage: false, maxEventSize: 10_000 });
      const pushes = [];
      for (let at = 0; at < stream.length; at += size) pushes.push(reader.push(stream.subarray(at, at + size)));
      pushes.push(reader.end());
      assert.equal(Buffer.concat(pushes.flatMap((push) => push.pieces)).toString(), passed);
      assert.equal(pushes.find((push) => push.failure !== null)?.failure?.kind, expected.failure);
      assert.equal(
        pushes.some((push) => push.done),
        expected.failure === undefined,
      );
      for (const [fact, value] of Object.entries(expected.facts)) assert.deepEqual(reader.facts[fact as keyof ResponseFacts], value, fact);
    }
  });
}
