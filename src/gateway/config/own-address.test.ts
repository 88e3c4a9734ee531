import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ownAddressFaults } from './own-address.ts';
import { parseConfig } from './parse-config.ts';

function faultsOf(baseUrl: string, host?: string, port?: number): string[] {
  const result = parseConfig(
    { server: { host, port }, providers: { a: { baseUrl } }, clients: { c: { key: 'key-of-a-client' } } },
    { source: 'library' },
  );
  assert.ok(result.ok, JSON.stringify(result));
  return ownAddressFaults(result.config).map(({ message }) => message);
}

const cases: [baseUrl: string, host: string | undefined, port: number | undefined, isOwn: boolean][] = [
  ['http://127.0.0.1:4747/v1', undefined, undefined, true],
  ['http://localhost:4747/v1', undefined, undefined, true],
  ['http://[::1]:4747/v1', undefined, undefined, true],
  ['http://0.0.0.0:4747/v1', undefined, undefined, true],
  ['http://127.0.0.1:4747/v1', '0.0.0.0', undefined, true],
  ['http://10.1.2.3:8080/v1', '10.1.2.3', 8080, true],
  ['http://gateway.internal/v1', 'gateway.internal', 80, true],
  ['http://127.0.0.1:4748/v1', undefined, undefined, false],
  ['http://10.1.2.3:4747/v1', undefined, undefined, false],
  ['http://127.0.0.1:4747/v1', '10.1.2.3', undefined, false],
  ['http://127.0.0.1:4747/v1', undefined, 0, false],
];
for (const [baseUrl, host, port, isOwn] of cases) {
  test(`${baseUrl} with a gateway at ${host}:${port} ${isOwn ? 'is' : 'is not'} the gateway's own address`, () => {
    const faults = faultsOf(baseUrl, host, port);
    assert.equal(faults.length, isOwn ? 1 : 0);
    if (isOwn) assert.match(faults[0]!, /^providers\.a\.baseUrl: \S+ is Breakwater's own address; /);
  });
}
