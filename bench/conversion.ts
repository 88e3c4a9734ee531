/**
 * CPU cost of a request and a response between a caller and a target, for each pair of dialects: bytes pass between
 * equal ones and are converted between different ones. Part of `npm run bench`; alone it prints its rows as JSON.
 * `--quick`: fewer runs.
 */
import { Buffer } from 'node:buffer';
import { CURRENT_MODEL } from '../src/wire/target-capabilities.fixture.ts';
import { parseArgs } from 'node:util';
import { convertBytes, ResponseConversion } from '../src/wire/conversion.ts';
import { decodeRequest } from '../src/wire/decode-request.ts';
import type { StreamReader } from '../src/wire/dialect.ts';
import { DIALECTS } from '../src/wire/dialects.ts';
import { encodeRequest } from '../src/wire/edit-request.ts';
import type { DialectName } from '../src/wire/model.ts';

const { values: options } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });

/** Short names of the callers' dialects, for the table. */
const NAMES = {
  'openai-chat': 'chat',
  'openai-responses': 'responses',
  'anthropic-messages': 'messages',
  gemini: 'gemini',
} as const;
const DIALECT_NAMES = Object.keys(NAMES) as (keyof typeof NAMES)[];

const WRITE = { id: 'req_1', model: 'm', createdAt: 1, includeUsage: true, tools: [], echo: {} };
const EVENTS = 100;
const LARGE_EVENT_CHARS = 4000;
const MAX_EVENT_BYTES = 16 * 1024 * 1024;
const WARM_UP_US = 30_000;
const PATH = { model: 'm', stream: true };

function chatRequest(turns: number): Buffer {
  const tools = ['tide', 'wind', 'light'].map((name) => ({
    type: 'function',
    function: { name, description: 'Of a place. '.repeat(8), parameters: { type: 'object', properties: { at: { type: 'string' } } } },
  }));
  const messages: object[] = [{ role: 'system', content: 'You know every harbour. '.repeat(10) }];
  for (let i = 0; i < turns; i++) {
    messages.push({ role: 'user', content: `Question ${i}: ${'how high is the tide? '.repeat(12)}` });
    if (i === turns - 1) break;
    const call = { id: `call_${i}`, type: 'function', function: { name: 'tide', arguments: '{"at":"Skagen"}' } };
    messages.push({ role: 'assistant', content: null, tool_calls: [call] });
    messages.push({ role: 'tool', tool_call_id: `call_${i}`, content: 'The water is high. '.repeat(15) });
    messages.push({ role: 'assistant', content: 'It is high. '.repeat(20) });
  }
  return Buffer.from(JSON.stringify({ model: 'm', messages, tools, max_completion_tokens: 1000, stream: true }));
}

/** `chars` characters per event. */
function chatStream(chars: number): Buffer {
  const head = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm' };
  const event = (fields: object): string => `data: ${JSON.stringify({ ...head, ...fields })}\n\n`;
  const text = 'harbour '.repeat(chars / 8);
  const chunks = Array.from({ length: EVENTS }, () => event({ choices: [{ index: 0, delta: { content: text }, finish_reason: null }] }));
  const usage = { prompt_tokens: 9, completion_tokens: EVENTS, total_tokens: EVENTS + 9 };
  return Buffer.from(
    [
      ...chunks,
      event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
      event({ choices: [], usage }),
      'data: [DONE]\n\n',
    ].join(''),
  );
}

const chatBody = Buffer.from(
  JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: 'm',
    choices: [{ index: 0, message: { role: 'assistant', content: 'word '.repeat(160) }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 9, completion_tokens: 160, total_tokens: 169 },
  }),
);

/** The same request in another dialect. */
function requestIn(to: DialectName, chat: Buffer): Uint8Array {
  if (to === 'openai-chat') return chat;
  const converted = convertBytes('openai-chat', chat, true, DIALECTS[to], CURRENT_MODEL);
  if (!converted.ok) throw new Error(converted.message);
  return converted.body.bytes;
}

function streamIn(to: DialectName, chat: Buffer): Uint8Array {
  if (to === 'openai-chat') return chat;
  const reader = new ResponseConversion(DIALECTS['openai-chat'], DIALECTS[to], WRITE).createReader(MAX_EVENT_BYTES)!;
  return Buffer.concat([...reader.push(chat).pieces, ...reader.end().pieces]);
}

function responseIn(to: DialectName): Uint8Array {
  if (to === 'openai-chat') return chatBody;
  const read = new ResponseConversion(DIALECTS['openai-chat'], DIALECTS[to], WRITE).read(chatBody, 1);
  return read.converted!;
}

