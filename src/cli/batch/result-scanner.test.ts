import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResultScanner } from './result-scanner.ts';

test('the lines of a result file are found by their ids, however the file is split into chunks', () => {
  const ids = ['a', 'quote " and \\ and \n', '\u{1F600}', 'x'.repeat(512)];
  const lines = ids.map(
    (id, n) => `${JSON.stringify({ id: `batch_req_1_${n}`, custom_id: id, response: { body: 'y'.repeat(n * 40) } })}\n`,
  );
  const bytes = Buffer.from(lines.join(''));
  let start = 0;
  const expected = lines.map((line, n) => {
    const length = Buffer.byteLength(line);
    start += length;
    return { customId: ids[n]!, start: start - length, length };
  });
  for (const size of [1, 2, 7, 100, bytes.length]) {
    const scanner = new ResultScanner();
    const found = [];
    for (let at = 0; at < bytes.length; at += size) found.push(...scanner.read(bytes.subarray(at, at + size)));
    assert.deepEqual(found, expected, `chunks of ${size}`);
  }
});
