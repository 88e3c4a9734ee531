import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { SseFramer } from './sse-framer.ts';

interface SseEvent {
  readonly name: string;
  readonly data: string;
}

/** A literal implementation of the specification, on the complete stream. Also returns an event at the end without blank line. */
function referenceEvents(bytes: Uint8Array): SseEvent[] {
  const lines = new TextDecoder('utf-8').decode(bytes).split(/\r\n|\n|\r/);
  const events: SseEvent[] = [];
  let data = '';
  let name = '';
  for (const line of [...lines, '']) {
    if (line === '') {
      if (data !== '') events.push({ name, data: data.endsWith('\n') ? data.slice(0, -1) : data });
      data = '';
      name = '';
      continue;
    }
    if (line.startsWith(':')) continue;
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') data += `${value}\n`;
    if (field === 'event') name = value;
  }
  return events;
}

function split(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let from = 0;
  for (let i = 0; from < bytes.length; i++) {
    const size = sizes.length === 0 ? bytes.length : (sizes[i % sizes.length] ?? 1);
    chunks.push(bytes.subarray(from, from + size));
    from += size;
  }
  return chunks;
}

function framed(chunks: readonly Uint8Array[], maxEventSize = 1_000_000): { events: SseEvent[]; bytes: Buffer; tooLarge: boolean } {
  const framer = new SseFramer(maxEventSize);
  const events: SseEvent[] = [];
  const blocks: Uint8Array[] = [];
  const take = (): void => {
    blocks.push(Buffer.from(framer.bytes.subarray(framer.start, framer.end)));
    const data = framer.readData();
    if (data !== null) events.push({ name: framer.eventName, data });
  };
  for (const chunk of chunks) {
    framer.push(chunk);
    while (framer.next()) take();
  }
  if (framer.finish()) take();
  return { events, bytes: Buffer.concat(blocks), tooLarge: framer.tooLarge };
}

const events = (text: string): SseEvent[] => framed([Buffer.from(text)]).events;

test('reads events as specified', () => {
  const cases: [string, SseEvent[]][] = [
    ['data: a\n\n', [{ name: '', data: 'a' }]],
    ['data:a\r\n\r\ndata:b\r\r', [{ name: '', data: 'a' }, { name: '', data: 'b' }]],
    ['data:  two spaces\n\n', [{ name: '', data: ' two spaces' }]],
    ['data: a\ndata: b\ndata\n\n', [{ name: '', data: 'a\nb\n' }]],
    ['event: error\ndata: x\n\n', [{ name: 'error', data: 'x' }]],
    ['event:error\n\ndata: x\n\n', [{ name: '', data: 'x' }]],
    [': comment\n\n:\n\n\n\n', []],
    ['data\n\n', [{ name: '', data: '' }]],
    ['data:\n\n', [{ name: '', data: '' }]],
    ['id: 1\nretry: 5\nunknown: z\nDATA: no\n data: no\ndata: yes\n\n', [{ name: '', data: 'yes' }]],
    ['\ufeffdata: marked\n\n', [{ name: '', data: 'marked' }]],
    ['data: x\n\n\ufeffdata: y\n\n', [{ name: '', data: 'x' }]],
    ['data: last', [{ name: '', data: 'last' }]],
    ['data: last\n', [{ name: '', data: 'last' }]],
    ['data: a: b\n\n', [{ name: '', data: 'a: b' }]],
  ]; // prettier-ignore
  for (const [text, expected] of cases) {
    assert.deepEqual(
      events(text).filter((e) => e.data !== '' || expected.length > 0),
      expected,
      JSON.stringify(text),
    );
    assert.deepEqual(framed(split(Buffer.from(text), [1])).events, events(text), JSON.stringify(text));
  }
});

test('an event is returned as soon as its blank line arrives; the LF that may belong to it follows separately', () => {
  const framer = new SseFramer(1000);
  framer.push(Buffer.from('data: a\r\n\r'));
  assert.equal(framer.next(), true);
  assert.equal(framer.readData(), 'a');
  assert.equal(framer.awaitsLineFeed, true);
  assert.equal(framer.next(), false);
  framer.push(Buffer.from('\ndata: b\n\n'));
  assert.equal(framer.next(), true);
  assert.deepEqual([framer.isLateLineFeed, framer.start, framer.end, framer.readData()], [true, 0, 1, null]);
  assert.equal(framer.next(), true);
  assert.deepEqual([framer.isLateLineFeed, framer.readData()], [false, 'b']);
});

test('does not wait for an LF in a stream that ends lines with CR alone', () => {
  const framer = new SseFramer(1000);
  framer.push(Buffer.from('data: a\r\r'));
  assert.equal(framer.next(), true);
  assert.equal(framer.awaitsLineFeed, false);
  framer.push(Buffer.from('data: b\r\r'));
  assert.equal(framer.next(), true);
  assert.equal(framer.isLateLineFeed, false);
  assert.equal(framer.readData(), 'b');
});

test('characters that span chunks are joined, and invalid UTF-8 becomes U+FFFD', () => {
  const text = 'data: é€😀\n\n';
  for (const size of [1, 2, 3]) assert.deepEqual(framed(split(Buffer.from(text), [size])).events, [{ name: '', data: 'é€😀' }]);
  const bad = Buffer.concat([Buffer.from('data: a'), Buffer.from([0xff, 0xc3]), Buffer.from('\n\n')]);
  assert.deepEqual(framed(split(bad, [1])).events, [{ name: '', data: 'a\ufffd\ufffd' }]);
});

