/** How the official client reads a stream that has passed the reader, compared with the provider's own bytes. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { Stream } from 'openai/streaming';
import { createChatStreamReader } from './stream-reader.ts';
import type { StreamPush } from '../dialect.ts';

interface Heard {
  /** Each chunk as JSON, except those without choices, such as heartbeats and usage. */
  readonly chunks: readonly string[];
  readonly died: boolean;
}

async function hear(bytes: Uint8Array<ArrayBuffer>): Promise<Heard> {
  const chunks: string[] = [];
  const client = { logLevel: 'off', logger: console } as never;
  try {
    for await (const chunk of Stream.fromSSEResponse<{ choices?: unknown[] | null } | null>(
      new Response(bytes),
      new AbortController(),
      client,
    )) {
      const choices = chunk === null ? undefined : (chunk.choices ?? []);
      if (choices?.length !== 0) chunks.push(JSON.stringify(chunk));
    }
    return { chunks, died: false };
  } catch {
    return { chunks, died: true };
  }
}

function relay(bytes: Buffer, sizes: readonly number[]): { bytes: Buffer<ArrayBuffer>; done: boolean } {
  const reader = createChatStreamReader({ operation: 'chat', keepUsage: false, maxEventSize: 1_000_000 });
  const pushes: StreamPush[] = [];
  for (let from = 0, i = 0; from < bytes.length; i++) {
    const size = sizes.length === 0 ? bytes.length : (sizes[i % sizes.length] ?? 1);
    pushes.push(reader.push(bytes.subarray(from, from + size)));
    from += size;
  }
  pushes.push(reader.end());
  return { bytes: Buffer.concat(pushes.flatMap(({ pieces }) => pieces)), done: pushes.some(({ done }) => done) };
}

const data = (delta: unknown, finish: string | null = null): string =>
  `data: ${JSON.stringify({ id: 'c', choices: [{ index: 0, delta, finish_reason: finish }] })}`;
const ordinary = fc.constantFrom(data({ content: 'a' }), data({ content: 'b\n' }), data({ content: 'é' }), data({}, 'stop'), '', '');
const ODD = `data: [DONE]|data: [DONE] |data:|data|event: ping|event: error|event:|event: chunk|id: 3|: c|data: {"error":{"message":"x"}}
data: {"choices":[],"usage":{"prompt_tokens":1}}|data: {"a":|data:1}| data: x|dat|data: \ufeff{}|data:  {"q":1}|{"error":{"message":"m"}}
data\0: x|data: {}\0|data: {"choices":null}|data: {"choices":[null]}|data: {"choices":{}}|data: {"choices":[{"delta":{"content":5}}]}`;
const odd = fc.constantFrom(...ODD.split(/[|\n]/));
const newline = fc.constantFrom('\n', '\n', '\n\n', '\n\n', '\r\n', '\r\n\r\n', '\r', '\r\r');
const anyStream = fc
  .array(fc.tuple(fc.oneof({ weight: 3, arbitrary: ordinary }, { weight: 2, arbitrary: odd }), newline), { maxLength: 14 })
  .map((lines) => lines.flat().join(''));

test('the official client never fails on what is passed on, and reads what it would have read from the provider', async () => {
  await fc.assert(
    fc.asyncProperty(anyStream, fc.array(fc.integer({ min: 1, max: 90 }), { maxLength: 3 }), async (text, sizes) => {
      const passed = relay(Buffer.from(text), sizes);
      const [direct, ours] = await Promise.all([hear(Buffer.from(text)), hear(passed.bytes)]);
      assert.equal(ours.died, false);
      const common = Math.min(direct.chunks.length, ours.chunks.length);
      assert.deepEqual(ours.chunks.slice(0, common), direct.chunks.slice(0, common));
      if (!direct.died) assert.ok(ours.chunks.length <= direct.chunks.length);
      if (!direct.died && passed.done) assert.deepEqual(ours.chunks, direct.chunks);
      // Only a response that is known to be complete has a terminator.
      assert.equal(/(?:^|[\r\n])data: ?\[DONE\]/.test(passed.bytes.toString()), passed.done);
    }),
    { numRuns: 1500 },
  );
});
