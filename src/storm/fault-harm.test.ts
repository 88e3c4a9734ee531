/** The declared harm of each kind holds: a compliant client loses nothing to a harmless kind, and something to any other. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { FAULT_KINDS, startStorm } from './index.ts';
import type { Storm, StormFaultKind } from './index.ts';
import { isWhole, rawCall, readSse, textOf } from './raw-call.fixture.ts';
import type { Raw } from './raw-call.fixture.ts';

let storm: Storm;
before(async () => {
  storm = await startStorm({ timing: { tokens: 8 } });
});
after(() => storm.close());

interface Reading {
  text: string;
  /** Calls as id, name and arguments. */
  calls: string[];
  isFinished: boolean;
  isDone: boolean;
}

interface Part {
  index?: number;
  id?: string | null;
  function?: { name?: string | null; arguments?: unknown };
}

interface Message {
  content?: string | null;
  tool_calls?: Part[];
  function_call?: { name?: string; arguments?: string };
}

/** A compliant stream client: one choice, calls by index, or by id if there is none. */
function readStream(raw: Raw): Reading {
  const reading: Reading = { text: '', calls: [], isFinished: false, isDone: false };
  const calls: { id: string; name: string; arguments: string }[] = [];
  let last = -1;
  for (const { event, data } of readSse(textOf(raw))) {
    if (event === 'error') throw new Error('an error event');
    if (reading.isDone || data === '') continue;
    if (data === '[DONE]') reading.isDone = true;
    if (data === '[DONE]') continue;
    const chunk = JSON.parse(data) as {
      choices?: { delta?: Message; finish_reason?: string | null }[] | null;
      error?: unknown;
      object?: string;
    };
    if (Array.isArray(chunk) || chunk.object === 'error' || chunk.error !== undefined) throw new Error('an error event');
    for (const { delta = {}, finish_reason: finish } of chunk.choices ?? []) {
      if (typeof finish === 'string') reading.isFinished = true;
      reading.text += delta.content ?? '';
      const legacy = delta.function_call;
      for (const part of delta.tool_calls ?? (legacy === undefined ? [] : [{ index: 0, function: legacy }])) {
        const begins = typeof part.id === 'string' && part.id !== '' && !calls.some(({ id }) => id === part.id);
        last = begins && part.index === calls.length - 1 ? calls.length : (part.index ?? Math.max(0, last));
        const call = (calls[last] ??= { id: '', name: '', arguments: '' });
        if (part.id) call.id = part.id;
        const { name, arguments: fragment } = part.function ?? {};
        if (name !== undefined && name !== null && name !== call.name) call.name += name;
        call.arguments += typeof fragment === 'string' ? fragment : fragment ? JSON.stringify(fragment) : '';
      }
    }
  }
  reading.calls = calls.map((call) => `${call.name}(${call.arguments})`);
  return reading;
}

function readBody(raw: Raw): Reading {
  const body = JSON.parse(textOf(raw).replace(/^\uFEFF/, '')) as { choices: { message: Message; finish_reason: string | null }[] };
  const { message, finish_reason: finish } = body.choices[0]!;
  const parts = message.tool_calls ?? (message.function_call === undefined ? [] : [{ function: message.function_call }]);
  const calls = parts.map((part) => {
    const given = part.function?.arguments;
    return `${String(part.function?.name)}(${typeof given === 'string' ? given : given ? JSON.stringify(given) : ''})`;
  });
  return { text: message.content ?? '', calls, isFinished: finish !== null, isDone: true };
}

function read(raw: Raw): Reading {
  return /^(?:\uFEFF?\s*)[[{]/.test(textOf(raw)) ? readBody(raw) : readStream(raw);
}

const harmless = Object.entries(FAULT_KINDS).filter(([, { harm, endless }]) => harm === 'none' && endless !== true);
/** Kinds whose effect differs between streaming and non-streaming responses. */
const differs = new Set<string>(['duplicate', 'surrogates', 'tool-after-text']);

describe('a harmless fault loses no content', () => {
  for (const [kind] of harmless) {
    test(kind, async () => {
      const [complete, stream] = [await rawCall(storm.port, kind), await rawCall(storm.port, kind, { stream: true })];
      for (const raw of [complete, stream]) assert.ok(isWhole(raw) || kind.startsWith('close-delimited'), 'it ends properly');
      const [inOne, inParts] = [read(complete), read(stream)];
      assert.ok(inOne.isFinished && inParts.isFinished, 'it has a finish reason');
      assert.ok(inOne.text !== '' || inOne.calls.length > 0, 'it has content');
      if (differs.has(kind)) return;
      assert.deepEqual([inParts.text, inParts.calls], [inOne.text, inOne.calls]);
    });
  }
});

/** Whether a compliant client detects the failure, by the connection, a status, an error or unreadable data. */
function fails(raw: Raw): boolean {
  if (raw.status >= 300 || raw.status < 200 || !isWhole(raw)) return true;
  try {
    return !read(raw).isFinished;
  } catch {
    return true;
  }
}

/** Valid on the wire: only knowledge of the protocol reveals what is missing. */
const silent = new Set<StormFaultKind>(['head-huge', 'encoding-unknown', '400-parameter']);

describe('a harmful fault is detectable', () => {
  for (const [name, { harm, endless, on }] of Object.entries(FAULT_KINDS)) {
    const kind = name as StormFaultKind;
    if ((harm !== 'before' && harm !== 'after') || endless === true || silent.has(kind)) continue;
    test(kind, async () => {
      if (on !== 'stream') assert.ok(fails(await rawCall(storm.port, kind)), 'non-streaming');
      if (on === 'non-streaming') return;
      const raw = await rawCall(storm.port, kind, { stream: true });
      assert.ok(fails(raw), 'streamed');
      const text =
        raw.headers['content-encoding'] === undefined && raw.headers['content-type']?.includes('event-stream') === true
          ? raw.body.toString()
          : '';
      const saidAnything = /"(?:content|arguments|reasoning_content)":"[^"]/.test(text);
      assert.equal(saidAnything, harm === 'after' && !kind.startsWith('gzip'), `content ${harm}`);
    });
  }
});

test('under every degraded kind a response ends properly, and is not what was requested', async () => {
  const usual = read(await rawCall(storm.port, 'drip-1'));
  for (const [kind, { harm, on }] of Object.entries(FAULT_KINDS)) {
    if (harm !== 'degraded') continue;
    for (const body of on === 'stream' ? [{ stream: true }] : [{}, { stream: true }]) {
      const raw = await rawCall(storm.port, kind, body);
      assert.ok(raw.status === 200 && isWhole(raw), kind);
      if (kind === 'empty-choices') continue;
      assert.notDeepEqual([read(raw).text, read(raw).calls], [usual.text, usual.calls], kind);
    }
  }
});
