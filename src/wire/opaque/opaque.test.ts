import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import { createSeededRandom } from '../../testing/seeded-random.ts';
import { decodeRequest } from '../decode-request.ts';
import type { Dialect } from '../dialect.ts';
import { DIALECTS } from '../dialects.ts';
import { itemsAt, membersAt, textAt } from '../json-cursor.ts';
import type { RequestBody } from '../request-body.ts';
import { cutsOf, opaqueId, UNREADABLE, UNSIGNED } from './opaque.ts';
import type { OpaquePiece, Slot, SlotList } from './opaque.ts';

const messages = DIALECTS['anthropic-messages'];
const chat = DIALECTS['openai-chat'];

function decode(dialect: Dialect, body: unknown): RequestBody {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const decoded = decodeRequest(dialect, 'chat', Buffer.from(text));
  assert.ok(decoded.ok);
  return decoded.body;
}

const piecesOf = (dialect: Dialect, list: unknown[], more: object = {}): readonly OpaquePiece[] =>
  dialect.opaque.find(decode(dialect, { model: 'm', max_tokens: 1, messages: list, ...more })).pieces;
const summary = (pieces: readonly OpaquePiece[]): string[] => pieces.map(({ kind, field, id }) => `${kind} ${field} ${id}`);

/** The messages that remain without the pieces. */
function without(dialect: Dialect, list: unknown[], keep: (piece: OpaquePiece) => boolean = () => false, model = 'm'): unknown {
  const body = decode(dialect, { model: 'm', max_tokens: 1, messages: list, tail: [1] });
  const removed = dialect.opaque.find(body).pieces.filter((piece) => !keep(piece));
  const cuts = cutsOf(removed, model);
  const sent = dialect.request.edit(body, { model, cuts });
  const parsed = JSON.parse(Buffer.from(sent as Uint8Array).toString()) as { messages: unknown; tail: unknown };
  assert.deepEqual(parsed.tail, [1]);
  return parsed.messages;
}

const thinking = (signature?: string) => ({ type: 'thinking', thinking: 'hm', ...(signature === undefined ? {} : { signature }) });
const text = { type: 'text', text: 'yes' };
const user = { role: 'user', content: 'hi' };
const assistant = (...content: unknown[]) => ({ role: 'assistant', content });

describe('opaque pieces of a Messages request', () => {
  it('are signed and redacted thinking of the model, and ids of objects in one account', () => {
    const image = { type: 'image', source: { type: 'file', file_id: 'file_1' } };
    const list = [
      { role: 'user', content: [image, { type: 'container_upload', file_id: 'file_2' }] },
      assistant(thinking('a'), { type: 'redacted_thinking', data: 'b' }, thinking(), thinking('breakwater-foreign'), text),
      {
        role: 'user',
        content: [{ type: 'tool_result', tool_use_id: 't', content: [{ type: 'document', source: { type: 'file', file_id: 'file_3' } }] }],
      },
      assistant({ type: 'compaction', content: 'so far' }),
    ];
    const found = piecesOf(messages, list, { container: { id: 'c1' }, thread: { type: 'continue', previous_message_id: 'msg_1' } });
    assert.deepEqual(summary(found), [
      `state file_id ${opaqueId('file_1')}`,
      `state file_id ${opaqueId('file_2')}`,
      `reasoning thinking ${opaqueId('a')}`,
      `reasoning redacted_thinking ${opaqueId('b')}`,
      `reasoning thinking ${UNSIGNED}`,
      `reasoning thinking ${UNREADABLE}`,
      `state file_id ${opaqueId('file_3')}`,
      `state compaction ${opaqueId('so far')}`,
      `state container ${opaqueId('c1')}`,
      `state thread ${opaqueId('msg_1')}`,
    ]);
    assert.deepEqual(summary(piecesOf(messages, [user], { container: 'c2' })), [`state container ${opaqueId('c2')}`]);
  });

  it('have the same id however their characters are escaped', () => {
    const body = String.raw`{"model":"m","max_tokens":1,"messages":[{"role":"assistant","content":[{"signature":"a\u002Bb\/c","type":"thinking"}]}]}`;
    assert.equal(messages.opaque.find(decode(messages, body)).pieces[0]!.id, opaqueId('a+b/c'));
  });

  it('are removed as blocks, and a turn of nothing else as a turn', () => {
    const call = { type: 'tool_use', id: 't', name: 'n', input: {} };
    assert.deepEqual(without(messages, [user, assistant(thinking('a'), text, thinking('b'), call), user]), [
      user,
      assistant(text, call),
      user,
    ]);
    assert.deepEqual(without(messages, [user, assistant(thinking('a'), thinking('b')), user]), [user, user]);
    assert.deepEqual(without(messages, [user, assistant(thinking('a')), assistant(thinking('b')), user]), [user, user]);
    const keepsB = ({ id }: OpaquePiece) => id === opaqueId('b');
    assert.deepEqual(without(messages, [user, assistant(thinking('a'), thinking('b'))], keepsB), [user, assistant(thinking('b'))]);
  });

  it('are not found in text of a user, a tool or a schema', () => {
    const list = [
      { role: 'user', content: [thinking('a'), { type: 'text', text: '{"signature":"x"}' }] },
      assistant({ type: 'tool_use', id: 't', name: 'n', input: { signature: 'x', type: 'thinking' } }),
    ];
    const tools = [{ name: 'n', input_schema: { properties: { signature: { type: 'string' } } } }];
    assert.deepEqual(
      piecesOf(messages, list, { tools }).filter(({ slot }) => slot !== null),
      [],
    );
  });

  it('are searched for only if the scan has found their names', () => {
    const holds = (list: unknown[], more: object = {}): boolean | undefined =>
      decode(messages, { model: 'm', max_tokens: 1, messages: list, ...more }).opaque;
    assert.equal(holds([assistant(thinking('a'))]), true);
    assert.equal(holds([assistant({ type: 'redacted_thinking', data: 'b' })]), true);
    assert.equal(holds([user], { container: 'c' }), true);
    assert.equal(holds([user, { role: 'user', content: 'a "signature" and an \\"encrypted_content\\": "x"' }]), false);
    assert.equal(
      holds([{ role: 'user', content: [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } }] }]),
      false,
    );
  });
});

