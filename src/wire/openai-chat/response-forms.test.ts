import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { convertForm, isUnfinished } from './response-forms.ts';
import { decodeRequest } from '../decode-request.ts';
import { openaiChat } from './dialect.ts';
import { normalForm } from '../request-identity.ts';
import { IGNORED } from './dialect.ts';

const usage = { inputTokens: 9, cachedInputTokens: 4, outputTokens: 2 };
const event = (delta: object, finish: string | null = null) =>
  `data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', model: 'm', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const usageEvent =
  'data: {"id":"x","object":"chat.completion.chunk","model":"m","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}\n\n';
const words = event({ role: 'assistant', content: 'two ' }) + event({ content: 'words' }) + event({}, 'stop');
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const stream = (includesUsage: boolean) => ({
  body: Buffer.from(`${words}${includesUsage ? usageEvent : ''}data: [DONE]\n\n`),
  isStream: true,
  includesUsage,
  usage,
});

test('a response that already has the requested form is returned as the same bytes', () => {
  const stored = stream(true);
  assert.equal(convertForm(stored, { stream: true, usage: true }), stored.body);
  const nonStreaming = { body: Buffer.from('{}'), isStream: false, includesUsage: false, usage: null };
  assert.equal(convertForm(nonStreaming, { stream: false, usage: false }), nonStreaming.body);
});

test('a stream that was stored without usage has it where requested', () => {
  const streamed = text(convertForm(stream(false), { stream: true, usage: true }));
  assert.ok(streamed.startsWith(words));
  assert.match(streamed, /"choices":\[\],"usage":\{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11/);
  assert.match(streamed, /\n\ndata: \[DONE\]\n\n$/);
  const nonStreaming = JSON.parse(text(convertForm(stream(false), { stream: false, usage: false }))) as { usage: { total_tokens: number } };
  assert.equal(nonStreaming.usage.total_tokens, 11);
});

test('a stream that was stored with usage has none where not requested', () => {
  assert.equal(text(convertForm(stream(true), { stream: true, usage: false })), `${words}data: [DONE]\n\n`);
});

test('a response is unfinished by the finish reason of a choice, never by its text', () => {
  const response = (content: string, finish: string) =>
    Buffer.from(JSON.stringify({ choices: [{ message: { content }, finish_reason: finish }] }, null, 1));
  assert.equal(isUnfinished(response('words', 'length')), true);
  assert.equal(isUnfinished(response('words', 'content_filter')), true);
  assert.equal(isUnfinished(response('"finish_reason": "length"', 'stop')), false);
});

function formOf(json: string): string {
  const decoded = decodeRequest(openaiChat, 'chat', Buffer.from(json));
  if (!decoded.ok) throw new Error(decoded.message);
  return normalForm(decoded.body, IGNORED);
}

test('numbers that JavaScript can’t distinguish are distinguished', () => {
  const ask = (seed: string) => formOf(`{"model":"m","messages":[],"seed":${seed}}`);
  assert.notEqual(ask('9007199254740993'), ask('9007199254740992'));
  assert.equal(ask('1.0'), ask('1'));
});

/** Writes the same value with its members in the order of `rank`, and white space. */
function write(value: unknown, rank: (name: string) => number): string {
  if (Array.isArray(value)) return `[ ${value.map((each) => write(each, rank)).join(' , ')} ]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const names = Object.keys(value).toSorted((a, b) => rank(a) - rank(b));
  return `{ ${names.map((name) => `${JSON.stringify(name)} :\n${write((value as Record<string, unknown>)[name], rank)}`).join(',\t')} }`;
}

test('property: the normal form is equal for every order and spacing, and different for every other value', () => {
  const member = fc.tuple(
    // `N` is refused: it differs from a known field in case only.
    fc.string().filter((name) => name !== '__proto__' && name !== 'N'),
    fc.jsonValue({ maxDepth: 3 }),
  );
  fc.assert(
    fc.property(
      fc.array(member, { maxLength: 6 }),
      fc.integer({ min: 1, max: 1e6 }),
      fc.jsonValue({ maxDepth: 2 }),
      (members, salt, other) => {
        const request = { ...Object.fromEntries(members), model: 'm', messages: [{ role: 'user', content: 'x' }] };
        const rank = (name: string) => Array.from(name).reduce((sum, char) => (sum * 31 + char.charCodeAt(0) * salt) % 9973, salt);
        const form = formOf(JSON.stringify(request));
        assert.equal(formOf(write(request, rank)), form);
        assert.equal(
          formOf(JSON.stringify({ ...request, stream: true, user: 'u' })),
          formOf(JSON.stringify({ ...request, stream: false })),
        );
        const changed = { ...request, messages: [{ role: 'user', content: 'x' }, other] };
        assert.notEqual(formOf(JSON.stringify(changed)), form);
      },
    ),
    { numRuns: 200 },
  );
});
