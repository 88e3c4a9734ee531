import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectFailure } from './connection-fault.ts';

const coded = (code: string, more: object = {}) => Object.assign(new Error('m'), { code, ...more });

test('a permanent fault is marked, with cause and fix', () => {
  const cases = [
    ['DEPTH_ZERO_SELF_SIGNED_CERT', /^no connection: self-signed certificate: set NODE_EXTRA_CA_CERTS/],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', /NODE_EXTRA_CA_CERTS/],
    ['CERT_HAS_EXPIRED', /has expired/],
    ['ERR_TLS_CERT_ALTNAME_INVALID', /another host name: check the provider's baseUrl/],
    ['ERR_SSL_WRONG_VERSION_NUMBER', /http or https/],
    ['ENOTFOUND', /host name is unknown: check the provider's baseUrl/],
  ] as const;
  for (const [code, words] of cases) {
    const failure = connectFailure(coded(code));
    assert.match(failure.message, words);
    assert.ok(failure.message.endsWith(`(${code})`));
    assert.deepEqual([failure.kind, failure.code], ['connect', 'permanent_connect_failure']);
  }
});

test('a temporary fault is not marked', () => {
  for (const code of ['ECONNREFUSED', 'EAI_AGAIN', 'ETIMEDOUT', 'ECONNRESET', 'EHOSTUNREACH', 'EWHATEVER']) {
    const failure = connectFailure(coded(code));
    assert.equal(failure.code, null);
    assert.ok(failure.message.includes(code));
  }
});

test('the code is found in an AggregateError and in a cause', () => {
  const all = new AggregateError([coded('ECONNREFUSED'), coded('ECONNREFUSED')]);
  assert.match(connectFailure(all).message, /connection refused.*\(ECONNREFUSED\)/);
  assert.equal(connectFailure(coded('UND_ERR_SOCKET', { cause: coded('CERT_HAS_EXPIRED') })).code, 'permanent_connect_failure');
  assert.equal(connectFailure(new TypeError('m')).message, 'no connection: TypeError');
});