/** One packet per event, as received. */
function packetsOf(stream: Uint8Array): Uint8Array[] {
  const packets: Uint8Array[] = [];
  for (let from = 0; from < stream.length;) {
    const blank = Buffer.from(stream).indexOf('\n\n', from);
    const end = blank === -1 ? stream.length : blank + 2;
    packets.push(stream.subarray(from, end));
    from = end;
  }
  return packets;
}

/** The path of a request: decoded, converted if the dialects differ, and edited. */
function carry(from: DialectName, to: DialectName, bytes: Uint8Array): void {
  const decoded = decodeRequest(DIALECTS[from], 'chat', bytes, PATH);
  if (!decoded.ok) throw new Error(decoded.message);
  let { body } = decoded;
  if (from !== to) {
    const converted = convertBytes(from, bytes, true, DIALECTS[to], CURRENT_MODEL);
    if (!converted.ok) throw new Error(converted.message);
    body = converted.body;
  }
  encodeRequest(body, { model: 'other' });
}

function readerFor(from: DialectName, to: DialectName): StreamReader {
  if (from !== to) return new ResponseConversion(DIALECTS[from], DIALECTS[to], WRITE).createReader(MAX_EVENT_BYTES)!;
  return DIALECTS[from].stream.watch({ operation: 'chat', keepUsage: true, maxEventSize: MAX_EVENT_BYTES })!;
}

function play(from: DialectName, to: DialectName, packets: readonly Uint8Array[]): void {
  const reader = readerFor(from, to);
  let isDone = false;
  for (const packet of packets) isDone = reader.push(packet).done;
  if (!isDone && reader.end().failure !== null) throw new Error(`${from} to ${to}: the stream is incomplete`);
}

function answer(from: DialectName, to: DialectName, body: Uint8Array): void {
  if (from === to) DIALECTS[from].response.read('chat', body, 1, null);
  else new ResponseConversion(DIALECTS[from], DIALECTS[to], WRITE).read(body, 1);
}

/** The median of several rounds, in microseconds of CPU time per run, so that other work on the machine matters less. */
function measure(task: () => void): number {
  const roundUs = options.quick ? 10_000 : 50_000;
  runFor(roundUs * 2, task);
  const rounds = Array.from({ length: 5 }, () => runFor(roundUs, task));
  return rounds.toSorted((a, b) => a - b)[2]!;
}

function runFor(us: number, task: () => void): number {
  const before = process.cpuUsage();
  for (let runs = 1; ; runs++) {
    task();
    if (runs % 4 !== 0) continue;
    const { user, system } = process.cpuUsage(before);
    if (user + system >= us) return (user + system) / runs;
  }
}

const [small, large] = [chatRequest(1), chatRequest(100)];
const [shortEvents, longEvents] = [chatStream(8), chatStream(LARGE_EVENT_CHARS)];

/** The tasks measured for a pair, by column heading; `per`: units of the figure per run of the task. */
function tasksOf(caller: DialectName, target: DialectName): Record<string, { readonly per: number; readonly run: () => void }> {
  const [smallRequest, largeRequest] = [requestIn(caller, small), requestIn(caller, large)];
  const [short, long] = [packetsOf(streamIn(target, shortEvents)), packetsOf(streamIn(target, longEvents))];
  const body = responseIn(target);
  return {
    [`request ${kilobytes(small)} us`]: { per: 1, run: () => carry(caller, target, smallRequest) },
    [`request ${kilobytes(large)} us`]: { per: 1, run: () => carry(caller, target, largeRequest) },
    'response us': { per: 1, run: () => answer(target, caller, body) },
    'event us': { per: EVENTS, run: () => play(target, caller, short) },
    'event 4 KB us': { per: EVENTS, run: () => play(target, caller, long) },
  };
}

const pairs = DIALECT_NAMES.flatMap((caller) => DIALECT_NAMES.map((target) => ({ caller, target, tasks: tasksOf(caller, target) })));
// Shared code is compiled before the first pair is measured.
for (const { tasks } of pairs) for (const { run } of Object.values(tasks)) runFor(WARM_UP_US, run);
const rows = Object.fromEntries(
  pairs.map(({ caller, target, tasks }) => [
    `${NAMES[caller]} → ${NAMES[target]}`,
    Object.fromEntries(Object.entries(tasks).map(([head, { per, run }]) => [head, measure(run) / per])),
  ]),
);
process.stdout.write(JSON.stringify(rows));

function kilobytes({ length }: Uint8Array): string {
  return `${Math.round(length / 1024)} KB`;
}
