/** One recorded stream in every cut that a network can give it: the caller's bytes, and what the SDK makes of them, stay the same. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { chatBody, startGateway } from './harness.ts';
import { CALLS, chunk, DONE, FINISH, inPieces, LINE_ENDS, RECORDED, SAID, TEXT, USAGE, withLineEnds } from './recorded-stream.ts';
import { readBySdk, SECOND, startReplay } from './replay.ts';
import type { Play } from './replay.ts';

const ASKED = { stream: true, stream_options: { include_usage: true } };
const UNASKED = { stream: true };
const STRIPPED = RECORDED.replace(USAGE, '');

const everySplit = (bytes: Buffer): Play[] =>
  inPieces(bytes, 1).map((_, cut) => ({ pieces: [bytes.subarray(0, cut), bytes.subarray(cut)] }));

for (const [name, end] of Object.entries(LINE_ENDS)) {
  test(`split at every byte, and with a packet for each byte, the recorded stream comes out as its own bytes (${name})`, async (t) => {
    const world = await startReplay(t);
    const stream = withLineEnds(RECORDED, end);
    const stripped = withLineEnds(STRIPPED, end);
    const sizes = [1, 2, 3, 5, 64, 1000].map((size): Play => ({ pieces: inPieces(stream, size) }));
    const splits = everySplit(stream);
    const same = async (plays: readonly Play[], body: Record<string, unknown>, expected: Buffer): Promise<void> => {
      for (const [at, got] of (await world.replayAll(plays, body)).entries()) {
        assert.equal(got.status, 200);
        assert.ok(got.bytes.equals(expected), `play ${at}: ${got.text}`);
      }
    };
    await same([...splits, ...sizes], UNASKED, stripped);
    await same([...splits.filter((_, at) => at % 5 === 0), ...sizes], ASKED, stream);
    const asked = world.upstream.calls.filter(({ body }) => body.includes('"include_usage":true'));
    assert.equal(asked.length, world.upstream.calls.length, 'usage is asked for always');
  });
}

test('a byte order mark at the very start, whole or in pieces, is all that is taken away', async (t) => {
  const world = await startReplay(t);
  const stream = Buffer.from(`\ufeff${RECORDED}`);
  const plays: Play[] = [...everySplit(stream).slice(0, 300), { pieces: inPieces(stream, 1) }];
  for (const got of await world.replayAll(plays, ASKED)) assert.equal(got.text, RECORDED);
});

test('the SDK hears the same events under every line end and chunking', async (t) => {
  const world = await startReplay(t);
  const whole = await world.bySdk({ pieces: [RECORDED] }, ASKED);
  assert.equal(whole.error, null);
  assert.deepEqual(said(whole.chunks), { content: SAID.content, calls: SAID.calls, usage: 20, finish: 'tool_calls' });
  for (const end of Object.values(LINE_ENDS)) {
    for (const mark of ['', '\ufeff']) {
      const stream = withLineEnds(mark + RECORDED, end);
      for (const size of [1, 2, 7, 83, 900]) {
        assert.deepEqual(await world.bySdk({ pieces: inPieces(stream, size) }, ASKED), whole);
        const stripped = await world.bySdk({ pieces: inPieces(stream, size) });
        assert.deepEqual(stripped.chunks, whole.chunks.filter((one) => (one as { choices: unknown[] }).choices.length > 0)); // prettier-ignore
      }
    }
  }
});

interface Delta {
  content?: string;
  tool_calls?: { index: number; id?: string; function: { name?: string; arguments: string } }[];
}

function said(chunks: readonly unknown[]): unknown {
  let content = '';
  let usage: number | null = null;
  let finish: string | null = null;
  const calls: [string, string, string][] = [];
  for (const one of chunks as { choices: { delta: Delta; finish_reason: string | null }[]; usage?: { total_tokens: number } }[]) {
    usage = one.usage?.total_tokens ?? usage;
    const choice = one.choices[0];
    finish = choice?.finish_reason ?? finish;
    content += choice?.delta.content ?? '';
    for (const call of choice?.delta.tool_calls ?? []) {
      calls[call.index] ??= [call.id ?? '', call.function.name ?? '', ''];
      calls[call.index]![2] += call.function.arguments;
    }
  }
  return { content, calls, usage, finish };
}

for (const ending of ['close', 'reset'] as const) {
  test(`cut after any byte by a ${ending}, the stream ends well only if its finish reason has come`, async (t) => {
    const world = await startReplay(t);
    const stream = Buffer.from(RECORDED);
    // With its data line whole an event is complete; a reset completes nothing.
    const finishAt = Buffer.byteLength(TEXT + CALLS + FINISH) - (ending === 'close' ? 2 : 0);
    const contentAt = RECORDED.indexOf('Häfen');
    const plays = inPieces(stream, 1).map((_, cut): Play => {
      // By turns in one packet, which may be all of it before anything is sent on, and in two.
      const from = cut % 2 === 0 ? 0 : cut >> 1;
      return { pieces: [stream.subarray(0, from), stream.subarray(from, cut)], end: ending };
    });
    for (const [cut, got] of (await world.replayAll(plays)).entries()) {
      if (cut >= finishAt) {
        assert.equal(got.text, STRIPPED, `cut at ${cut}`);
        continue;
      }
      assert.ok(!got.text.includes(DONE) || got.text.indexOf(DONE) < 0, `a terminator after ${cut} bytes`);
      if (got.status !== 200) {
        assert.ok(cut < contentAt + 100, `an error status after content: ${cut}`);
        continue;
      }
      const events = got.text.split('\n\n').filter((event) => event !== '');
      const sent = events.slice(0, -1).map((event) => `${event}\n\n`).join(''); // prettier-ignore
      assert.ok(STRIPPED.startsWith(sent) || sent === '', `only what the provider said: ${got.text}`);
      assert.match(events.at(-1)!, /^data: \{"error":\{.*"code":"stream_interrupted"\}\}$/);
    }
  });
}

test('what ends without its blank line is delivered, and completed', async (t) => {
  const world = await startReplay(t);
  const answer = chunk({ content: 'a' }) + chunk({}, 'stop');
  for (const end of Object.values(LINE_ENDS)) {
    for (const missing of [1, 2]) {
      for (const size of [1, 50, 1000]) {
        for (const tail of ['', DONE]) {
          const stream = withLineEnds((answer + tail).slice(0, -missing), end);
          const { chunks, error } = await world.bySdk({ pieces: inPieces(stream, size) });
          assert.deepEqual([said(chunks), error], [{ content: 'a', calls: [], usage: null, finish: 'stop' }, null]);
          const got = await world.replay({ pieces: inPieces(stream, size) });
          assert.match(got.text, /(^|\n|\r)data: \[DONE\](\n\n|\r\n\n|\r\n\r\n|\r\r)$/);
        }
      }
    }
  }
});

test('[DONE] ends a stream well, with a finish reason or without, but not inside a tool call', async (t) => {
  const world = await startReplay(t);
  for (const end of Object.values(LINE_ENDS)) {
    for (const stream of [TEXT + DONE, TEXT + CALLS + FINISH + DONE]) {
      const bytes = withLineEnds(stream, end);
      for (const got of await world.replayAll([...everySplit(bytes).slice(-20), { pieces: inPieces(bytes, 1) }])) {
        assert.ok(got.bytes.equals(bytes), got.text);
      }
    }
    const open = withLineEnds(TEXT + CALLS, end);
    for (const size of [1, 100, 5000]) {
      const got = await world.replay({ pieces: [open, ...inPieces(withLineEnds(DONE, end), size)] });
      assert.ok(got.text.startsWith(open.toString()) && !got.text.endsWith(DONE), got.text);
      assert.match(got.text.slice(open.length / 2), /"code":"stream_interrupted"\}\}\n\n$/);
    }
  }
});

test('what the SDK would die of never reaches it', async (t) => {
  const world = await startReplay(t);
  const direct = await world.bySdk({ pieces: [chunk({ content: 'a' }) + chunk({}, 'stop') + DONE] });
  for (const odd of ['data:\n\n', 'data: \n\n', 'data\n\n', 'event: ping\n\n', 'event: ping\ndata:\n\n']) {
    for (const done of [DONE, 'data:  [DONE]\n\n', 'data: [DONE] \n\n', 'event: done\ndata: [DONE]\n\n', '']) {
      const stream = Buffer.from(odd + chunk({ content: 'a' }) + odd + chunk({}, 'stop') + odd + done);
      for (const size of [1, 30, 1000]) assert.deepEqual(await world.bySdk({ pieces: inPieces(stream, size) }), direct, odd + done);
    }
  }
});

test('an event beyond the limit ends the stream in-band, one of just the limit passes, in pieces of any size', async (t) => {
  const world = await startReplay(t, { maxEventSize: '1mb' });
  const first = chunk({ content: 'a' });
  const empty = Buffer.byteLength(chunk({ content: '' }));
  for (const [more, isPassed] of [
    [0, true],
    [1, false],
  ] as const) {
    // prettier-ignore
    const event = chunk({ content: 'é'.repeat((1_048_576 - empty) >> 1) + 'x'.repeat((empty & 1) + more) });
    for (const size of [1000, 65_536, 2_000_000]) {
      const got = await world.replay({ pieces: [first, ...inPieces(Buffer.from(event + chunk({}, 'stop') + DONE), size)] });
      if (isPassed) assert.equal(got.text, first + event + chunk({}, 'stop') + DONE);
      else assert.match(got.text.slice(first.length), /^data: \{"error":\{[^\n]*"code":"stream_interrupted"\}\}\n\n$/);
    }
  }
});

test('bytes that are no UTF-8 go through as they are', async (t) => {
  const world = await startReplay(t);
  const [before, after] = chunk({ content: 'x|y' }).split('|') as [string, string];
  for (const bad of [[0xff], [0xc3], [0xf0, 0x9f, 0x98], [0xed, 0xa0, 0x80]]) {
    const stream = Buffer.concat([Buffer.from(TEXT + before), Buffer.from(bad), Buffer.from(after + chunk({}, 'stop') + DONE)]);
    const plays = [...everySplit(stream).slice(TEXT.length), { pieces: inPieces(stream, 1) }];
    for (const got of await world.replayAll(plays)) assert.ok(got.bytes.equals(stream));
  }
});

const FAULTS: Readonly<Record<string, string>> = {
  'half of a JSON event': 'data: {"choices":[{"index":0,"delta":{"content":"lo\n\n',
  'words that are no JSON': 'data: upstream connect error\n\n',
  'a JSON list': 'data: [1]\n\n',
  'an error object': 'data: {"error":{"message":"Overloaded","type":"t","code":"busy"}}\n\n',
  'an error of words': 'data: {"error":"Overloaded"}\n\n',
  'an error in a list': 'data: [{"error":{"code":503,"message":"Overloaded","status":"UNAVAILABLE"}}]\n\n',
  'an error in a string': `data: ${JSON.stringify('{"error":{"message":"Overloaded"}}')}\n\n`,
  'a flat error': 'data: {"object":"error","message":"Overloaded","code":503}\n\n',
  'an error beside choices':
    'data: {"error":{"message":"Overloaded","code":502},"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}\n\n',
  'an error event': 'event: error\ndata: {"message":"Overloaded"}\n\n',
  'an error event of words': 'event:error\ndata:Overloaded\n\n',
  'an error on two lines': 'data: {"error":\ndata: {"message":"Overloaded"}}\n\n',
  'a bare JSON error': '{"error":{"message":"Overloaded"}}\n\n',
};

for (const [name, fault] of Object.entries(FAULTS)) {
  test(`${name} after content becomes an in-band error, and before it another provider's answer, wherever it is cut`, async (t) => {
    const world = await startReplay(t, { second: true });
    for (const end of Object.values(LINE_ENDS)) {
      const said = withLineEnds(chunk({ role: 'assistant', content: '' }) + chunk({ content: 'a' }), end);
      const late = Buffer.concat([said, withLineEnds(fault + chunk({}, 'stop') + DONE, end)]);
      const cuts = [...everySplit(late).slice(said.length - 2, said.length + fault.length + 5), { pieces: inPieces(late, 1) }];
      for (const got of await world.replayAll([...cuts, { pieces: [said, late.subarray(said.length)] }])) {
        if (got.text.includes(SECOND)) continue; // It came with the first content: nothing had gone out.
        assert.ok(got.text.startsWith(said.toString()), got.text);
        assert.match(got.text.slice(said.length), /^\s*data: \{"error":\{[^\n]*"code":"stream_interrupted"\}\}\n\n$/);
      }
      const early = withLineEnds(chunk({ role: 'assistant', content: '' }) + fault + chunk({ content: 'never' }) + DONE, end);
      for (const got of await world.replayAll([...everySplit(early), { pieces: inPieces(early, 1) }])) {
        assert.ok(got.text.includes(SECOND) && got.text.endsWith(DONE) && !got.text.includes('never'), got.text);
      }
    }
  });
}

test('a packet for each byte on real sockets changes nothing', { timeout: 60_000 }, async (t) => {
  let pieces: readonly Buffer[] = [];
  const baseUrl = await startProvider(t, () => pieces);
  const gateway = await startGateway({ providers: { a: { protocol: 'openai', baseUrl, apiKey: 'sk-test' } }, models: { fast: ['a/m'] } });
  t.after(() => gateway.close());
  const whole = { content: SAID.content, calls: SAID.calls, usage: 20, finish: 'tool_calls' };
  for (const end of Object.values(LINE_ENDS)) {
    const stream = withLineEnds(RECORDED, end);
    const splits = Array.from({ length: 12 }, (_, at) => Math.floor(((at + 1) * stream.length) / 13));
    for (const cut of [[1], ...splits.map((split) => [split, stream.length])]) {
      pieces = cut.length === 1 ? inPieces(stream, 1) : [stream.subarray(0, cut[0]), stream.subarray(cut[0])];
      const response = await gateway.chat(UNASKED);
      assert.ok(Buffer.from(await response.arrayBuffer()).equals(withLineEnds(STRIPPED, end)));
      const { chunks, error } = await readBySdk(gateway.openai, chatBody(ASKED) as never);
      assert.deepEqual([said(chunks), error], [whole, null]);
    }
  }
});

/** A provider on a bare socket that writes each piece by itself, and closes after the last. */
async function startProvider(t: TestContext, pieces: () => readonly Buffer[]): Promise<string> {
  const server = createServer({ noDelay: true }, (socket: Socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n');
      writeEach(socket, pieces(), 0);
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  t.after(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

function writeEach(socket: Socket, pieces: readonly Buffer[], at: number): void {
  const piece = pieces[at];
  if (piece === undefined || socket.destroyed) return void socket.end();
  socket.write(piece, () => writeEach(socket, pieces, at + 1));
}
