/** Every fault in every dialect: the call ends and is counted, and a compliant client of that dialect observes the declared harm. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { crc32 } from 'node:zlib';
import type { FaultBehaviour, Harm } from './fault-behaviour.ts';
import { FAULT_KINDS } from './index.ts';
import type { Storm, StormFaultKind } from './index.ts';
import { bytesOf, isWhole, rawPost, readSse, textOf } from './raw-call.fixture.ts';
import type { Raw } from './raw-call.fixture.ts';
import { openStorm } from './sdk.fixture.ts';

// oxlint-disable-next-line typescript/no-explicit-any -- responses are read as an untyped client would
type Json = Record<string, any>;

interface Reading {
  text: string;
  isFinished: boolean;
}

interface Form {
  readonly name: string;
  readonly dialect: 'openai-responses' | 'anthropic-messages' | 'gemini' | 'bedrock';
  readonly framing?: 'json-array' | 'aws-event-stream';
  path(stream: boolean): string;
  readonly headers: Readonly<Record<string, string>>;
  body(stream: boolean): object;
  readStream(raw: Raw): Reading;
  readBody(body: Json): Reading;
}

const CONTENTS = { contents: [{ role: 'user', parts: [{ text: 'x' }] }] };

/** The events up to the one that ends a stream. */
function events(raw: Raw): Json[] {
  const list: Json[] = [];
  for (const { event, data } of readSse(textOf(raw))) {
    if (data === '') continue;
    const value = JSON.parse(data) as Json;
    if (event === 'error' || value['type'] === 'error' || value['error'] !== undefined) throw new Error('an error event');
    list.push(value);
    if (/^(?:message_stop|response\.(?:completed|incomplete|failed))$/.test(String(value['type']))) break;
  }
  return list;
}

function readChunks(chunks: readonly Json[]): Reading {
  if (chunks.some((chunk) => chunk['error'] !== undefined)) throw new Error('an error chunk');
  const candidates = chunks.flatMap((chunk) => (chunk['candidates'] ?? []) as Json[]);
  const parts = candidates.flatMap((candidate) => (candidate['content']?.parts ?? []) as Json[]);
  return {
    text: parts.map(({ text, functionCall }) => (functionCall === undefined ? text : JSON.stringify(functionCall))).join(''),
    isFinished: candidates.some((candidate) => candidate['finishReason'] !== undefined),
  };
}

