/** CPU cost of the wire layer for one request and one stream, compared with plain JSON.parse. Run: `node bench/wire.ts`. */
import { Buffer } from 'node:buffer';
import { performance } from 'node:perf_hooks';
import { decodeRequest } from '../src/wire/decode-request.ts';
import { DIALECTS } from '../src/wire/dialects.ts';
import { encodeRequest } from '../src/wire/edit-request.ts';
import { readChatResponse } from '../src/wire/openai-chat/read-response.ts';
import { createChatStreamReader } from '../src/wire/openai-chat/stream-reader.ts';

const small = request('Hello there, how are you today? '.repeat(24));
const picture = request([{ type: 'image_url', image_url: { url: `data:image/png;base64,${'QUJD'.repeat(262_144)}` } }]);
const code = request('const x = "1";\n  if (x) { return y }\n'.repeat(26_000));
const answer = Buffer.from(
  JSON.stringify({ id: 'c', model: 'm', choices: [{ index: 0, message: { role: 'assistant', content: 'word '.repeat(160) }, finish_reason: 'stop' }], usage: { prompt_tokens: 9, completion_tokens: 160, total_tokens: 169 } }),
); // prettier-ignore
const vectors = Buffer.from(
  JSON.stringify({ data: Array.from({ length: 100 }, (_, index) => ({ object: 'embedding', index, embedding: Array.from({ length: 1536 }, (__, i) => Math.sin(i * index)) })) }),
); // prettier-ignore
const stream = Buffer.from(`${Array.from({ length: 99 }, (_, i) => chunk(i)).join('')}data: [DONE]\n\n`);

function request(content: unknown): Buffer {
  return Buffer.from(
    JSON.stringify({
      model: 'openai/gpt-4o-mini',
      messages: [{ role: 'user', content }],
      temperature: 0.7,
      max_tokens: 256,
      stream: true,
      user: 'abc',
    }),
  );
}

function chunk(i: number): string {
  const value = { id: 'chatcmpl-BxyzABCDEFGH123456', object: 'chat.completion.chunk', created: 1_732_300_000, model: 'gpt-4o-mini', choices: [{ index: 0, delta: { content: ` word${i}` }, finish_reason: null }] }; // prettier-ignore
  return `data: ${JSON.stringify(value)}\n\n`;
}

function edit(body: Buffer): Uint8Array {
  const decoded = decodeRequest(DIALECTS['openai-chat'], 'chat', body);
  if (!decoded.ok) throw new Error(decoded.message);
  return encodeRequest(decoded.body, { model: 'gpt-4o-mini', askUsage: true });
}

function parseAndWrite(body: Buffer): Buffer {
  const value = JSON.parse(body.toString()) as Record<string, unknown>;
  value['model'] = 'gpt-4o-mini';
  return Buffer.from(JSON.stringify(value));
}

function watch(packetSize: number): void {
  const reader = createChatStreamReader({ operation: 'chat', keepUsage: false, maxEventSize: 16_777_216 });
  let done = false;
  for (let at = 0; at < stream.length; at += packetSize) done = reader.push(stream.subarray(at, at + packetSize)).done;
  if (!done) throw new Error('the stream did not end');
}

/** The median of several rounds, in microseconds per run. */
function measure(name: string, runs: number, task: () => unknown): void {
  for (let i = 0; i < runs; i++) task();
  const rounds = Array.from({ length: 7 }, () => {
    const start = performance.now();
    for (let i = 0; i < runs; i++) task();
    return ((performance.now() - start) * 1000) / runs;
  });
  const median = rounds.toSorted((a, b) => a - b)[3] ?? 0;
  process.stdout.write(`${name.padEnd(52)}${median.toFixed(2).padStart(12)} us\n`);
}

for (const [name, body, runs] of [
  ['1 KB prompt', small, 20_000],
  ['1 MB image', picture, 20],
  ['1 MB code', code, 20],
] as const) {
  measure(`${name}: decode and encode`, runs, () => edit(body));
  measure(`${name}: JSON.parse and stringify`, runs, () => parseAndWrite(body));
}
measure('1 KB response: read', 20_000, () => readChatResponse('chat', answer));
measure(`${(vectors.length / 1e6).toFixed(1)} MB of vectors: read`, 10, () => readChatResponse('embeddings', vectors));
measure(`${(vectors.length / 1e6).toFixed(1)} MB of vectors: JSON.parse`, 10, () => JSON.parse(vectors.toString()) as unknown);
measure('100 events in one packet', 2_000, () => watch(stream.length));
measure('100 events in 4 packets', 2_000, () => watch(Math.ceil(stream.length / 4)));
measure('100 events in 100 packets', 500, () => watch(Math.ceil(stream.length / 100)));
