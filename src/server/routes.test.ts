import assert from 'node:assert/strict';
import { bothWays, chat, overSocket } from '../../test/server/both-ways.ts';
import { rawExchange } from '../../test/server/raw-socket.ts';

for (const path of [
  '/v1/chat/completions',
  '/chat/completions',
  '/v1/v1/chat/completions',
  '/v1/chat/completions?beta=true',
  '/v1//chat/./completions/',
]) {
  bothWays(`a chat request is accepted at ${path}`, {}, async ({ fetch, gateway }) => {
    const response = await fetch(path, chat());
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), { model: 'fast' });
    const [request] = gateway.requests;
    assert.equal(request?.path, '/chat/completions');
    assert.equal(request?.facts.operation, 'chat');
    assert.equal(response.headers.get('x-request-id'), request?.id);
    assert.match(request?.id ?? '', /^req_[0-9a-z]{21,}$/);
  });
}

bothWays('completions and embeddings reach the engine with their operation', {}, async ({ fetch, gateway }) => {
  await fetch('/v1/completions', chat({ prompt: 'hi' }));
  await fetch('/embeddings', chat({ input: 'hi' }));
  assert.deepEqual(
    gateway.requests.map(({ path, facts }) => [path, facts.operation]),
    [
      ['/completions', 'completions'],
      ['/embeddings', 'embeddings'],
    ],
  );
});

bothWays('models are listed, and shown individually even with slashes in their names', {}, async ({ fetch }) => {
  const list = (await (await fetch('/v1/models')).json()) as { object: string; data: { id: string }[] };
  assert.equal(list.object, 'list');
  assert.deepEqual(
    list.data.map(({ id }) => id),
    ['fast', 'vendor/one'],
  );
  for (const path of ['/v1/models/vendor/one', '/models/vendor%2Fone']) {
    const one = (await (await fetch(path)).json()) as object;
    assert.deepEqual(one, { id: 'vendor/one', object: 'model', created: 0, owned_by: 'breakwater' });
  }
  const missing = await fetch('/v1/models/none');
  assert.equal(missing.status, 404);
  assert.equal(((await missing.json()) as { error: { code: string } }).error.code, 'model_not_found');
});

bothWays("models have Anthropic's format for its SDK", {}, async ({ fetch }) => {
  const headers = { 'anthropic-version': '2023-06-01' };
  const list = (await (await fetch('/v1/models', { headers })).json()) as { data: { type: string }[]; has_more: boolean; last_id: string };
  assert.equal(list.data[0]?.type, 'model');
  assert.equal(list.has_more, false);
  assert.equal(list.last_id, 'vendor/one');
  const missing = await fetch('/v1/models/none', { headers });
  assert.equal(((await missing.json()) as { type: string }).type, 'error');
});

bothWays('an unknown path is a 404 in JSON, and never reaches the engine', {}, async ({ fetch, gateway }) => {
  for (const path of ['/v1/fine_tuning/jobs', '/v1/chat', '/v1/admin/requests', '/x', '/v1/audio']) {
    const response = await fetch(path, chat());
    assert.equal(response.status, 404, path);
    assert.equal(response.headers.get('content-type'), 'application/json');
    assert.equal(response.headers.get('x-should-retry'), 'false');
    assert.match(response.headers.get('x-request-id') ?? '', /^req_/);
    const { error } = (await response.json()) as { error: { code: string; param: null } };
    assert.equal(error.code, 'not_found');
    assert.equal(error.param, null);
  }
  assert.equal(gateway.requests.length, 0);
});

