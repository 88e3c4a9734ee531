import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { SlicedWork } from '../../core/sliced-work.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import { signV4 } from '../../endpoint/sigv4.ts';
import { SigningTransport } from '../../transport/signing-transport.ts';
import type { Transport, UpstreamListener, UpstreamRequest } from '../../transport/transport.ts';
import { createSigners } from './signers.ts';

const IDENTITY = {
  kind: 'aws',
  region: 'eu-west-1',
  service: 'bedrock',
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'secret',
  sessionToken: null,
} as const;

function setUp() {
  const clock = createManualClock();
  const sent: UpstreamRequest[] = [];
  const inner: Transport = {
    send(request) {
      sent.push(request);
      return { abort() {}, pause() {}, resume() {} };
    },
    close: () => Promise.resolve(),
  };
  const signerOf = createSigners({ transport: inner, clock, slices: new SlicedWork(clock), onSecret() {}, onTrouble() {} });
  const errors: Error[] = [];
  const listener: UpstreamListener = { onSent() {}, onHeaders() {}, onData() {}, onEnd() {}, onError: (error) => errors.push(error) };
  return { clock, sent, errors, listener, transport: new SigningTransport(inner, clock), signer: signerOf(IDENTITY) };
}

function requestOf(body: UpstreamRequest['body']): Omit<UpstreamRequest, 'signer'> {
  const headers = ['content-type', 'application/json', 'accept', '*/*'];
  return { origin: 'https://bedrock.example', path: '/model/m/invoke', method: 'POST', headers, body, connectTimeoutMs: 3000 };
}

/** The expected body hash header. */
function expected(body: Uint8Array, epochMs: number): string[] {
  const bodyHash = createHash('sha256').update(body).digest('hex');
  const headers = ['host', 'bedrock.example', 'content-type', 'application/json'];
  return signV4({ method: 'POST', path: '/model/m/invoke', headers, bodyHash }, IDENTITY, IDENTITY, epochMs);
}

test('a small body is signed and sent at once', () => {
  const { clock, sent, listener, transport, signer } = setUp();
  const body = Buffer.from('{}');
  transport.send({ ...requestOf(body), signer: signer.begin() }, listener);
  assert.deepEqual(sent[0]!.headers.slice(4), expected(body, clock.epochMs()));
});

test('a large body, whole or in chunks, is hashed in slices and signed with the time of sending', async () => {
  const large = Buffer.alloc(5_000_001, 'ab');
  for (const body of [large, [large.subarray(0, 7), large.subarray(7, 3_000_000), large.subarray(3_000_000)]]) {
    const { clock, sent, errors, listener, transport, signer } = setUp();
    transport.send({ ...requestOf(body), signer: signer.begin() }, listener);
    assert.equal(sent.length, 0);
    await clock.advanceAsync(1000);
    assert.deepEqual(sent[0]!.headers.slice(4), expected(large, clock.epochMs() - 1000));
    assert.deepEqual([sent.length, errors.length, clock.pendingTimers], [1, 0, 0]);
  }
});

test('a request that is aborted while its body is hashed is not sent, and leaves no timers', async () => {
  const { clock, sent, errors, listener, transport, signer } = setUp();
  transport.send({ ...requestOf(Buffer.alloc(50_000_000)), signer: signer.begin() }, listener).abort();
  await clock.advanceAsync(10_000);
  assert.deepEqual([sent.length, errors.length, clock.pendingTimers], [0, 0, 0]);
});

test('a request waits for credentials at most as long as its connect timeout', async () => {
  const { clock, sent, errors, listener, transport } = setUp();
  const never = { sign: () => null, whenReady: () => () => {}, renew: () => false };
  transport.send({ ...requestOf(null), signer: never }, listener);
  await clock.advanceAsync(2699);
  assert.equal(errors.length, 0);
  await clock.advanceAsync(1);
  assert.match(errors[0]!.message, /no credentials within 2700 ms/);
  assert.deepEqual([sent.length, clock.pendingTimers], [0, 0]);
});
