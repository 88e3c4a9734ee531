import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as conventions from '@opentelemetry/semantic-conventions';
import { NAMES } from './names.ts';
import { signalUrl } from './otlp.ts';

test('the address of a signal is below the endpoint, with its query', () => {
  assert.equal(signalUrl('http://127.0.0.1:4318', 'traces'), 'http://127.0.0.1:4318/v1/traces');
  assert.equal(signalUrl('http://127.0.0.1:4318/', 'metrics'), 'http://127.0.0.1:4318/v1/metrics');
  assert.equal(signalUrl('https://h/otlp/?tenant=a', 'traces'), 'https://h/otlp/v1/traces?tenant=a');
  assert.equal(signalUrl('https://h/otlp/v1/traces', 'traces'), 'https://h/otlp/v1/traces');
  assert.equal(signalUrl('https://h/otlp/v1/traces', 'metrics'), 'https://h/otlp/v1/metrics');
});

test('general names are those of the official package', () => {
  assert.equal(NAMES.serverAddress, conventions.ATTR_SERVER_ADDRESS);
  assert.equal(NAMES.serverPort, conventions.ATTR_SERVER_PORT);
  assert.equal(NAMES.errorType, conventions.ATTR_ERROR_TYPE);
  assert.equal(NAMES.status, conventions.ATTR_HTTP_RESPONSE_STATUS_CODE);
});
