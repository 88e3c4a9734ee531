/** Responses that would block the event loop: refused, or read through an outline. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { ResponseConversion } from './conversion.ts';
import type { Dialect } from './dialect.ts';
import { DIALECTS } from './dialects.ts';
import { JsonOutline } from './json-outline.ts';

const OPTIONS = { id: 'r', model: 'm', createdAt: 0, includeUsage: true, tools: [], echo: {} };
const NAMES = ['openai-chat', 'openai-responses', 'anthropic-messages', 'gemini'] as const;
type Name = (typeof NAMES)[number];

/** A response with the text `text`, and `extra` as an unknown member. */
const SAYING: Readonly<Record<Name, (text: string, extra: unknown) => object>> = {
  'openai-chat': (text, extra) => ({
    choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }],
    extra,
  }),
  'openai-responses': (text, extra) => ({
    status: 'completed',
    output: [{ type: 'message', role: 'assistant', content: [{ type: 'output_text', text }] }],
    extra,
  }),
  'anthropic-messages': (text, extra) => ({
    type: 'message',
    role: 'assistant',
    content: [{ type: 'text', text }],
    stop_reason: 'end_turn',
    extra,
  }),
  gemini: (text, extra) => ({ candidates: [{ content: { role: 'model', parts: [{ text }] }, finishReason: 'STOP' }], extra }),
};

const bytesOf = (value: object): Buffer => Buffer.from(JSON.stringify(value));
const otherThan = (name: Name): Dialect => DIALECTS[NAMES.find((other) => other !== name)!];

for (const name of NAMES) {
  test(`a large text from ${name} is converted, a response of too many values is not`, () => {
    const conversion = new ResponseConversion(DIALECTS[name], otherThan(name), OPTIONS);
    const large = conversion.read(bytesOf(SAYING[name]('x'.repeat(8 * 1024 * 1024), null)), 1);
    assert.ok(large.ok && large.converted!.byteLength > 8 * 1024 * 1024);
    const many = conversion.read(bytesOf(SAYING[name]('hi', new Array(600_000).fill(0))), 1);
    assert.ok(!many.ok && many.failure.kind === 'malformed');
  });

  test(`an event of ${name} with too many values ends the converted stream`, () => {
    const conversion = new ResponseConversion(DIALECTS[name], otherThan(name), OPTIONS);
    const reader = conversion.createReader(64 * 1024 * 1024)!;
    const whole = DIALECTS[name].response.toStream(bytesOf(SAYING[name]('hi', null)), true);
    const [first] = Buffer.from(whole).toString().split('\n\n');
    const padded = first!.replace(/\}$/, `,"extra":[${new Array(600_000).fill('0').join(',')}]}`);
    const { failure } = reader.push(Buffer.from(`${padded}\n\n`));
    assert.equal(failure?.kind, 'malformed');
  });

  test(`the texts of a large response of ${name} are read from its outline`, () => {
    const body = bytesOf(SAYING[name]('the answer', new Array(200_000).fill({})));
    const outline = new JsonOutline();
    outline.push(body);
    const [choice] = DIALECTS[name].response.choices(body, outline);
    assert.equal(choice!.text, 'the answer');
  });
}
