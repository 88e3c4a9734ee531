import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { mediaKindOf, readMediaResponse } from './media-response.ts';
import type { MediaKind } from './media-response.ts';

const read = (kind: MediaKind, value: unknown) =>
  readMediaResponse(kind, Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));
const kindOfFailure = (kind: MediaKind, value: unknown) => {
  const response = read(kind, value);
  return response.ok ? null : response.failure.kind;
};

test('endpoints are recognized by their path', () => {
  assert.equal(mediaKindOf('/images/generations?x=1'), 'images');
  assert.equal(mediaKindOf('/v2/rerank'), 'rerank');
  assert.equal(mediaKindOf('/moderations'), 'moderations');
  assert.equal(mediaKindOf('/images/generations/7'), null);
  assert.equal(mediaKindOf('/fine_tuning/jobs'), null);
});

const GOOD: readonly (readonly [MediaKind, unknown])[] = [
  ['images', { created: 1, data: [{ url: 'https://x' }] }],
  ['images', { created: 1, data: [{ b64_json: null }, { b64_json: 'AA' }] }],
  ['images', { data: [{ b64_json: 'A'.repeat(300_000) }] }],
  ['images', { images: [{ image_url: { url: 'https://x' } }] }],
  ['images', { output: ['https://x'] }],
  ['images', { id: 'job', status: 'queued' }],
  ['rerank', { results: [{ index: 0, relevance_score: 0 }] }],
  ['rerank', { object: 'list', data: [{ index: 0, relevance_score: 0.5 }] }],
  ['rerank', { output: { results: [{ index: 0, relevance_score: 0.5 }] }, request_id: 'r' }],
  ['rerank', { rankings: [{ index: 0, logit: -1 }] }],
  ['rerank', [{ index: 0, score: 0.5 }]],
  ['moderations', { id: 'm', results: [{ flagged: false, categories: {} }] }],
  ['moderations', { id: 'm', results: [{ categories: { hate: false }, category_scores: { hate: 0.1 } }] }],
  ['transcript', { text: '' }],
];

for (const [kind, value] of GOOD) {
  test(`${kind}: ${JSON.stringify(value).slice(0, 80)} is a response`, () => assert.equal(kindOfFailure(kind, value), null));
}

const HOLLOW: readonly (readonly [MediaKind, unknown])[] = [
  ['images', {}],
  ['images', { created: 1 }],
  ['images', { created: 1, data: [] }],
  ['images', { created: 1, data: null }],
  ['images', { created: 1, data: [{ url: null }, { b64_json: '' }, {}] }],
  ['images', { id: 'x', data: [{ revised_prompt: 'a cat', url: '' }] }],
  ['rerank', { id: 'r', results: [] }],
  ['rerank', { results: null }],
  ['rerank', { results: [{ index: 0, relevance_score: null }] }],
  ['rerank', { results: [{ index: 0, relevance_score: 0.5 }, { index: 1 }] }],
  ['rerank', []],
  ['moderations', { id: 'm', results: [] }],
  ['moderations', { id: 'm', results: [{}] }],
  ['moderations', { id: 'm', results: [{ flagged: null, categories: null }] }],
  ['transcript', {}],
  ['transcript', { text: null }],
];

for (const [kind, value] of HOLLOW) {
  test(`${kind}: ${JSON.stringify(value)} is empty`, () => assert.equal(kindOfFailure(kind, value), 'empty'));
}

test('an error with a success status is an error, and a cut text is malformed', () => {
  assert.equal(kindOfFailure('images', { error: { message: 'no' } }), 'error');
  assert.equal(kindOfFailure('rerank', { message: 'no' }), 'error');
  assert.equal(kindOfFailure('rerank', { message: 'fine', results: [{ index: 0, relevance_score: 1 }] }), null);
  assert.equal(kindOfFailure('moderations', '{"results":['), 'malformed');
  assert.equal(kindOfFailure('images', ' '), 'malformed');
});

for (const [path, good, ...bad] of [
  [
    ':embedContent',
    '{"embedding":{"values":[0.1,-2]}}',
    '{}',
    '{"embedding":null}',
    '{"embedding":{"values":[]}}',
    '{"embedding":{"values":["a"]}}',
    '{"embedding":{"values":[1,null]}}',
    '{"embedding":{"values":[1e999]}}',
  ],
  [
    ':batchEmbedContents',
    '{"embeddings":[{"values":[1]},{"values":[2]}]}',
    '{"embeddings":[]}',
    '{"embeddings":[{"values":[1]},{"values":[]}]}',
  ],
  [':countTokens', '{"totalTokens":0}', '{}', '{"totalTokens":null}', '{"totalTokens":-5}', '{"totalTokens":"5"}'],
] as const) {
  test(`a response of Gemini's ${path} without its content is empty`, () => {
    const kind = mediaKindOf(`/v1beta/models/x${path}`)!;
    assert.equal(readMediaResponse(kind, Buffer.from(good)).ok, true);
    for (const body of bad) assert.equal(readMediaResponse(kind, Buffer.from(body)).ok, false, body);
  });
}
