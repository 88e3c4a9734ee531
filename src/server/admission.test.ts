import assert from 'node:assert/strict';
import { bothWays, chat, inProcess, overSocket } from '../../test/server/both-ways.ts';
import { rawExchange } from '../../test/server/raw-socket.ts';
import { hashKey, type ConfigInput } from '../gateway/config/index.ts';

const clients: ConfigInput['clients'] = [
  { name: 'web', key: 'web-key-1234', priority: 'high', models: ['fast', 'vendor/*'] },
  { name: 'nightly', keyHash: hashKey('nightly-key'), priority: 'low', maxPriority: 'normal' },
];
const withClients = { config: { clients } };

async function codeOf(response: Response): Promise<string> {
  return ((await response.json()) as { error: { code: string } }).error.code;
}

for (const headers of [
  { authorization: 'Bearer web-key-1234' },
  { authorization: 'bearer  web-key-1234 ' },
  { 'x-api-key': 'web-key-1234' },
  { 'api-key': 'web-key-1234' },
  { 'x-goog-api-key': 'web-key-1234' },
  { authorization: 'Bearer web-key-1234', 'x-api-key': 'web-key-1234' },
  { authorization: 'Basic dTpw', 'x-api-key': 'web-key-1234' },
] as Record<string, string>[]) {
  bothWays(`a client is authenticated by ${JSON.stringify(headers)}`, withClients, async ({ fetch, gateway }) => {
    assert.equal((await fetch('/v1/chat/completions', chat({}, headers))).status, 200);
    assert.equal(gateway.requests[0]?.client.name, 'web');
    assert.equal(gateway.requests[0]?.callerCredential, 'web-key-1234');
  });
}

bothWays('a client is authenticated by the hash of its key', withClients, async ({ fetch, gateway }) => {
  assert.equal((await fetch('/v1/chat/completions', chat({}, { 'x-api-key': 'nightly-key' }))).status, 200);
  assert.equal(gateway.requests[0]?.client.name, 'nightly');
});

for (const headers of [
  {},
  { authorization: "Bearer ' OR '1'='1" },
  { authorization: 'Bearer' },
  { authorization: 'web-key-1234' },
  { 'x-api-key': hashKey('nightly-key') },
  { authorization: 'Bearer web-key-1234', 'x-api-key': 'nightly-key' },
] as Record<string, string>[]) {
  bothWays(`no client is authenticated by ${JSON.stringify(headers)}`, withClients, async ({ fetch, gateway }) => {
    const response = await fetch('/v1/chat/completions', chat({}, headers));
    assert.equal(response.status, 401);
    assert.equal(response.headers.get('x-should-retry'), 'false');
    assert.equal(await codeOf(response), 'invalid_api_key');
    assert.equal(gateway.requests.length, 0);
    assert.equal(gateway.heldBytes, 0);
  });
}

bothWays('a client may use and see only the models of its list', withClients, async ({ fetch }) => {
  const headers = { 'x-api-key': 'web-key-1234' };
  assert.equal((await fetch('/v1/chat/completions', chat({ model: 'vendor/one' }, headers))).status, 200);
  const refused = await fetch('/v1/chat/completions', chat({ model: 'backup/big' }, headers));
  assert.equal(refused.status, 403);
  assert.equal(await codeOf(refused), 'model_not_allowed');
});

bothWays('without clients any combination of keys is accepted, and the bearer token is used', {}, async ({ fetch, gateway }) => {
  for (const headers of [
    { authorization: 'Bearer one-key-1234', 'x-api-key': 'other-key-12' },
    { 'x-api-key': 'one-key-1234', 'api-key': 'other-key-12', 'x-goog-api-key': 'third-key-12' },
    { authorization: 'Basic dTpw', 'x-api-key': 'one-key-1234', 'api-key': '' },
  ] as Record<string, string>[]) {
    assert.equal((await fetch('/v1/chat/completions', chat({}, headers))).status, 200);
    assert.equal(gateway.requests.at(-1)?.callerCredential, 'one-key-1234');
  }
});

bothWays('health needs no key', withClients, async ({ fetch }) => {
  assert.equal((await fetch('/health/live')).status, 200);
  assert.equal((await fetch('/health/ready')).status, 200);
});

inProcess('in process no request has to be local', {}, async ({ fetch }) => {
  const headers = { origin: 'https://evil.example', 'x-forwarded-for': '1.2.3.4' };
  assert.equal((await fetch('/v1/chat/completions', chat({}, headers))).status, 200);
});

const body = JSON.stringify({ model: 'fast', messages: [] });

function post(host: string, ...headers: string[]): string {
  const lines = [`Host: ${host}`, 'Connection: close', `Content-Length: ${body.length}`, ...headers];
  return `POST /v1/chat/completions HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`;
}

