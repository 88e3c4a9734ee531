import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryStore } from '../store/memory/memory-store.ts';
import { SlicedWork } from '../core/sliced-work.ts';
import { createManualClock } from '../testing/manual-clock.ts';
import { systemClock } from './system-clock.ts';
import { ConversationHistory } from './response-history.ts';
import { ResponseStore } from './response-store.ts';

function stage() {
  const clock = createManualClock();
  const responses = new ResponseStore(createMemoryStore({ clock }), clock, { transport: null as never, routeOf: () => null });
  return { responses, history: new ConversationHistory(responses, new SlicedWork(systemClock)) };
}

const message = (text: string) => ({ type: 'message', role: 'user', content: text });
const response = (id: string, text = '') => ({ id, status: 'completed', output: [{ id: 'm', status: 'completed', ...message(text) }] });
const body = (value: object): Uint8Array => Buffer.from(JSON.stringify(value));

test('a request and a response of maximum size are both stored', async () => {
  const { responses } = stage();
  const text = 'x'.repeat(250 * 1024);
  const kept = { previous: null, input: [message(text)], response: response('a', text), maker: 'a/m' };
  responses.put('web', 'a', kept, 2 * text.length);
  assert.deepEqual(await responses.get('web', 'a'), kept);
  assert.equal(await responses.get('other', 'a'), null);
  responses.delete('web', 'a');
  assert.equal(await responses.get('web', 'a'), null);
});

test('a conversation is expanded in order, without item ids', async () => {
  const { responses, history } = stage();
  responses.put('web', 'a', { previous: null, input: [message('one')], response: response('a', 'two'), maker: 'p/m' }, 100);
  responses.put('web', 'b', { previous: 'a', input: [], response: response('b', 'three'), maker: 'q/m' }, 100);
  const found = await history.of('web', body({ model: 'm', previous_response_id: 'b', input: 'four', max: 1 }));
  assert.deepEqual([found!.previous, found!.maker], ['b', 'q/m']);
  const own = { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'four' }] };
  assert.deepEqual(JSON.parse(Buffer.from(found!.body.bytes).toString()), {
    model: 'm',
    max: 1,
    input: [message('one'), message('two'), message('three'), own],
  });
  assert.equal(await history.of('other', body({ model: 'm', previous_response_id: 'b', input: 'x' })), undefined);
});

test('a conversation counts as buffered bytes, and is refused beyond the limit', async () => {
  const { responses, history } = stage();
  responses.put('web', 'a', { previous: null, input: [message('x'.repeat(1_000))], response: response('a'), maker: 'p/m' }, 100);
  let held = 0;
  const reference = { previous: 'a', input: [], wantsStored: true };
  const request = body({ model: 'm', previous_response_id: 'a', input: 'x' });
  await history.follow('web', request, reference, (bytes) => (held += bytes));
  assert.ok(held > 1_000, `${held}`);
  const refuse = (): void => {
    throw new Error('no room');
  };
  await assert.rejects(history.follow('web', request, reference, refuse), /no room/);
});

test('a background response can be referred to once it has ended', async () => {
  const { history } = stage();
  history.begin('web', 'a', body({ model: 'm', input: 'one' }));
  const request = body({ model: 'm', previous_response_id: 'a', input: 'x' });
  assert.equal(await history.of('web', request), undefined);
  await history.end('web', 'a', response('a', 'two'), 'p/m');
  assert.equal((await history.of('web', request))!.maker, 'p/m');
});