test('complete events in a chunk are ranges of that chunk', () => {
  const chunk = Buffer.from('data: a\n\ndata: b\n\ndata: c');
  const framer = new SseFramer(1000);
  framer.push(chunk);
  const ranges: number[][] = [];
  while (framer.next()) ranges.push([framer.start, framer.end, framer.bytes === chunk ? 1 : 0]);
  assert.deepEqual(ranges, [
    [0, 9, 1],
    [9, 18, 1],
  ]);
});

test('an event larger than the limit stops the stream, in one chunk or several; one of exactly the limit passes', () => {
  const event = Buffer.from(`data: ${'x'.repeat(92)}\n\n`);
  for (const size of [1, 7, 1000]) {
    assert.equal(framed(split(event, [size]), 100).tooLarge, false);
    assert.equal(framed(split(event, [size]), 99).tooLarge, true);
  }
  assert.equal(framed([Buffer.from(`data: ${'x'.repeat(200)}`)], 100).tooLarge, true);
});

test('the limit is the same in any chunking and with any line break, and counts bytes, not characters', () => {
  for (const newline of ['\n', '\r\n', '\r']) {
    const event = Buffer.from(`: é€😀${newline}data: ${'😀'.repeat(30)}${newline}${newline}`);
    // It must not matter whether the LF of the last CRLF arrives in time.
    const size = event.length - (newline === '\r\n' ? 1 : 0);
    for (let cut = 1; cut < event.length; cut++) {
      const chunks = [event.subarray(0, cut), event.subarray(cut)];
      assert.equal(framed(chunks, size).tooLarge, false);
      assert.equal(framed(chunks, size - 1).tooLarge, true);
    }
  }
});

test('an endless comment and an endless field name are bounded too', () => {
  for (const text of [': ping ', 'no-colon', 'data: x\ndata: y\n', 'id: 1\r']) {
    const framer = new SseFramer(10_000);
    for (let i = 0; i < 10_000 && !framer.tooLarge; i++) {
      framer.push(Buffer.from(text));
      while (framer.next());
    }
    assert.equal(framer.tooLarge, true, text);
  }
});

test('a large event in chunks of any size takes linear time', () => {
  const sizes = [1, 7, 100, 65_536];
  const msFor = (length: number, size: number): number => {
    const chunks = split(Buffer.from(`data: ${'x'.repeat(length)}\n\n`), [size]);
    const startedAt = performance.now();
    assert.equal(framed(chunks, 1e9).events[0]?.data.length, length);
    return performance.now() - startedAt;
  };
  // Quadratic time would be minutes here.
  for (const size of sizes) assert.ok(msFor(size === 1 ? 1_000_000 : 8_000_000, size) < 5_000, `pieces of ${size}`);
});

test('retains no memory of events that have passed', () => {
  const framer = new SseFramer(64 * 1024 * 1024);
  framer.push(Buffer.from(`data: ${'x'.repeat(10_000_000)}`));
  assert.equal(framer.next(), false);
  framer.push(Buffer.from('\n\n'));
  assert.equal(framer.next(), true);
  assert.equal(framer.next(), false);
  assert.equal(framer.bytes.length + framer.chunk.length + framer.text.length, 0);
});

test('an event that spans chunks takes at most twice its size', () => {
  for (const length of [1, 20, 300, 5_000, 100_000]) {
    const bytes = Buffer.from(`: ${'x'.repeat(length)}\n\n`);
    const framer = new SseFramer(1_000_000);
    for (const chunk of split(bytes, [1])) {
      framer.push(chunk);
      if (!framer.next()) continue;
      // Small buffers share a pool.
      const { buffer } = framer.bytes;
      assert.ok(buffer.byteLength <= Math.max(bytes.length * 2, Buffer.poolSize + 64), `${length}: ${buffer.byteLength}`);
    }
  }
});

const line = fc.oneof(
  fc.constantFrom(
    '',
    '',
    'data',
    'data:',
    'data: ',
    'event: error',
    'event:x',
    ':',
    ': ping',
    'id: 1',
    'data: [DONE]',
    'datax: 1',
    'event',
  ),
  fc.string().map((s) => `data: ${s.replaceAll(/[\r\n]/g, '')}`),
  fc.string({ unit: 'binary' }),
);
const newline = fc.constantFrom('\n', '\n', '\r\n', '\r');
const streamBytes = fc
  .tuple(fc.boolean(), fc.array(fc.tuple(line, newline)), line)
  .map(([mark, lines, last]) => Buffer.from((mark ? '\ufeff' : '') + lines.flat().join('') + last));

test('returns the events and the bytes of the reference in any chunking', () => {
  fc.assert(
    fc.property(streamBytes, fc.array(fc.integer({ min: 1, max: 12 })), (bytes, sizes) => {
      const found = framed(split(bytes, sizes));
      assert.deepEqual(found.events, referenceEvents(bytes));
      const unmarked = bytes.subarray(bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0);
      assert.deepEqual(found.bytes, Buffer.from(unmarked));
    }),
    { numRuns: 3000 },
  );
});

test('reads damaged bytes as the reference does', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.array(fc.integer({ min: 1, max: 9 })), (junk, sizes) => {
      const bytes = Buffer.concat([Buffer.from('data: '), junk, Buffer.from('\n\ndata: x\n\n')]);
      assert.deepEqual(framed(split(bytes, sizes)).events, referenceEvents(bytes));
    }),
    { numRuns: 2000 },
  );
});

test('an idle stream keeps nothing of a chunk whose fields were read', () => {
  const framer = new SseFramer(1_000_000);
  framer.push(Buffer.from('data: one\n\n'));
  assert.equal(framer.next(), true);
  assert.equal(framer.readData(), 'one');
  assert.equal(framer.next(), false);
  assert.equal(framer.readData(), null);
});