bothWays('a path of another gateway is a 404 that names what to use instead; its probes work', {}, async ({ fetch }) => {
  for (const [path, hint] of [
    ['/key/info', /under clients/],
    ['/v1/model/info', /GET \/v1\/models/],
    ['/spend/logs?user_id=x', /GET \/admin\/usage/],
    ['/ui', /the dashboard is at \//],
    ['/v1/vector_stores/vs_1', /server\.passThrough/],
  ] as const) {
    const response = await fetch(path);
    assert.equal(response.status, 404, path);
    assert.match(((await response.json()) as { error: { message: string } }).error.message, hint);
  }
  const keys = ['/key', '/keys/x', '/teams', '/healthy'];
  for (const path of keys) assert.doesNotMatch(await (await fetch(path)).text(), /clients|admin/);
  for (const path of ['/health/liveliness', '/health/liveness', '/health/readiness', '/health'])
    assert.equal((await fetch(path)).status, 200);
});

bothWays("Gemini's paths are served with the prefix of other gateways too", {}, async ({ fetch, gateway }) => {
  const body = JSON.stringify({ contents: [{ parts: [{ text: 'hi' }] }] });
  const response = await fetch('/gemini/v1beta/models/fast:generateContent', { method: 'POST', body });
  assert.equal(response.status, 200);
  assert.equal(gateway.requests.at(-1)?.facts.model, 'fast');
  const { error } = (await (await fetch('/gemini/v1beta/x')).json()) as { error: { status: string } };
  assert.equal(error.status, 'NOT_FOUND');
});

bothWays('unknown paths are refused in the format of their protocol', {}, async ({ fetch }) => {
  const unknown = await fetch('/v1/messages/none', chat());
  assert.equal(unknown.status, 404);
  const body = (await unknown.json()) as { type: string; error: { type: string; message: string }; request_id: string };
  assert.equal(body.type, 'error');
  assert.equal(body.error.type, 'not_found_error');
  assert.equal(body.request_id, unknown.headers.get('x-request-id'));
  const gemini = await fetch('/v1beta/models/gemini-pro:predict', chat());
  const { error } = (await gemini.json()) as { error: { code: number; status: string; message: string } };
  assert.deepEqual([error.code, error.status], [404, 'NOT_FOUND']);
});

bothWays('a wrong method is a 405 with the allowed ones', {}, async ({ fetch }) => {
  const response = await fetch('/v1/chat/completions');
  assert.equal(response.status, 405);
  assert.equal(response.headers.get('allow'), 'POST');
  assert.equal(((await response.json()) as { error: { code: string } }).error.code, 'invalid_request');
  const options = await fetch('/v1/models', { method: 'OPTIONS' });
  assert.equal(options.status, 204);
  assert.equal(options.headers.get('allow'), 'GET, HEAD, OPTIONS');
  const head = await fetch('/health/live', { method: 'HEAD' });
  assert.equal(head.status, 200);
  assert.equal(await head.text(), '');
});

overSocket(
  'dots, encoded or not, lead nowhere that the plain path does not',
  { config: { server: { adminKey: 'k' } } },
  async ({ origin }) => {
    // A proxy that protects /admin by its prefix must see the prefix: any other spelling is refused.
    for (const [target, status] of [
      ['/v1/models/../../admin/config', 400],
      ['/v1/audio/%2e%2e/%2e%2e/admin/config', 400],
      ['//admin/config', 400],
      ['/v1\\..\\admin/config', 400],
      ['/v1/%5c../admin%5cconfig', 400],
      ['/%61dmin/config', 400],
      ['/admin/./config', 401],
      ['http://localhost/admin/config', 401],
      ['HTTP://LOCALHOST:80/admin/config', 401],
    ] as const) {
      const answer = await rawExchange(origin, `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
      assert.ok(answer.startsWith(`HTTP/1.1 ${status} `), `${target}: ${answer.slice(0, 40)}`);
    }
  },
);

overSocket('a path that is not properly encoded is a 400', {}, async ({ origin }) => {
  for (const target of ['/v1/models/%zz', '/v1/models/%00']) {
    const answer = await rawExchange(origin, `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    assert.match(answer, /^HTTP\/1\.1 400 /, target);
    assert.match(answer, /"code":"invalid_request"/);
  }
});

overSocket('a request that HTTP forbids is refused in JSON', {}, async ({ origin }) => {
  const post = 'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n';
  for (const [text, status] of [
    ['GET /health/live HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
    ['GET /health/live HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n', 400],
    ['GET /health/live HTTP/1.1\r\nHost: localhost\r\nhOST: evil.example\r\nConnection: close\r\n\r\n', 400],
    ['GET /health/live HTTP/2.0\r\nHost: localhost\r\n\r\n', 400],
    ['GET /health/live HTTP/0.9\r\nHost: localhost\r\n\r\n', 400],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n', 400],
    ['GET http://elsewhere/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n', 400],
    ['GET http://localhost@elsewhere/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n', 400],
    ['GET http://localhost:81/health/live HTTP/1.1\r\nHost: localhost:80\r\n\r\n', 400],
    ['GET ftp://localhost/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n', 400],
    [`${post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`, 400],
    [`${post}Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n`, 400],
    [`${post}Transfer-Encoding: x-chunked\r\n\r\n0\r\n\r\n`, 400],
    [`${post}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`, 400],
    [`${post}Transfer-Encoding: identity\r\n\r\n0\r\n\r\n`, 400],
    [post.replace('1.1', '1.0') + 'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
    [`${post}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, 400],
    [`${post}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`, 400],
    [`${post}Expect: magic\r\nContent-Length: 0\r\n\r\n`, 417],
    [`${post}X-Long: ${'a'.repeat(40_000)}\r\n\r\n`, 431],
  ] as const) {
    const answer = await rawExchange(origin, text);
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} [^]*"code":"invalid_request"`), text.slice(0, 200));
    assert.equal(answer.match(/HTTP\/1\.1 /g)?.length, 1, text.slice(0, 200));
  }
});

overSocket('a protocol upgrade is refused with 426 on every path', {}, async ({ origin, gateway }) => {
  const upgrade = 'HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n';
  for (const target of [
    'GET /',
    'GET /v1/responses',
    'GET /responses',
    'GET /v1/realtime',
    'POST /v1/chat/completions',
    'GET /health/live',
    'GET /nowhere',
  ]) {
    const answer = await rawExchange(origin, `${target} ${upgrade}`);
    assert.match(answer, /^HTTP\/1\.1 426 [^]*upgrade: HTTP\/1\.1\r\n[^]*connection: close\r\n[^]*"code":"invalid_request"/, target);
    assert.equal(answer.match(/HTTP\/1\.1 \d/g)?.length, 1, target);
  }
  assert.equal(gateway.requests.length, 0);
});

overSocket('an upgrade to HTTP/2, or an Upgrade header without connection: upgrade, is ignored', {}, async ({ origin }) => {
  for (const head of ['Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c', 'Connection: close\r\nUpgrade: websocket']) {
    const answer = await rawExchange(origin, `GET /health/live HTTP/1.1\r\nHost: localhost\r\n${head}\r\n\r\n`);
    assert.match(answer, /^HTTP\/1\.1 200 /, head);
  }
});

overSocket('invalid HTTP gets a 400 in JSON', {}, async ({ origin }) => {
  const answer = await rawExchange(origin, 'NONSENSE\r\n\r\n');
  assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n/);
  assert.match(answer, /x-request-id: req_/);
  assert.match(answer, /"code":"invalid_request"/);
});

bothWays('a simulated server marks every response', { simulated: true }, async ({ fetch }) => {
  for (const path of ['/nowhere', '/health/live', '/v1/models']) {
    assert.equal((await fetch(path)).headers.get('x-breakwater-simulated'), 'true');
  }
  assert.equal((await fetch('/v1/chat/completions', chat())).headers.get('x-breakwater-simulated'), 'true');
});
