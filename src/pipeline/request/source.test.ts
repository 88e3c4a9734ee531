import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GatewayRequest } from './gateway-request.ts';
import { sourceOf } from './source.ts';

interface Parts {
  readonly body?: string;
  readonly client?: string;
  readonly credential?: string;
  readonly session?: string;
  readonly path?: string;
}

function source({ body = '{}', client = 'app', credential, session, path = '/chat/completions' }: Parts) {
  const request = { client: { name: client }, callerCredential: credential ?? null, sessionKey: session ?? null, path };
  return sourceOf({ ...request, body: { bytes: Buffer.from(body) } } as unknown as GatewayRequest);
}

test('the same request is the same source, whatever its length', () => {
  for (const length of [0, 1, 3, 4, 5, 383, 384, 385, 1000, 100_000]) {
    const body = 'x'.repeat(length);
    assert.deepEqual(source({ body }), source({ body }));
    assert.notEqual(source({ body }).request, source({ body: `${body}x` }).request);
  }
});

test('every byte of a short body counts, and of a long one its beginning and its end', () => {
  const short = 'a'.repeat(384);
  const seen = new Set([source({ body: short }).request]);
  for (let i = 0; i < short.length; i++) seen.add(source({ body: `${short.slice(0, i)}b${short.slice(i + 1)}` }).request);
  assert.equal(seen.size, short.length + 1);
  const long = 'a'.repeat(50_000);
  for (const at of [0, 100, 49_900, 49_999]) {
    assert.notEqual(source({ body: `${long.slice(0, at)}b${long.slice(at + 1)}` }).request, source({ body: long }).request, `${at}`);
  }
});

test('ten thousand prompts that differ in a number have ten thousand sources', () => {
  const requests = Array.from(
    { length: 10_000 },
    (_, i) => source({ body: `{"messages":[{"role":"user","content":"article ${i}"}]}` }).request,
  );
  assert.equal(new Set(requests).size, 10_000);
});

test('a conversation is one source whatever its body; the same body of another client, or for another path, is another', () => {
  assert.equal(source({ session: 's', body: 'a' }).request, source({ session: 's', body: 'b' }).request);
  assert.notEqual(source({ session: 's' }).request, source({ session: 't' }).request);
  assert.notEqual(source({ client: 'app' }).request, source({ client: 'web' }).request);
  assert.notEqual(source({ path: '/embeddings' }).request, source({}).request);
});

test('callers without a client are distinguished by their credential, which is not stored', () => {
  const [one, two] = [source({ credential: 'sk-secret-1' }), source({ credential: 'sk-secret-2' })];
  assert.notEqual(one.client, two.client);
  assert.ok(!one.client.includes('secret'));
});