overSocket('a local request is accepted without a key', {}, async ({ origin }) => {
  for (const host of ['localhost', 'LOCALHOST:4747', '127.0.0.1', '127.8.9.1:80', '[::1]:4747', '[::1]', 'gw.localhost', 'localhost.']) {
    assert.match(await rawExchange(origin, post(host)), /^HTTP\/1\.1 200 /, host);
  }
  for (const header of ['Origin: http://localhost:3000', 'Origin: http://127.0.0.1', 'Sec-Fetch-Site: same-site', 'Sec-Fetch-Site: none']) {
    assert.match(await rawExchange(origin, post('localhost', header)), /^HTTP\/1\.1 200 /, header);
  }
});

overSocket('a request that is not local is refused with the remedy', {}, async ({ origin, gateway }) => {
  const foreign: [string, ...string[]][] = [
    ['evil.example'],
    ['127.0.0.1.evil.example'],
    ['localhost:4000/#@x'],
    ['localhost@evil.example'],
    ['[fe80::1]'],
    ['192.168.1.5:4747'],
    ['localhost', 'Origin: https://evil.example'],
    ['localhost', 'Origin: null'],
    ['localhost', 'Origin: http://localhost.evil.example'],
    ['localhost', 'Origin: http://localhost:3000@evil.example'],
    ['localhost', 'Sec-Fetch-Site: cross-site'],
    ['localhost', 'Sec-Fetch-Site: Cross-Site'],
    ['localhost', 'sec-fetch-site: CROSS-SITE '],
    ['localhost', 'Sec-Fetch-Site: same-origin', 'Sec-Fetch-Site: cross-site'],
    ['localhost', 'Sec-Fetch-Site: cross-site', 'Sec-Fetch-Site: none'],
    ['localhost', 'Sec-Fetch-Site: some-later-word'],
    ['localhost', 'Origin: http://localhost', 'Origin: https://evil.example'],
    ['localhost', 'Forwarded: for=1.2.3.4'],
    ['localhost', 'X-Forwarded-For: 1.2.3.4'],
    ['localhost', 'X-Forwarded-Proto: https'],
    ['localhost', 'X-Forwarded: for=1.2.3.4'],
    ['localhost', 'Via: 1.1 proxy'],
    ['localhost', 'VIA: '],
    ['localhost', 'X-Real-IP: 127.0.0.1'],
    ['localhost', 'CF-Connecting-IP: 1.2.3.4'],
    ['localhost', 'True-Client-IP: 1.2.3.4'],
    ['localhost', 'Fly-Client-IP: 1.2.3.4'],
    ['localhost', 'X-Client-IP: 1.2.3.4'],
    ['localhost', 'CDN-Loop: cloudflare'],
  ];
  for (const [host, ...headers] of foreign) {
    const answer = await rawExchange(origin, post(host, ...headers));
    assert.match(answer, /^HTTP\/1\.1 403 /, `${host} ${headers.join()}`);
    assert.match(answer, /"code":"not_local"/);
    assert.match(answer, /add clients, or set server\.allowAnonymous: true/);
  }
  assert.equal(gateway.requests.length, 0);
});

overSocket(
  'with server.allowAnonymous requests need not be local',
  { config: { server: { allowAnonymous: true } } },
  async ({ origin }) => {
    assert.match(await rawExchange(origin, post('evil.example', 'X-Forwarded-For: 1.2.3.4')), /^HTTP\/1\.1 200 /);
  },
);

const admin = 'GET /admin/queue HTTP/1.1\r\nConnection: close\r\n';

overSocket('without an admin key the admin API accepts local requests', {}, async ({ origin }) => {
  assert.match(await rawExchange(origin, `${admin}Host: localhost\r\n\r\n`), /^HTTP\/1\.1 200 /);
  assert.match(await rawExchange(origin, `${admin}Host: evil.example\r\n\r\n`), /^HTTP\/1\.1 403 /);
  assert.match(await rawExchange(origin, `${admin}Host: localhost\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n`), /^HTTP\/1\.1 403 /);
});

overSocket(
  'the admin key is required for requests from any address',
  { config: { server: { adminKey: 'operator-key' } } },
  async (stage) => {
    const { origin, fetch } = stage;
    assert.match(await rawExchange(origin, `${admin}Host: localhost\r\n\r\n`), /^HTTP\/1\.1 401 /);
    assert.match(await rawExchange(origin, `${admin}Host: evil.example\r\nAuthorization: Bearer operator-key\r\n\r\n`), /^HTTP\/1\.1 200 /);
    assert.equal((await fetch('/admin/queue', { headers: { authorization: 'Bearer operator-keY' } })).status, 401);
    assert.equal((await fetch('/', { headers: { authorization: 'Bearer operator-key' } })).status, 200);
    assert.equal((await fetch('/')).status, 401);
  },
);

