import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MultipartStream } from './multipart-stream.ts';

const TYPE = 'multipart/form-data; boundary=----b';

function part(name: string, content: string, filename?: string): string {
  const file = filename === undefined ? '' : `; filename="${filename}"`;
  return `------b\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n${content}\r\n`;
}

interface Read {
  parts: [string, string][];
  fault: string | null;
  isComplete: boolean;
}

function readAll(body: Buffer, size: number, type = TYPE): Read {
  const stream = new MultipartStream(type);
  const parts: [string, string][] = [];
  let fault: string | null = null;
  for (let at = 0; at < body.length && fault === null; at += size) {
    for (const event of stream.read(body.subarray(at, at + size))) {
      if (event.kind === 'part') parts.push([event.filename === '' ? event.name : `${event.name}:${event.filename}`, '']);
      else if (event.kind === 'content') parts.at(-1)![1] += Buffer.from(event.bytes).toString('latin1');
      else fault = event.message;
    }
  }
  return { parts, fault, isComplete: stream.isComplete };
}

test('a form is parsed in any chunking, including content that looks like its boundary', () => {
  const tricky = 'a\r\n------\r\n------bx is none?\r\n-----b\r\n\r\n';
  const text = `${part('file', tricky.replace('------bx', '-----bx'), 'ü.jsonl')}${part('empty', '')}${part('purpose', 'batch')}------b--\r\n`;
  const body = Buffer.from(text, 'latin1');
  const whole = readAll(body, body.length);
  assert.deepEqual(
    whole.parts.map(([name]) => name),
    ['file:\uFFFD.jsonl', 'empty', 'purpose'],
  );
  assert.deepEqual(whole.parts[0]![1], tricky.replace('------bx', '-----bx'));
  assert.deepEqual([whole.parts[1]![1], whole.parts[2]![1], whole.fault, whole.isComplete], ['', 'batch', null, true]);
  for (let size = 1; size < 64; size++) assert.deepEqual(readAll(body, size), whole, `pieces of ${size}`);
});

test('an invalid or ambiguous form is a fault in any chunking', () => {
  const good = part('file', 'x', 'a');
  for (const [text, message] of [
    [`preamble\r\n${good}------b--`, /does not begin with its boundary/],
    [`${good}------b--\r\nmore`, /after its closing boundary/],
    [good.replace('------b\r\n', '------b \r\n'), /data after a boundary/],
    [good.replace('; name="file"', '; name="file"; name="x"'), /disposition/],
    [good.replace('Content-Disposition', 'Content-Disposition: form-data; name="y"\r\nContent-Disposition'), /repeats a header/],
    [`------b\r\nx-long: ${'x'.repeat(20_000)}`, /too long/],
  ] as const) {
    const body = Buffer.from(text);
    for (const size of [1, 7, body.length])
      assert.match(readAll(body, size).fault ?? 'none', message, `${text.slice(0, 60)} in pieces of ${size}`);
  }
  const cut = readAll(Buffer.from(good), 5);
  assert.deepEqual([cut.fault, cut.isComplete], [null, false]);
  assert.match(readAll(Buffer.from(good), 5, 'multipart/form-data').fault ?? '', /names no boundary/);
});
