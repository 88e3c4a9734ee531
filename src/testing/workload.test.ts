import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSeededRandom } from './seeded-random.ts';
import { draw } from './spread.ts';
import { bodyOf, generateLoad, PROMPT_MARKS } from './workload.ts';

test('a spread has the configured median and 95th percentile', () => {
  const random = createSeededRandom(1);
  const values = Array.from({ length: 20_000 }, () => draw({ p50: 100, p95: 400 }, random)).toSorted((a, b) => a - b);
  assert.ok(Math.abs(values[10_000]! - 100) < 5, `${values[10_000]}`);
  assert.ok(Math.abs(values[19_000]! - 400) < 25, `${values[19_000]}`);
  assert.equal(draw(7, random), 7);
  assert.equal(draw({ p50: 5, p95: 5 }, random), 5);
  assert.equal(draw({ samples: [] }, random), 0);
  assert.ok([1, 2].includes(draw({ samples: [1, 2] }, random)));
});

test('a load follows its rate and shape, in order, and is the same for the same seed', () => {
  const load = { durationMs: 600_000, requestsPerMinute: 300, shape: [1, 3, 0, 1], kinds: [{ model: 'a', weight: 3 }, { model: 'b' }] };
  const requests = generateLoad(load, createSeededRandom(5));
  assert.deepEqual(generateLoad(load, createSeededRandom(5)), requests);
  const inPart = (part: number): number => requests.filter(({ atMs }) => Math.floor(atMs / 150_000) === part).length;
  for (const [part, expected] of [750, 2_250, 0, 750].entries())
    assert.ok(Math.abs(inPart(part) - expected) <= expected * 0.15, `${inPart(part)}`);
  assert.ok(requests.every(({ atMs }, i) => i === 0 || atMs >= requests[i - 1]!.atMs));
  assert.equal(new Set(requests.map(({ id }) => id)).size, requests.length);
  const share = requests.filter(({ model }) => model === 'a').length / requests.length;
  assert.ok(Math.abs(share - 0.75) < 0.05, `${share}`);
});

test('a body is a chat request of the requested size', () => {
  const [request] = generateLoad(
    { durationMs: 60_000, requestsPerMinute: 60, kinds: [{ model: 'm', inputTokens: 1_000, outputBound: 9, images: 2, stream: 1 }] },
    createSeededRandom(1),
  );
  const text = bodyOf(request!);
  const body = JSON.parse(text) as {
    messages: { content: { type: string; text?: string }[] }[];
    max_tokens: number;
    stream: boolean;
    user: string;
  };
  const [part, ...images] = body.messages[0]!.content;
  assert.equal(part!.text!.length + PROMPT_MARKS, 4_000);
  assert.deepEqual(
    images.map(({ type }) => type),
    ['image_url', 'image_url'],
  );
  assert.deepEqual([body.max_tokens, body.stream, body.user], [9, true, 'r1']);
  assert.ok(text.length > 2_000_000);
});
