import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBypass, proxyFaults } from './proxy-env.ts';

test('a proxy without a scheme is a fault without its value', () => {
  assert.deepEqual(proxyFaults({ HTTPS_PROXY: 'http://proxy:3128', http_proxy: '' }), []);
  for (const value of ['proxy:3128', 'user:hidden@proxy:3128', '10.0.0.1', 'socks5://proxy', 'http://']) {
    const faults = proxyFaults({ HTTPS_PROXY: value });
    assert.equal(faults.length, 1, value);
    assert.match(faults[0]!, /^HTTPS_PROXY: must be a URL that starts with http:\/\//);
    assert.doesNotMatch(faults[0]!, /hidden/);
  }
  assert.equal(proxyFaults({ https_proxy: 'proxy', http_proxy: 'proxy' }).length, 2);
});

for (const [noProxy, origin, expected] of [
  ['', 'https://a.example', false],
  ['*', 'https://a.example', true],
  ['a.example', 'https://a.example', true],
  ['a.example', 'https://b.a.example:8443', true],
  ['a.example', 'https://aa.example', false],
  ['.example', 'https://a.example', true],
  ['.example', 'https://example', true],
  ['*.example', 'https://example', false],
  ['*.example', 'https://A.EXAMPLE.', true],
  ['x, a.example:8443 y', 'https://a.example:8443', true],
  ['a.example:8443', 'https://a.example', false],
  ['a.example:443', 'https://a.example', true],
  ['10.0.0.0/8', 'http://10.200.3.4:9000', true],
  ['10.0.0.0/8', 'http://11.0.0.1', false],
  ['10.0.0.0/8:9000', 'http://10.0.0.1:9000', true],
  ['10.0.0.0/8:9000', 'http://10.0.0.1', false],
  ['192.168.1.7', 'http://192.168.1.7', true],
  ['192.168.1.7', 'http://192.168.1.70', false],
  ['172.16.0.0/12', 'http://172.31.255.255', true],
  ['fd00::/8', 'http://[fd12::1]:8080', true],
  ['[fd00::1]:8080', 'http://[fd00::1]:8080', true],
  ['[fd00::1]:8080', 'http://[fd00::1]', false],
  ['10.0.0.0/99', 'http://10.0.0.1', false],
  ['10.0.0.0/8', 'http://10.example', false],
] as const) {
  test(`NO_PROXY=${noProxy}: ${origin} is reached ${expected ? 'directly' : 'through the proxy'}`, () => {
    assert.equal(createBypass(noProxy)(origin), expected);
  });
}
