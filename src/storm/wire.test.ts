/** Breaks and splits at any byte, manual framing, and endless responses. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { startStorm } from './index.ts';
import type { Storm } from './index.ts';
import { isWhole, rawCall, readSse, textOf } from './raw-call.fixture.ts';

const STREAM = { stream: true };

let storm: Storm;
before(async () => {
  storm = await startStorm({ timing: { tokens: 3 } });
});
after(() => storm.close());

const call = (fault: string, body: object = {}, enough?: (text: string) => boolean) => rawCall(storm.port, fault, body, enough);

/** Removes ids and times, which differ between calls. */
const settled = (bytes: Buffer): string =>
  bytes
    .toString('latin1')
    .replaceAll(/storm\d+|_storm1_\d+/g, 'storm')
    .replaceAll(/"created":\d+/g, '"created":0');

test('a body is cut at exactly the requested byte', async () => {
  for (const body of [{}, STREAM]) {
    const whole = (await call('one-packet', body)).body;
    const offsets = [0, 1, 5, 100, 101, whole.length - 1];
    for (const [index, raw] of (await Promise.all(offsets.map((at) => call(`cut-byte-${at}`, body)))).entries()) {
      assert.deepEqual([raw.end, isWhole(raw), raw.body.length], ['FIN', false, offsets[index]]);
    }
    assert.equal((await call('reset-byte-50', body)).end, 'RST');
  }
});

test('the whole response is cut at exactly the requested byte, head and chunk framing included', async () => {
  for (const at of [1, 20, 200, 260, 300, 301, 302, 303]) {
    const raw = await call(`wire-cut-${at}`, STREAM);
    assert.deepEqual([raw.end, raw.bytes.length], ['FIN', at]);
  }
  const head = await call('head-cut-30');
  assert.deepEqual([head.bytes.length, head.status], [30, 0]);
});

test('a cut can fall inside a character', async () => {
  const raw = await call('cut-character-1', STREAM);
  assert.equal(Buffer.from(raw.body.toString()).equals(raw.body), false, 'what came is no UTF-8');
  assert.equal(raw.end, 'FIN');
});

