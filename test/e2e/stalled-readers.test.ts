/** Streams whose callers stop reading hold the places of a concurrency limit: others who wait for those places get them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chatResponse } from '../../src/testing/simulated-chat.ts';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/simulated-upstream.ts';
import { drive, startVirtualWorld } from './virtual.ts';
import type { VirtualWorld } from './virtual.ts';
import { chatBody } from './harness.ts';
import { errorOf } from './world.ts';

const SECOND = 1_000;
const CLIENTS = ['greedy', 'modest'].map((name) => ({ name, key: `sk-client-${name}` }));
const as = (client: string) => ({ authorization: `Bearer sk-client-${client}` });
const eventOf = (content: string) => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`;
const PIECE = eventOf('some words '.repeat(1000));

/** A long stream, a piece every 100 ms. */
function* long(): Generator<SimulatedResponse['steps'] extends Iterable<infer S> ? S : never> {
  yield { do: 'head', status: 200, headers: { 'content-type': 'text/event-stream' } };
  for (let i = 0; i < 100_000; i++) {
    yield { do: 'send', bytes: PIECE };
    yield { do: 'wait', ms: 100 };
  }
}

const provider = ({ body }: SimulatedCall): SimulatedResponse =>
  body.includes('"stream":true') ? { steps: long() } : { steps: [{ do: 'wait', ms: 200 }, ...chatResponse().steps] };

interface Stream {
  readonly response: Response;
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
}

/** Streams that are asked for and not read. */
async function unread(world: VirtualWorld, client: string, count: number): Promise<Stream[]> {
  const streams: Stream[] = [];
  for (let i = 0; i < count; i++) {
    const response = await drive(world.clock, begin(world, client, i));
    streams.push({ response, reader: response.body!.getReader() });
  }
  return streams;
}

function begin(world: VirtualWorld, client: string, i: number): Promise<Response> {
  return world.fetch('http://breakwater/v1/chat/completions', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...as(client) },
    body: JSON.stringify(chatBody({ stream: true, messages: [{ role: 'user', content: `story ${i}` }] })),
  });
}

async function restOf({ reader }: Stream): Promise<string> {
  let text = '';
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += decoder.decode(value, { stream: true });
  }
}

const world = (t: Parameters<typeof startVirtualWorld>[0], concurrency: number) =>
  startVirtualWorld(t, { providers: { a: provider }, limits: { concurrency }, config: { clients: CLIENTS } });

describe('streams that their caller does not read', () => {
  it('give way to another client that waits for their places, within seconds', async (t) => {
    const w = await world(t, 4);
    const streams = await unread(w, 'greedy', 4);
    const seen = await w.answerTo({}, { ...as('modest'), 'x-breakwater-deadline-ms': '30000' });
    assert.equal(seen.status, 200);
    assert.ok(seen.endAtMs < 8 * SECOND, `${seen.endAtMs} ms`);
    await w.clock.advanceAsync(SECOND);
    const cancelled = w.eventsOf('attempt_end').filter(({ verdict }) => verdict === 'cancelled');
    assert.equal(cancelled.length, 1, 'one place was wanted, one was freed');
    const { code, message } = errorOf(await drive(w.clock, restOf(streams[0]!)));
    assert.equal(code, 'stream_interrupted');
    assert.match(message, /did not read its response while other requests waited/);
  });

  it('asked for again and again do not starve it', async (t) => {
    const w = await world(t, 4);
    const kept: Promise<unknown>[] = [];
    let asked = 0;
    const late: number[] = [];
    for (let second = 0; second < 60; second++) {
      for (let i = 0; i < 4; i++) kept.push(begin(w, 'greedy', asked++).catch(() => null));
      const answer = w.ask(
        { messages: [{ role: 'user', content: `short ${second}` }] },
        { ...as('modest'), 'x-breakwater-deadline-ms': '30000' },
      );
      kept.push(answer.done.then(({ status, endAtMs }) => late.push(status === 200 ? endAtMs : Infinity)));
      await w.clock.advanceAsync(SECOND);
    }
    await w.clock.advanceAsync(30 * SECOND);
    assert.equal(late.length, 60);
    late.sort((a, b) => a - b);
    t.diagnostic(`median ${late[30]} ms, longest ${late.at(-1)} ms`);
    assert.ok(
      late.every((ms) => ms < 15 * SECOND),
      `${late.at(-1)} ms`,
    );
    assert.ok(late[30]! < 3 * SECOND, `${late[30]} ms`);
  });

  it('keep their places while nobody waits for them, for two minutes', async (t) => {
    const w = await world(t, 4);
    await unread(w, 'greedy', 3);
    for (let i = 0; i < 10; i++) {
      assert.equal((await w.answerTo({ messages: [{ role: 'user', content: `short ${i}` }] }, as('modest'))).status, 200);
      await w.clock.advanceAsync(10 * SECOND);
    }
    assert.equal(w.eventsOf('attempt_end').filter(({ verdict }) => verdict === 'cancelled').length, 0);
    await w.clock.advanceAsync(30 * SECOND);
    assert.equal(w.eventsOf('attempt_end').filter(({ verdict }) => verdict === 'cancelled').length, 3);
  });

  it('that are read again in time go on', async (t) => {
    const w = await world(t, 2);
    const streams = await unread(w, 'greedy', 2);
    const waiting = w.ask({}, { ...as('modest'), 'x-breakwater-deadline-ms': '30000' });
    let read = 0;
    for (let i = 0; i < 150; i++) {
      const piece = streams[0]!.reader.read().then(({ value }) => (read += value?.byteLength ?? 0));
      await w.clock.advanceAsync(100);
      await piece;
    }
    assert.equal((await w.until(waiting.done)).status, 200);
    assert.ok(read > 1_000_000, `${read} bytes`);
    const cancelled = w.eventsOf('attempt_end').filter(({ verdict }) => verdict === 'cancelled');
    assert.equal(cancelled.length, 1, 'only the one that was not read');
    await streams[0]!.reader.cancel();
  });

  it('do not make a refusal promise that a longer deadline would have sufficed', async (t) => {
    const w = await world(t, 2);
    const before = Array.from({ length: 40 }, (_, i) => w.ask({ messages: [{ role: 'user', content: `before ${i}` }] }, as('modest')).done);
    await w.until(Promise.all(before)); // how fast places come free is known
    await unread(w, 'greedy', 2);
    const asked = Array.from(
      { length: 4 },
      (_, i) => w.ask({ messages: [{ role: 'user', content: `late ${i}` }] }, { ...as('modest'), 'x-breakwater-deadline-ms': '2000' }).done,
    );
    for (const refused of await w.until(Promise.all(asked))) {
      assert.equal(refused.status, 429, refused.text);
      const { code, message } = errorOf(refused.text);
      assert.equal(code, 'rate_limited');
      assert.doesNotMatch(message, /would have sufficed/, message);
      assert.match(message, /running calls hold every slot of a concurrency limit/);
    }
  });
});
