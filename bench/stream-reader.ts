/**
 * Cost per event of the chat stream reader alone: no sockets, no relay. Run: `node bench/stream-reader.ts`.
 *
 * Columns: chunking (100 events in 4 packets, a packet per event, a packet per byte). Rows: the content of the events.
 * In nanoseconds per event, the best of many short rounds, so that a busy machine matters little; compared with
 * JSON.parse of every event.
 */
import { Buffer } from 'node:buffer';
import { performance } from 'node:perf_hooks';
import { createChatStreamReader } from '../src/wire/openai-chat/stream-reader.ts';

const EVENTS = 100;
const rounds = 60;
const roundMs = 5;

const event = (delta: object, finish: string | null = null, more: object = {}): string =>
  `data: ${JSON.stringify({ id: 'chatcmpl-BxyzABCDEFGH123456', object: 'chat.completion.chunk', created: 1_732_300_000, model: 'gpt-4o-mini', service_tier: 'default', system_fingerprint: 'fp_06737a9306', choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }], ...more })}\n\n`; // prettier-ignore
const fill = (make: (at: number) => object, more?: (at: number) => object): string[] => {
  const middle = Array.from({ length: EVENTS - 3 }, (_, at) => event(make(at), null, more?.(at)));
  return [event({ role: 'assistant', content: '' }, null, more?.(1)), ...middle, event({}, 'stop', more?.(2)), 'data: [DONE]\n\n'];
};

const words = fill((at) => ({ content: ` word${at}` }));
const kinds: Record<string, string[]> = {
  words,
  'words, CRLF': words.map((text) => text.replaceAll('\n', '\r\n')),
  'usage null, obfuscation': fill(
    (at) => ({ content: ` word${at}` }),
    (at) => ({ usage: null, obfuscation: 'aB3dE5fG7h'.slice(at % 9) }),
  ),
  'code (every third with an escape)': fill((at) => ({ content: at % 3 === 0 ? ';\n  "' : ` word${at}` })),
  'non-Latin': fill((at) => ({ content: `漢字${at}é` })),
  'arguments of a tool call': fill((at) =>
    at === 0
      ? { tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'write', arguments: '' } }] }
      : { tool_calls: [{ index: 0, function: { arguments: at % 3 === 0 ? '\\"k' : ` word${at}` } }] },
  ),
  'two interleaved choices': Array.from({ length: EVENTS - 3 }, (_, at) => event({ content: ' word' }).replace('"index":0', `"index":${at % 2}`))
    .concat(event({}, 'stop'), event({}, 'stop').replace('"index":0', '"index":1'), 'data: [DONE]\n\n'), // prettier-ignore
};

function cut(bytes: Buffer, size: number): Buffer[] {
  const packets: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) packets.push(bytes.subarray(at, at + size));
  return packets;
}

function read(packets: readonly Uint8Array[]): void {
  const reader = createChatStreamReader({ operation: 'chat', keepUsage: false, maxEventSize: 16_777_216 });
  let done = false;
  for (const packet of packets) done = reader.push(packet).done || done;
  if (!done) throw new Error('the stream did not end');
}

function nsPerEvent(task: () => void): number {
  const startWarm = performance.now();
  while (performance.now() - startWarm < 150) task();
  const times = Array.from({ length: rounds }, () => {
    let runs = 0;
    const start = performance.now();
    while (performance.now() - start < roundMs) {
      task();
      runs++;
    }
    return ((performance.now() - start) * 1e6) / runs / EVENTS;
  });
  return Math.min(...times);
}

const line = (cells: readonly string[]): void =>
  void process.stdout.write(`${cells.map((cell, at) => (at === 0 ? cell.padEnd(36) : cell.padStart(14))).join('')}\n`);

line(['ns per event', '4 packets', 'event each', 'byte each', 'JSON.parse']);
for (const [name, events] of Object.entries(kinds)) {
  const bytes = Buffer.from(events.join(''));
  const json = events.slice(0, -1).map((text) => Buffer.from(text.slice('data: '.length)));
  const shapes = [cut(bytes, Math.ceil(bytes.length / 4)), events.map((text) => Buffer.from(text)), cut(bytes, 1)];
  const costs = shapes.map((packets) => nsPerEvent(() => read(packets)));
  costs.push(nsPerEvent(() => json.forEach((text) => JSON.parse(text.toString()) as unknown)));
  line([name, ...costs.map((cost) => cost.toFixed(0))]);
}