for (const [why, options] of [
  ['clients are configured', withClients],
  ['the bind is not loopback', { config: { server: { allowAnonymous: true } }, boundHost: '0.0.0.0' }],
] as const) {
  overSocket(`where ${why} the admin API and the dashboard need an admin key`, options, async ({ fetch, gateway }) => {
    for (const path of ['/', '/admin/queue', '/admin/config', '/admin/requests', '/admin/targets']) {
      const response = await fetch(path);
      assert.equal(response.status, 403, path);
      assert.match(await response.text(), /"message":"[^"]*Set server\.adminKey/, path);
    }
    assert.equal((await fetch('/admin/targets/backup/big/isolate', { method: 'POST' })).status, 403);
    assert.deepEqual(gateway.isolated, []);
  });
}

for (const [mark, head] of [
  ['a forwarding header', 'GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n'],
  ['a forwarding header on an unknown path', 'GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nForwarded: for=_x\r\n\r\n'],
  ["nginx's HTTP/1.0 without any header", 'GET /health/live HTTP/1.0\r\nHost: 127.0.0.1:4747\r\nConnection: close\r\n\r\n'],
] as const) {
  overSocket(`after a request with ${mark} the admin API requires an admin key`, {}, async ({ origin, fetch }) => {
    assert.equal((await fetch('/admin/queue')).status, 200);
    await rawExchange(origin, head);
    const refused = await fetch('/admin/queue');
    assert.equal(refused.status, 403);
    assert.match(await refused.text(), /through a proxy.*Set server\.adminKey/);
  });
}

overSocket(
  'a mark of a proxy takes nothing from who has the admin key',
  { config: { server: { adminKey: 'operator-key' } } },
  async (stage) => {
    await stage.fetch('/health/live', { headers: { 'x-forwarded-for': '1.2.3.4' } });
    assert.equal((await stage.fetch('/admin/queue', { headers: { authorization: 'Bearer operator-key' } })).status, 200);
  },
);

overSocket(
  'with server.allowAnonymous a visitor under another host name closes the admin API without a key',
  { config: { server: { allowAnonymous: true } } },
  async ({ origin, fetch }) => {
    assert.equal((await fetch('/admin/queue')).status, 200);
    assert.match(await rawExchange(origin, post('gw.example')), /^HTTP\/1\.1 200 /);
    assert.equal((await fetch('/admin/queue')).status, 403);
  },
);

overSocket('an HTTP/1.0 client that is not a proxy is accepted', {}, async ({ origin, fetch }) => {
  assert.match(await rawExchange(origin, 'GET /admin/queue HTTP/1.0\r\nHost: localhost\r\n\r\n'), /^HTTP\/1\.1 200 /);
  assert.equal((await fetch('/admin/queue')).status, 200);
});

overSocket(
  "a client's key opens no admin door",
  { config: { ...withClients.config, server: { adminKey: 'operator-key' } } },
  async (stage) => {
    const response = await stage.fetch('/admin/config', { headers: { authorization: 'Bearer web-key-1234' } });
    assert.equal(response.status, 401);
  },
);

overSocket('a foreign page cannot change state, even with the key', { config: { server: { adminKey: 'operator-key' } } }, async (stage) => {
  const headers = { authorization: 'Bearer operator-key', origin: 'https://evil.example' };
  const response = await stage.fetch('/admin/targets/backup/big/isolate', { method: 'POST', headers });
  assert.equal(response.status, 403);
  assert.deepEqual(stage.gateway.isolated, []);
});

const metrics = 'GET /metrics HTTP/1.1\r\nConnection: close\r\n';
const scrape = () => Promise.resolve({ contentType: 'text/plain; version=0.0.4', body: 'up 1\n' });

overSocket(
  'metrics are for this machine, or for the admin key',
  { scrape, config: { server: { adminKey: 'operator-key' } } },
  async (stage) => {
    const { origin } = stage;
    assert.match(await rawExchange(origin, `${metrics}Host: localhost\r\n\r\n`), /^HTTP\/1\.1 200 [^]*up 1\n$/);
    assert.match(await rawExchange(origin, `${metrics}Host: gw.example\r\n\r\n`), /^HTTP\/1\.1 403 /);
    assert.match(await rawExchange(origin, `${metrics}Host: gw.example\r\nAuthorization: Bearer x\r\n\r\n`), /^HTTP\/1\.1 401 /);
    assert.match(await rawExchange(origin, `${metrics}Host: gw.example\r\nAuthorization: Bearer operator-key\r\n\r\n`), /^HTTP\/1\.1 200 /);
  },
);

overSocket('public metrics need no key', { scrape, config: { telemetry: { metrics: 'public' } } }, async ({ origin }) => {
  assert.match(await rawExchange(origin, `${metrics}Host: gw.example\r\n\r\n`), /^HTTP\/1\.1 200 /);
});

bothWays('metrics that are off are not found', { scrape, config: { telemetry: { metrics: false } } }, async ({ fetch }) => {
  assert.equal((await fetch('/metrics')).status, 404);
});