describe('opaque pieces of a chat request', () => {
  const google = (signature: string) => ({ google: { thought_signature: signature } });
  const call = (extra?: object) => ({ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' }, ...extra });

  it('are in the members that hosts add', () => {
    const message = {
      role: 'assistant',
      content: 'yes',
      reasoning_details: [
        { type: 'reasoning.text', text: 'hm', signature: 'a' },
        { type: 'reasoning.encrypted', data: 'b' },
        { type: 'reasoning.summary', summary: 's' },
      ],
      thinking_blocks: [thinking('c')],
      encrypted_content: 'd',
      tool_calls: [call({ extra_content: google('e') }), call()],
      extra_content: google('f'),
      audio: { id: 'g' },
    };
    const file = { role: 'user', content: [{ type: 'file', file: { file_id: 'h' } }] };
    assert.deepEqual(summary(piecesOf(chat, [message, file])), [
      `reasoning reasoning_details ${opaqueId('a')}`,
      `reasoning reasoning_details ${opaqueId('b')}`,
      `reasoning thinking_blocks ${opaqueId('c')}`,
      `reasoning encrypted_content ${opaqueId('d')}`,
      `signature thought_signature ${opaqueId('e')}`,
      `signature thought_signature ${opaqueId('f')}`,
      `state audio.id ${opaqueId('g')}`,
      `state file_id ${opaqueId('h')}`,
    ]);
    const {
      reasoning_details: [, , kept],
      thinking_blocks: _t,
      encrypted_content: _e,
      extra_content: _x,
      ...left
    } = message;
    assert.deepEqual(without(chat, [message]), [{ ...left, reasoning_details: [kept], tool_calls: [call(), call()] }]);
  });

  it('leave no empty list behind', () => {
    assert.deepEqual(without(chat, [{ reasoning_details: [{ data: 'b' }], role: 'assistant', content: 'x' }]), [
      { role: 'assistant', content: 'x' },
    ]);
  });

  it("are replaced with the placeholder signature that Google's models accept", () => {
    const message = { role: 'assistant', content: null, tool_calls: [call({ extra_content: google('e') })] };
    const replaced = { ...message, tool_calls: [call({ extra_content: google('skip_thought_signature_validator') })] };
    assert.deepEqual(without(chat, [message], undefined, 'gemini-3-pro'), [replaced]);
  });
});

describe('removing pieces', () => {
  it('leaves valid JSON without exactly those pieces, whatever white space and other pieces are around', () => {
    const random = createSeededRandom(7);
    const pick = (max: number): number => Math.floor(random.next() * max);
    const space = (): string => ['', ' ', '\n\t', '  '][pick(4)]!;
    for (let round = 0; round < 2_000; round++) {
      const outer = Array.from({ length: 1 + pick(4) }, () => Array.from({ length: 1 + pick(4) }, () => pick(100)));
      const json = `[${outer.map((list) => `${space()}[${list.map((n) => space() + n + space()).join(',')}]${space()}`).join(',')}]`;
      const bytes = Buffer.from(json);
      const turns: SlotList = { spans: itemsAt(bytes, 0), within: null };
      const slots: Slot[] = [];
      const left = outer
        .map((list, o) => {
          const inner: SlotList = { spans: itemsAt(bytes, turns.spans[o]!.start), within: { list: turns, index: o } };
          return list.filter((_, index) => {
            if (pick(2) === 0) return true;
            slots.push({ list: inner, index });
            return false;
          });
        })
        .filter((list) => list.length > 0);
      let from = 0;
      let sent = '';
      for (const { start, end } of cutsOf(
        slots.map((slot) => ({ kind: 'reasoning', field: '', id: '', slot, standIn: null })),
        'm',
      )) {
        assert.ok(start >= from, 'in order');
        sent += json.slice(from, start);
        from = end;
      }
      assert.deepEqual(JSON.parse(sent + json.slice(from)), left, json);
    }
  });

  it('reads values in place like a parser', () => {
    const json = String.raw` {"a" : [1,-2.5e3, "x\"]}\\" ,{ } ,[], null ] , "b\u0062":{"c":"\u00e9"},"d":true}`;
    const bytes = Buffer.from(json);
    const members = membersAt(bytes, 1);
    assert.deepEqual(
      members.map(({ name }) => name),
      ['a', 'bb', 'd'],
    );
    const parsed = JSON.parse(json) as { a: unknown[] };
    const items = itemsAt(bytes, members[0]!.valueStart);
    assert.deepEqual(
      items.map(({ start, end }) => JSON.parse(json.slice(start, end)) as unknown),
      parsed.a,
    );
    assert.equal(textAt(bytes, items[2]!.start, items[2]!.end), String.raw`x"]}\``.replace('`', ''));
    assert.deepEqual([itemsAt(bytes, 1), membersAt(bytes, members[0]!.valueStart)], [[], []]);
  });
});

describe('opaque pieces of a response', () => {
  const read = (dialect: Dialect, body: unknown): readonly string[] | undefined => {
    const result = dialect.response.read('chat', Buffer.from(JSON.stringify(body)), 1, null);
    return result.ok ? result.facts.opaque : undefined;
  };
  const watch = (dialect: Dialect, events: string): readonly string[] | undefined => {
    const reader = dialect.stream.watch({ operation: 'chat', keepUsage: true, maxEventSize: 1e6 })!;
    for (const byte of Buffer.from(events)) reader.push(Buffer.from([byte]));
    return reader.facts.opaque;
  };
  const event = (type: string, fields: object): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;

  it('are the same in a message and in its stream', () => {
    const content = [thinking('a'), { type: 'redacted_thinking', data: 'b' }, { ...thinking(), signature: '' }, text];
    const message = { type: 'message', content, stop_reason: 'end_turn', container: { id: 'c' } };
    const expected = ['a', 'b', '', 'c'].map(opaqueId);
    assert.deepEqual(read(messages, message), expected);
    const deltas = (index: number, block: object, ...list: object[]): string =>
      event('content_block_start', { index, content_block: block }) +
      list.map((delta) => event('content_block_delta', { index, delta })).join('') +
      event('content_block_stop', { index });
    const stream =
      event('message_start', { message: { ...message, content: [], stop_reason: null, container: null } }) +
      deltas(
        0,
        { type: 'thinking', thinking: '', signature: '' },
        { type: 'thinking_delta', thinking: 'hm' },
        { type: 'signature_delta', signature: 'a' },
      ) +
      deltas(1, content[1]!) +
      deltas(2, { type: 'thinking', thinking: '', signature: '' }, { type: 'thinking_delta', thinking: 'hm' }) +
      deltas(3, { type: 'text', text: '' }, { type: 'text_delta', text: 'yes' }) +
      event('message_delta', { delta: { stop_reason: 'end_turn', container: { id: 'c' } }, usage: { output_tokens: 1 } }) +
      event('message_stop', {});
    assert.deepEqual(watch(messages, stream), expected);
    assert.equal(read(messages, { ...message, content: [text], container: null }), undefined);
  });

  it('are found in chat messages and their deltas', () => {
    const message = {
      role: 'assistant',
      content: 'x',
      reasoning_details: [{ signature: 'a' }, { data: 'b' }],
      tool_calls: [
        { id: 'c', type: 'function', function: { name: 'f', arguments: '{}' }, extra_content: { google: { thought_signature: 'e' } } },
      ],
    };
    const expected = ['a', 'b', 'e'].map(opaqueId);
    assert.deepEqual(read(chat, { choices: [{ message, finish_reason: 'stop' }] }), expected);
    assert.deepEqual(watch(chat, `data: ${JSON.stringify({ choices: [{ index: 0, delta: message }] })}\n\ndata: [DONE]\n\n`), expected);
    assert.equal(read(chat, { choices: [{ message: { role: 'assistant', content: 'x' }, finish_reason: 'stop' }] }), undefined);
  });
});
