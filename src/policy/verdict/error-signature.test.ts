import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { failure } from '../verdict.fixture.ts';
import { errorSignature } from './error-signature.ts';

const signature = (message: string, param: string | null = null): string => errorSignature(failure({ status: 400, message, param }));

test('the same error in two requests has one signature', () => {
  assert.equal(
    signature("This model's limit is 131072 but the request has 537812 tokens."),
    signature("This model's limit is 131072 but the request has 9 tokens."),
  );
  assert.equal(signature("Invalid value: 'a b'. (req_1f2e3d)"), signature("Invalid value: 'c'. (req_9a8b7c)"));
  assert.equal(signature('m', 'messages[3].content'), signature('m', 'messages[14].content'));
});

test('different errors have different signatures', () => {
  const all = [signature('too long'), signature('too short'), signature('too long', 'x_1'), signature('too long', 'x_2')];
  assert.equal(new Set(all).size, all.length);
  assert.notEqual(errorSignature(failure({ status: 400, code: 'a' })), errorSignature(failure({ status: 400, code: 'b' })));
  assert.notEqual(errorSignature(failure({ status: 400 })), errorSignature(failure({ status: 422 })));
});

test('a signature is short, and contains nothing that was quoted', () => {
  fc.assert(
    fc.property(fc.string(), fc.string({ maxLength: 100_000 }), (quoted, text) => {
      assert.ok(signature(text, text).length < 500);
      if (/^[a-z]{4,}$/.test(quoted)) assert.ok(!signature(`said "${quoted}"`).includes(quoted));
    }),
  );
});
