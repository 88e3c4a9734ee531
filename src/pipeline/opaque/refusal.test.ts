import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import { createFailure } from '../../wire/failure.ts';
import { refusesOpaque } from './refusal.ts';

const status = (message: string, found: object = {}) => createFailure('status', 'headers', message, { status: 400, ...found });

describe('a refusal of an opaque piece', () => {
  for (const message of [
    'messages.1.content.0: Invalid `signature` in `thinking` block',
    'The model returned the following errors: messages.3.content.0: Invalid `signature` in `thinking` block',
    'messages.1.content.2: Invalid `data` in `redacted_thinking` block',
    'messages.5.content.0: This `thinking` block is bound to a different conversation.',
    'The encrypted content gAAA… could not be verified. Reason: Encrypted content could not be decrypted or parsed.',
    'Encrypted function output content could not be decrypted or decoded',
    'messages.1.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified.',
    'Thought signature is not valid',
    'Corrupted thought signature.',
  ]) {
    it(`is known by: ${message}`, () => assert.ok(refusesOpaque(status(message))));
  }

  it('is known by its code, and by what a relay passes on of it', () => {
    assert.ok(refusesOpaque(status('no', { code: 'invalid_encrypted_content' })));
    const raw = JSON.stringify({
      error: { message: 'Provider returned error', metadata: { raw: '{"error":{"code":"invalid_encrypted_content"}}' } },
    });
    assert.ok(refusesOpaque(status('Provider returned error', { body: Buffer.from(raw) })));
    assert.ok(refusesOpaque(createFailure('error', 'first_content', 'Invalid `signature` in `thinking` block')));
  });

  for (const message of [
    'Invalid request signature: check your AWS secret',
    'messages: at least one message is required',
    'thinking.budget_tokens: must be at least 1024',
    'prompt is too long',
    'The request signature we calculated does not match the signature you provided',
  ]) {
    it(`is none: ${message}`, () =>
      assert.ok(!refusesOpaque(status(message, { status: message.includes('AWS') || message.includes('calculated') ? 403 : 400 }))));
  }

  it('is none where the answer broke off', () => {
    assert.ok(!refusesOpaque(createFailure('cut', 'answer', 'Invalid `signature` in `thinking` block')));
  });
});
