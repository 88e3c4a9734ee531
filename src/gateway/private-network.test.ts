import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPrivateNetwork } from './private-network.ts';

test('private addresses and names without a public domain are a private network, all others are not', () => {
  const own = [
    'localhost',
    '127.0.0.1',
    '0.0.0.0',
    '10.1.2.3',
    '172.20.0.2',
    '192.168.1.9',
    '100.100.1.1',
    '[::1]',
    '[fd00::2]',
    'vllm',
    'gpu.lan',
    'llm.default.svc',
  ];
  for (const host of own) assert.ok(isPrivateNetwork(host), host);
  for (const host of ['api.openai.com', '8.8.8.8', '172.32.0.1', '100.20.1.1', '[2a00::1]', 'a.invalid', 'local.example.com']) {
    assert.ok(!isPrivateNetwork(host), host);
  }
});
