import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import { createFailure } from '../../wire/failure.ts';
import { missesPiece, refusesOpaque } from './refusal.ts';

const status = (message: string, found: object = {}) => createFailure('status', 'headers', message, { status: 400, ...found });

describe('a rejection of an opaque item', () => {
  for (const message of [
    'messages.1.content.0: Invalid `signature` in `thinking` block',
    'The model returned the following errors: messages.3.content.0: Invalid `signature` in `thinking` block',
    'messages.1.content.2: Invalid `data` in `redacted_thinking` block',
    'messages.5.content.0: This `thinking` block is bound to a different conversation.',
    'The encrypted content gAAA… could not be verified. Reason: Encrypted content could not be decrypted or parsed.',
    'Encrypted function output content could not be decrypted or decoded',
    "Item 'rs_68c1' of type 'reasoning' was provided without its required following item.",
    'messages.1.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified.',
    'Thought signature is not valid',
    'Corrupted thought signature.',
    "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false.",
    'messages.1.content.0.thinking.signature: Field required',
    'Failed to verify the signature of a reasoning item',
    'The reasoning item could not be decrypted',
  ]) {
    it(`is recognized by: ${message}`, () => assert.ok(refusesOpaque(status(message))));
  }

  it('is recognized by its code, also within the error of a relay', () => {
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
    it(`is not recognized in: ${message}`, () =>
      assert.ok(!refusesOpaque(status(message, { status: message.includes('AWS') || message.includes('calculated') ? 403 : 400 }))));
  }

  it('is distinguished from a missing item', () => {
    for (const message of [
      'Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly.',
      'messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is enabled, a final `assistant` message must start with a thinking block.',
    ])
      assert.ok(missesPiece(status(message)), message);
    assert.ok(!missesPiece(status('Invalid `signature` in `thinking` block')));
  });

  it('is not recognized in an interrupted response', () => {
    assert.ok(!refusesOpaque(createFailure('cut', 'answer', 'Invalid `signature` in `thinking` block')));
  });
});
