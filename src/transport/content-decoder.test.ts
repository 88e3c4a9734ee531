import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isIdentity } from './content-decoder.ts';

describe('a content encoding', () => {
  for (const name of [undefined, '', 'identity', 'Identity ', 'none', 'UTF-8']) {
    it(`says that nothing is encoded: ${String(name)}`, () => assert.equal(isIdentity(name), true));
  }
  for (const name of ['gzip', 'br', 'aes128gcm']) {
    it(`says that something is encoded: ${name}`, () => assert.equal(isIdentity(name), false));
  }
});