test('chunks are cut in their data, their size and their end', async () => {
  const ends = await Promise.all(
    ['chunk-cut-1', 'chunk-cut-size-1', 'chunk-cut-end-1', 'chunk-no-end', 'chunk-bad-1'].map((fault) => call(fault, STREAM)),
  );
  const [data, size, end, none, bad] = ends.map((raw) => raw.rest.toString('latin1'));
  assert.match(data!, /\r\n[\da-f]{2,3}\r\ndata: \{[^\n]*$/);
  assert.match(size!, /\n\n\r\n[\da-f]$/);
  assert.match(end!, /\n\n$/);
  assert.match(none!, /\[DONE\]\n\n\r\n$/);
  assert.match(bad!, /storm\r\nx\r\n$/);
  assert.ok(ends.every((raw) => raw.end === 'FIN' && !isWhole(raw)));
});

test('a body split at every byte, or into writes of any size, is unchanged', async () => {
  const usual = settled((await call('one-packet', STREAM)).body);
  const faults = Array.from({ length: 40 }, (_, at) => [
    `split-at-${1 + at * 17}`,
    `split-${1 + at * 3}`,
    `wire-split-${1 + at * 3}`,
  ]).flat();
  for (const raw of await Promise.all(['bytes', 'wire-bytes', ...faults].map((fault) => call(fault, STREAM)))) {
    assert.equal(settled(raw.body), usual);
    assert.ok(isWhole(raw));
  }
});

test('combined kinds act in the order in which they are named', async () => {
  const raw = await call('unicode+crlf+gzip-one+split-5', STREAM);
  assert.equal(raw.headers['content-encoding'], 'gzip');
  assert.match(textOf(raw), /Mælström[^\n]*\r\n\r\n/);
  const first = /^([\da-f]+)\r\n/.exec(raw.rest.toString('latin1'))?.[1];
  assert.equal(first, '5', 'five bytes a chunk');
  assert.deepEqual([storm.stats().byFault['unicode'], storm.stats().byFault['gzip-one']], [1, 1]);
  assert.equal(storm.stats().log.at(-1)?.fault, 'unicode+crlf+gzip-one+split');
});

test('flushed parts of a compressed stream can be read before its end', async () => {
  const raw = await call('gzip-one+stall-2', STREAM, (text) => text.length > 500 && text.endsWith('\r\n'));
  assert.equal(raw.end, 'open');
  // Z_SYNC_FLUSH: data may end early.
  assert.equal(readSse(gunzipSync(raw.body, { finishFlush: 2 }).toString()).length, 3);
});

test('an endless kind continues until its caller disconnects, and is counted as aborted', async () => {
  while (storm.stats().running > 0) await call('no-done', STREAM);
  const before = storm.stats().aborted;
  for (const [kind, text] of [
    ['comments-endless-1', ': STORM PROCESSING'],
    ['comments-endless-content-1', ': keep-alive'],
    ['preamble-endless-0', '"role":"assistant"'],
    ['endless-0', '"delta":{"content"'],
  ] as const) {
    const raw = await call(kind, STREAM, (seen) => seen.split(text).length > 30);
    assert.equal(raw.end, 'open', kind);
  }
  while (storm.stats().running > 0) await call('no-done', STREAM);
  assert.equal(storm.stats().aborted - before, 4);
});

test('a caller that does not read blocks an endless stream', async () => {
  const socket = connect(storm.port, '127.0.0.1').pause();
  const body = JSON.stringify({ model: 'fault-line-long-4000000+endless-0', stream: true, messages: [{ role: 'user', content: 'x' }] });
  socket.write(`POST /v1/chat/completions HTTP/1.1\r\nHost: storm\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  while (storm.stats().running === 0) await call('no-done');
  const memory = process.memoryUsage().rss;
  for (let turn = 0; turn < 50; turn++) await call('no-done');
  assert.ok(process.memoryUsage().rss - memory < 64 * 1024 * 1024);
  socket.destroy();
  while (storm.stats().running > 0) await call('no-done');
});

test('wrong lengths, and informational responses before the final one', async () => {
  const long = await call('length-long');
  assert.equal(Number(long.headers['content-length']) - long.rest.length, 10);
  const short = await call('length-short');
  assert.equal(Number(short.headers['content-length']) - short.rest.length, -10);
  assert.match((await call('continue')).bytes.toString('latin1'), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /);
  assert.match((await call('early-hints', STREAM)).bytes.toString('latin1'), /^HTTP\/1\.1 103 Early Hints\r\n[^]*HTTP\/1\.1 200 /);
  assert.equal((await call('type-missing')).headers['content-type'], undefined);
  assert.ok((await call('head-huge-20000')).headers['x-storm-long']!.length === 20_000);
});

test("errors are written in other providers' formats, whatever the reason", async () => {
  const bodyOf = async (fault: string) => (await call(fault)).body.toString();
  assert.deepEqual(Object.keys(JSON.parse(await bodyOf('503-flat')) as object), ['object', 'message', 'type', 'param', 'code']);
  assert.match(await bodyOf('429-quota; shape=string'), /^\{"error":"You exceeded/);
  assert.match(await bodyOf('429-quota; shape=array'), /^\[\{"error":\{"message"/);
  assert.match(await bodyOf('401; shape=quoted'), /^"\{\\"error\\"/);
  assert.match(await bodyOf('400-azure-filter; shape=words'), /^The response was filtered/);
  assert.match(await bodyOf('429-retry-info-1500'), /RetryInfo","retryDelay":"1\.5s"/);
  const event = async (fault: string) => readSse((await call(fault, STREAM)).body.toString()).at(-1)!;
  assert.equal((await event('error-content-event-1')).event, 'error');
  assert.match((await event('error-first; reason=rate-limit; shape=google')).data, /"status":"RESOURCE_EXHAUSTED"/);
  assert.match((await event('error-first-double')).data, /^\{"error":\{"message":"\{\\"error\\"/);
  const zipped = await call('503-gzip');
  assert.match(textOf(zipped), /server_is_overloaded/);
});
