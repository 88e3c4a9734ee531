import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isIdentity } from './content-decoder.ts';

describe('a content encoding', () => {
  for (const name of [undefined, '', 'identity', 'Identity ', 'none', 'UTF-8']) {
    it(`means no encoding: ${String(name)}`, () => assert.equal(isIdentity(name), true));
  }
  for (const name of ['gzip', 'br', 'aes128gcm']) {
    it(`means an encoding: ${name}`, () => assert.equal(isIdentity(name), false));
  }
});
