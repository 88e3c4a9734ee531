/** Streams of Messages and Responses are read without parsing each event, and with the same result. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { SecretScan } from '../../core/secrets/secret-scan.ts';
import { createMessagesStreamReader } from '../anthropic-messages/stream-reader.ts';
import { createResponsesStreamReader } from '../openai-responses/stream-reader.ts';
import type { StreamReader } from '../dialect.ts';
import type { EventWatcherOptions } from './event-watcher.ts';

type Options = Omit<EventWatcherOptions, 'form'>;

/** The result of a stream that arrives in chunks of these sizes, in bytes, and then whole. */
function read(reader: StreamReader, stream: string | Buffer, sizes: readonly number[] = []) {
  const bytes = Buffer.from(stream as string);
  const pushes = [];
  let from = 0;
  for (const size of sizes) pushes.push(reader.push(bytes.subarray(from, (from += size))));
  pushes.push(reader.push(bytes.subarray(from)));
  pushes.push(reader.end());
  return {
    facts: reader.facts,
    passed: Buffer.concat(pushes.flatMap(({ pieces }) => pieces)).toString('latin1'),
    isDone: pushes.some(({ done }) => done),
    failure: pushes.find(({ failure }) => failure !== null)?.failure ?? null,
    tokens: reader.estimatedOutputTokens,
    mayHoldSecret: reader.mayHoldSecret,
  };
}

const event = (value: { readonly type: string }, spaces = 0): string =>
  `event: ${value.type}\ndata: ${JSON.stringify(value).slice(0, -1)}${' '.repeat(spaces)}}\n\n`;

interface Case {
  readonly create: (options: Options) => StreamReader;
  readonly opening: string;
  readonly delta: (text: string, at: number) => string;
  readonly ending: string;
}

const cases: Readonly<Record<string, Case>> = {
  'Messages, text': {
    create: createMessagesStreamReader,
    opening:
      event({ type: 'message_start', message: { model: 'm', usage: { input_tokens: 3, output_tokens: 1 } } } as never) +
      event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } } as never),
    delta: (text, at) => event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } } as never, (at * 7) % 16),
    ending:
      event({ type: 'content_block_stop', index: 0 } as never) +
      event({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 9 } } as never) +
      event({ type: 'message_stop' }),
  },
  'Messages, reasoning': {
    create: createMessagesStreamReader,
    opening: event({ type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '' } } as never),
    delta: (thinking) => event({ type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking } } as never),
    ending: event({ type: 'message_delta', delta: { stop_reason: 'max_tokens' } } as never) + event({ type: 'message_stop' }),
  },
  Responses: {
    create: createResponsesStreamReader,
    opening: event({ type: 'response.created', sequence_number: 0, response: { model: 'm', status: 'in_progress', output: [] } } as never),
    delta: (delta, at) =>
      event({
        type: 'response.output_text.delta', sequence_number: at + 3, item_id: 'msg_1', output_index: 0, content_index: 0, delta,
        logprobs: [], obfuscation: 'abcdefgh'.slice(at % 8),
      } as never), // prettier-ignore
    ending: event({
      type: 'response.completed',
      sequence_number: 2000,
      response: { model: 'm', status: 'completed', output: [], usage: { input_tokens: 3, output_tokens: 9 } },
    } as never),
  },
};

const texts = ['a', ' word', 'é', '"', '\\', '\n', '\u0000', '😀', ' ', '}', '{"text":"x"}', 'data: x', '\u2028', ''];

for (const [name, { create, opening, delta, ending }] of Object.entries(cases)) {
  test(`${name}: a thousand deltas are read with a few parses`, (t) => {
    const stream = opening + Array.from({ length: 1000 }, (_, at) => delta(` word${at}`, at)).join('') + ending;
    const reader = create({ maxEventSize: 100_000 });
    const parse = t.mock.method(JSON, 'parse');
    const found = read(reader, stream);
    const parses = parse.mock.callCount();
    parse.mock.restore();
    assert.ok(parses < 20, `${parses} parses`);
    assert.equal(found.isDone, true);
    assert.equal(found.passed, Buffer.from(stream).toString('latin1'));
    assert.ok(found.tokens >= 1000 && found.tokens < 2500, `${found.tokens} tokens`);
  });

  test(`${name}: an event that spans chunks is read without parsing it`, (t) => {
    const deltas = Array.from({ length: 100 }, (_, at) => delta(` word${at}`, at)).join('');
    const reader = create({ maxEventSize: 100_000 });
    const parse = t.mock.method(JSON, 'parse');
    read(
      reader,
      opening + deltas + ending,
      Array.from({ length: 150 }, () => 80),
    );
    const parses = parse.mock.callCount();
    parse.mock.restore();
    assert.ok(parses < 30, `${parses} parses`);
  });

  test(`${name}: the shortcut changes nothing, on good and on damaged streams`, () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.constantFrom(...Buffer.from('"\\0 9}{,:x\n\r\t')), fc.nat({ max: 3 })), { maxLength: 3 });
    const sizes = fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 6 });
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...texts), { maxLength: 12 }),
        damage,
        sizes,
        fc.constantFrom(170, 100_000),
        (parts, hits, cuts, maxEventSize) => {
          let bytes = Buffer.from(opening + parts.map(delta).join('') + ending);
          for (const [at, byte, kind] of hits) {
            const place = at % (bytes.length + 1);
            // Overwrite, insert, remove, or repeat a part.
            const middle = kind === 2 ? [] : kind === 3 ? bytes.subarray(place, place + 60) : [byte];
            const rest = bytes.subarray(place + (kind === 0 || kind === 2 ? 1 : 0));
            bytes = Buffer.concat([bytes.subarray(0, place), Buffer.from(middle), rest]);
          }
          const { tokens: _, ...full } = read(create({ maxEventSize, shortcut: false }), bytes, cuts);
          const { tokens: __, ...short } = read(create({ maxEventSize }), bytes, cuts);
          assert.deepEqual(short, full);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test(`${name}: a secret in a delta is found`, () => {
    const scan = (): SecretScan => new SecretScan([Buffer.from('sk-secret-0123456789')]);
    const plain = Array.from({ length: 20 }, (_, at) => delta(` word${at}`, at)).join('');
    assert.equal(read(create({ maxEventSize: 100_000, secrets: scan() }), opening + plain + ending).mayHoldSecret, false);
    for (const text of ['sk-secret-0123456789', ' the key is sk-secret-01', '0123456789 is its end']) {
      const stream = opening + plain + delta(text, 5) + plain + ending;
      const [short, full] = [true, false].map((shortcut) => read(create({ maxEventSize: 100_000, secrets: scan(), shortcut }), stream));
      assert.equal(short!.mayHoldSecret, full!.mayHoldSecret, text);
    }
    assert.equal(
      read(create({ maxEventSize: 100_000, secrets: scan() }), opening + plain + delta('sk-secret-0123456789', 5)).mayHoldSecret,
      true,
    );
  });
}

test('an invalid or long number is not taken for the number of an event', () => {
  const { create, opening, delta } = cases['Responses']!;
  for (const [number, kind] of [
    ['007', 'malformed'],
    ['1.', 'malformed'],
    ['12345678901', undefined],
    ['-4', undefined],
  ] as const) {
    const stream = opening + delta('a', 1) + delta('b', 2) + delta('c', 3).replace('"sequence_number":6', `"sequence_number":${number}`);
    const found = read(create({ maxEventSize: 100_000 }), stream + delta('d', 4));
    assert.equal(found.failure?.kind === 'malformed', kind === 'malformed', number);
  }
});