/** A list of JSON values, from an array or from server-sent events. */
function readAnyChunks(raw: Raw): Reading {
  const text = textOf(raw).replace(/^\uFEFF/, '');
  return /^\s*\[/.test(text) ? readChunks(JSON.parse(text) as Json[]) : readChunks(events(raw));
}

function readResponse({ status, output, error }: Json): Reading {
  if (error !== null) throw new Error('it failed');
  const texts = (output as Json[]).map((item) => item['arguments'] ?? item['content']?.[0]?.text ?? item['content']?.[0]?.refusal ?? '');
  return { text: texts.join(''), isFinished: status === 'completed' || status === 'incomplete' };
}

function readMessage({ content, stop_reason: stop, type }: Json): Reading {
  if (type === 'error') throw new Error('it failed');
  const texts = (content as Json[]).map((block) => block['text'] ?? JSON.stringify(block['input']));
  return { text: texts.join(''), isFinished: stop !== null };
}

function foldMessages(list: readonly Json[]): Reading {
  const deltas = list.filter(({ type }) => type === 'content_block_delta').map(({ delta }) => delta as Json);
  return {
    text: deltas.map((delta) => delta['text'] ?? delta['partial_json'] ?? '').join(''),
    isFinished: list.some(({ type }) => type === 'message_stop') && list.some(({ delta }) => typeof delta?.stop_reason === 'string'),
  };
}

function foldResponse(list: readonly Json[]): Reading {
  if (list.some(({ type }) => type === 'response.failed')) throw new Error('it failed');
  const deltas = list.filter(({ type }) => /\.delta$/.test(String(type))).map(({ delta }) => String(delta));
  return { text: deltas.join(''), isFinished: list.some(({ type }) => type === 'response.completed' || type === 'response.incomplete') };
}

/** The events of an AWS event stream, with verified checksums. */
function awsEvents(raw: Raw): Json[] {
  const bytes = bytesOf(raw);
  const list: Json[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt32BE(at);
    const message = bytes.subarray(at, at + length);
    assert.equal(crc32(message.subarray(0, 8)), message.readUInt32BE(8));
    assert.equal(crc32(message.subarray(0, -4)), message.readUInt32BE(length - 4));
    const head = message.subarray(12, 12 + message.readUInt32BE(4)).toString('latin1');
    if (head.includes('exception')) throw new Error('an exception');
    list.push(JSON.parse(message.subarray(12 + head.length, -4).toString()) as Json);
    at += length;
  }
  return list;
}

function foldConverse(list: readonly Json[]): Reading {
  const deltas = list.map(({ delta }) => (delta ?? {}) as Json);
  return {
    text: deltas.map(({ text, toolUse }) => text ?? toolUse?.input ?? '').join(''),
    isFinished: list.some(({ stopReason }) => typeof stopReason === 'string'),
  };
}

function readConverse({ output, stopReason }: Json): Reading {
  const content = output['message'].content as Json[];
  return { text: content.map(({ text, toolUse }) => text ?? JSON.stringify(toolUse.input)).join(''), isFinished: stopReason !== null };
}

const gemini = {
  dialect: 'gemini',
  headers: {},
  body: () => CONTENTS,
  readStream: readAnyChunks,
  readBody: (body: Json) => readChunks([body]),
} as const;

const FORMS: readonly Form[] = [
  {
    name: 'Responses',
    dialect: 'openai-responses',
    path: () => '/v1/responses',
    headers: {},
    body: (stream) => ({ model: 'm', input: 'x', stream }),
    readStream: (raw) => foldResponse(events(raw)),
    readBody: readResponse,
  },
  {
    name: 'Messages',
    dialect: 'anthropic-messages',
    path: () => '/v1/messages',
    headers: { 'anthropic-version': '2023-06-01' },
    body: (stream) => ({ model: 'm', max_tokens: 100, messages: [{ role: 'user', content: 'x' }], stream }),
    readStream: (raw) => foldMessages(events(raw)),
    readBody: readMessage,
  },
  {
    ...gemini,
    name: 'Gemini, server-sent events',
    path: (stream) => (stream ? '/v1beta/models/m:streamGenerateContent?alt=sse' : '/v1beta/models/m:generateContent'),
  },
  {
    ...gemini,
    name: 'Gemini, an array',
    framing: 'json-array',
    path: (stream) => (stream ? '/v1beta/models/m:streamGenerateContent' : '/v1beta/models/m:generateContent'),
  },
  {
    name: 'Converse',
    dialect: 'bedrock',
    framing: 'aws-event-stream',
    path: (stream) => `/model/m/converse${stream ? '-stream' : ''}`,
    headers: {},
    body: () => ({ messages: [{ role: 'user', content: [{ text: 'x' }] }] }),
    readStream: (raw) => foldConverse(awsEvents(raw)),
    readBody: readConverse,
  },
];

/** Kinds whose effect depends on the client, the form or the call. */
const DIFFERS = new Set<string>(['duplicate', 'tool-after-text', 'surrogates']);

let storm: Storm;
before(async () => {
  storm = await openStorm({ timing: { tokens: 8 } });
});
after(() => storm.close());

const kinds = Object.entries(FAULT_KINDS).filter(([, { endless }]) => endless !== true) as [StormFaultKind, (typeof FAULT_KINDS)['cut']][];

for (const form of FORMS) {
  const call = (kind: string, stream: boolean): Promise<Raw> =>
    rawPost(storm.port, form.path(stream), { ...form.headers, 'x-storm-fault': kind }, form.body(stream));
  const isStream = (raw: Raw) => /event-stream/i.test(raw.headers['content-type'] ?? '') || /^\uFEFF?\s*(?:data|event|:)/.test(textOf(raw));
  const read = (raw: Raw, stream: boolean): Reading => {
    // A body that is not JSON is an AWS event stream, whatever its content type.
    if (form.framing === 'aws-event-stream' && !/^\s*[[{]/.test(textOf(raw).replace(/^\uFEFF/, ''))) return form.readStream(raw);
    if (isStream(raw) && !/^\uFEFF?\s*\{/.test(textOf(raw))) return form.readStream(raw);
    const body = JSON.parse(textOf(raw).replace(/^\uFEFF/, '')) as Json;
    return stream && Array.isArray(body) ? form.readStream(raw) : form.readBody(body);
  };
  const fails = (raw: Raw, stream: boolean): boolean => {
    if (raw.status !== 200 || !isWhole(raw)) return true;
    try {
      return !read(raw, stream).isFinished;
    } catch {
      return true;
    }
  };

  describe(form.name, () => {
    const seen = new Map<string, readonly [complete: Raw, stream: Raw]>();
    let calls = 0;
    before(async () => {
      calls = storm.stats().calls;
      for (const group of groupsOf(kinds.map(([kind]) => kind))) {
        const raws = await Promise.all(group.map(async (kind) => [await call(kind, false), await call(kind, true)] as const));
        for (const [index, raw] of raws.entries()) seen.set(group[index]!, raw);
      }
    });

    test('every kind ends, and is counted', () => {
      const stats = storm.stats();
      assert.deepEqual([stats.running, stats.calls - calls], [0, kinds.length * 2]);
      for (const [kind] of kinds) assert.equal(stats.byFault[kind]! % 2, 0, kind);
    });

    test('a harmless kind loses no content', () => {
      const spoiled = kinds.filter(([kind, behaviour]) => {
        if (harmIn(behaviour, form) !== 'none') return false;
        const [complete, stream] = seen.get(kind)!;
        return fails(complete, false) || fails(stream, true) || !agree(kind, read(complete, false), read(stream, true));
      });
      assert.deepEqual(namesOf(spoiled), []);
    });

    test('a harmful kind is detectable', () => {
      const unseen = kinds.filter(([kind, behaviour]) => {
        const harm = harmIn(behaviour, form);
        if ((harm !== 'before' && harm !== 'after') || SILENT.has(kind)) return false;
        const [complete, stream] = seen.get(kind)!;
        return (behaviour.on !== 'stream' && !fails(complete, false)) || (behaviour.on !== 'non-streaming' && !fails(stream, true));
      });
      assert.deepEqual(namesOf(unseen), []);
    });
  });
}

const namesOf = (list: typeof kinds): string[] => list.map(([kind]) => kind);

/** The harm in a dialect and framing; `none` where the fault does not apply. */
function harmIn(behaviour: FaultBehaviour, { dialect, framing }: Form): Harm {
  const { harm, elsewhere, only, form } = behaviour;
  const acts = only === undefined || only === dialect || (only === 'sse' && framing === undefined);
  if (!acts && !('content' in behaviour) && !('refuse' in behaviour) && form === undefined) return 'none';
  return elsewhere?.[framing ?? 'sse'] ?? elsewhere?.[dialect] ?? harm;
}

const GROUP = 10;

function groupsOf(list: readonly StormFaultKind[]): StormFaultKind[][] {
  return Array.from({ length: Math.ceil(list.length / GROUP) }, (_, at) => list.slice(at * GROUP, (at + 1) * GROUP));
}

/** Valid on the wire: only an HTTP client, or the request itself, reveals the fault. */
const SILENT = new Set<StormFaultKind>(['head-huge', 'encoding-unknown', '400-parameter']);

/** Whether a stream has the content of the non-streaming response, and is not empty. */
function agree(kind: string, complete: Reading, stream: Reading): boolean {
  return complete.text !== '' && (DIFFERS.has(kind) || unspaced(complete.text) === unspaced(stream.text));
}

/** Arguments are text in one form and JSON in the other. */
function unspaced(text: string): string {
  return text.replaceAll(/\s/g, '');
}
