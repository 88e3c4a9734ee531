import assert from 'node:assert/strict';
import { overSocket, chat } from '../../test/server/both-ways.ts';
import { parseConfig } from '../gateway/config/index.ts';
import { test } from 'node:test';

const clients = [{ name: 'web', key: 'web-key-1234' }];
const config = { clients, server: { cors: { origins: ['https://app.example', 'HTTPS://Other.Example:8443'] } } };
const preflight = (origin: string): RequestInit => ({
  method: 'OPTIONS',
  headers: {
    origin,
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization,content-type,x-breakwater-priority',
  },
});

overSocket('a preflight of a configured origin needs no key', { config }, async ({ fetch }) => {
  for (const origin of ['https://app.example', 'https://other.example:8443']) {
    const response = await fetch('/v1/chat/completions', preflight(origin));
    assert.equal(response.status, 204);
    assert.equal(response.headers.get('access-control-allow-origin'), origin);
    assert.match(response.headers.get('access-control-allow-methods')!, /POST/);
    assert.match(response.headers.get('access-control-allow-headers')!, /authorization/);
    assert.equal(response.headers.get('access-control-allow-credentials'), null);
    assert.equal(response.headers.get('vary'), 'Origin');
  }
});

overSocket('a response and an error are readable for a configured origin', { config }, async ({ fetch }) => {
  const headers = { origin: 'https://app.example', authorization: 'Bearer web-key-1234' };
  for (const [response, status] of [
    [await fetch('/v1/chat/completions', chat({}, headers)), 200],
    [await fetch('/v1/chat/completions', chat({}, { origin: 'https://app.example' })), 401],
    [await fetch('/v1/nothing', { headers })],
  ].map(([response, status]) => [response as Response, (status as number | undefined) ?? 404] as const)) {
    assert.equal(response.status, status);
    assert.equal(response.headers.get('access-control-allow-origin'), 'https://app.example');
    assert.match(response.headers.get('access-control-expose-headers')!, /x-breakwater-target.*x-request-id/);
    assert.equal(response.headers.get('access-control-allow-credentials'), null);
  }
});

overSocket(
  'another origin, and the admin API, get no such header',
  { config: { ...config, server: { ...config.server, adminKey: 'admin-key-1' } } },
  async ({ fetch }) => {
    for (const origin of ['https://evil.example', 'https://app.example.evil.example', 'http://app.example', 'null']) {
      const response = await fetch('/v1/chat/completions', preflight(origin));
      assert.equal(response.status, 204);
      assert.equal(response.headers.get('access-control-allow-origin'), null);
      assert.equal(response.headers.get('access-control-allow-methods'), null);
    }
    const admin = await fetch('/admin/queue', { headers: { origin: 'https://app.example', authorization: 'Bearer admin-key-1' } });
    assert.equal(admin.headers.get('access-control-allow-origin'), null);
  },
);

overSocket('by default a preflight succeeds and allows nothing', { config: { clients } }, async ({ fetch }) => {
  const response = await fetch('/v1/chat/completions', preflight('https://app.example'));
  assert.equal(response.status, 204);
  assert.equal(response.headers.get('access-control-allow-origin'), null);
});

test('cors requires clients, and origins without a path', () => {
  const faultsOf = (input: object): string[] => {
    const parsed = parseConfig(input, { source: 'library' });
    return parsed.ok ? [] : parsed.faults.map(({ message }) => message);
  };
  assert.match(faultsOf({ server: { cors: { origins: ['https://a.example'] } } })[0]!, /^server\.cors: requires clients/);
  for (const origin of ['a.example', 'https://a.example/', 'https://a.example/x', '']) {
    assert.match(
      faultsOf({ clients, server: { cors: { origins: [origin] } } })[0]!,
      /^server\.cors\.origins\[0\]: must be an origin/,
      origin,
    );
  }
  assert.deepEqual(faultsOf({ clients, server: { cors: { origins: ['*'] } } }), []);
});
