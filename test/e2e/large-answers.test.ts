/** Answers of 15 MB, each made to cost as much as can be: others are served meanwhile, and no heap is filled. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { brotliCompressSync, constants } from 'node:zlib';
import { BUSY_MS_MAX, okAnswer, startLoopWorld, type ProviderAnswer } from './loop-world.ts';

const BYTES = 15_000_000;
const CHAT = '/v1/chat/completions';
const END =
  '"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}';
const LAST = '"choices":[{"index":0,"delta":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n';
const DELTA =
  'data: {"id":"x","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n';

function filled(before: string, unit: string, after: string, bytes = BYTES): Buffer {
  return Buffer.concat([Buffer.from(before), Buffer.alloc(bytes - (bytes % unit.length), unit), Buffer.from(after)]);
}

const events = { 'content-type': 'text/event-stream' };
const objects = filled('{"id":"x","model":"m","x":[', '{},', `{}],${END}`);
const quick = { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } };

/** What the provider answers, and the status that the caller gets for a plain request and for a stream. */
const answers: Readonly<Record<string, readonly [ProviderAnswer, plain: number, stream: number]>> = {
  'empty objects': [{ body: objects }, 200, 502],
  'empty objects, compressed': [{ body: brotliCompressSync(objects, quick), headers: { 'content-encoding': 'br' } }, 200, 502],
  'one long string': [{ body: filled('{"model":"m","x":"', 'x', `",${END}`) }, 200, 502],
  'an error of empty objects': [{ status: 400, body: filled('{"error":{"message":"bad","details":[', '{},', '{}]}}', 900_000) }, 400, 400],
  'an error of empty objects as a success': [{ body: filled('{"error":{"message":"bad","details":[', '{},', '{}]}}') }, 502, 502],
  'one event of empty objects': [{ headers: events, body: filled('data: {"model":"m","x":[', '{},', `{}],${LAST}`) }, 502, 200],
  'an error event of empty objects': [
    { headers: events, body: filled('data: {"error":{"message":"bad","x":[', '{},', '{}]}}\n\n') },
    502,
    502,
  ],
  'many events': [{ headers: events, body: filled('', DELTA, `data: {"model":"m",${LAST}`) }, 200, 200],
  'one event of many lines': [{ headers: events, body: filled('', 'data:\n', '\n') }, 502, 502],
  'comments without end': [{ headers: events, body: filled('', ':\n', '') }, 502, 502],
};

const modelIn = (head: string): string => /"model":"(?:a\/)?([^"]*)"/.exec(head)?.[1] ?? '';
const answer = (head: string): ProviderAnswer => answers[modelIn(head)]?.[0] ?? { body: okAnswer };

for (const [name, quality] of [
  ['', {}],
  [' that is judged', { minLength: 1, rejectRefusal: true }],
] as const) {
  describe(`an answer of 15 MB${name}`, () => {
    const config = { policy: { maxAttempts: 1, quality } };
    const starting = startLoopWorld({ after }, { heapMb: 256, answer, config });
    for (const [kind, [, plain, streamed]] of Object.entries(answers)) {
      for (const stream of [false, true]) {
        it(`of ${kind}, ${stream ? 'streamed' : 'plain'}`, { timeout: 60_000 }, async () => {
          const world = await starting;
          const taken = await world.send(CHAT, Buffer.from(JSON.stringify({ model: `a/${kind}`, messages: [], stream })));
          assert.equal(taken.status, stream ? streamed : plain, taken.text.slice(0, 300));
          const { busyMs, heldBytes } = await world.figures();
          assert.ok(busyMs < 2 * BUSY_MS_MAX, `one turn of the loop took ${busyMs} ms`);
          assert.equal(heldBytes, 0);
          assert.equal(world.exitCode, null);
        });
      }
    }
  });
}
