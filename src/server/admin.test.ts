import assert from 'node:assert/strict';
import { bothWays, chat } from '../../test/server/both-ways.ts';
import type { Timelines } from '../telemetry/timelines.ts';

const asked: unknown[] = [];
const timelines: Timelines = {
  list: (options) => (asked.push(options), []),
  records: (options) => (asked.push(options), ['req_1', 'req_2'].map((id) => ({ id }) as ReturnType<Timelines['records']>[number])),
  get: (id) => (id === 'req_1' ? ({ id } as ReturnType<Timelines['get']>) : null),
};

bothWays('requests are listed with filters, and shown individually', { timelines }, async ({ fetch }) => {
  assert.deepEqual(await (await fetch('/admin/requests?limit=5&outcome=failed&model=fast&client=web')).json(), { requests: [] });
  assert.deepEqual(asked.at(-1), { limit: 5, outcome: 'failed', model: 'fast', client: 'web' });
  assert.deepEqual(await (await fetch('/admin/requests/req_1')).json(), { id: 'req_1' });
  assert.equal((await fetch('/admin/requests/req_2')).status, 404);
  const lines = await fetch('/admin/requests?format=jsonl&limit=5');
  assert.deepEqual(
    [lines.headers.get('content-type'), await lines.text(), asked.at(-1)],
    ['application/jsonl', '{"id":"req_1"}\n{"id":"req_2"}\n', { limit: 5 }],
  );
  for (const query of ['format=csv', 'limit=0', 'limit=x', 'outcome=bad'])
    assert.equal((await fetch(`/admin/requests?${query}`)).status, 400);
});

bothWays(
  'the config is shown without its secrets',
  { config: { clients: [{ name: 'web', key: 'web-key-1234' }], server: { adminKey: 'operator-key-1' } } },
  async ({ fetch }) => {
    const response = await fetch('/admin/config', { headers: { authorization: 'Bearer operator-key-1' } });
    const text = await response.text();
    assert.equal(response.status, 200);
    assert.match(text, /"host":"127\.0\.0\.1"/);
    assert.doesNotMatch(text, /web-key-1234|operator-key-1|sk-upstream/);
  },
);

bothWays('a target is isolated and reset, its name encoded or raw', {}, async ({ fetch, gateway }) => {
  for (const name of ['backup/big', 'backup%2Fbig']) {
    assert.deepEqual(await (await fetch(`/admin/targets/${name}/isolate`, { method: 'POST' })).json(), {
      target: 'backup/big',
      status: 'isolated',
    });
    assert.equal((await fetch(`/admin/targets/${name}/reset`, { method: 'POST' })).status, 200);
  }
  assert.equal(gateway.isolated.length, 2);
  assert.equal((await fetch('/admin/targets/none/isolate', { method: 'POST' })).status, 404);
  assert.equal((await fetch('/admin/targets/backup/big/isolate')).status, 405);
});

bothWays('targets and queue are shown', {}, async ({ fetch }) => {
  assert.deepEqual(await (await fetch('/admin/targets')).json(), { targets: [] });
  assert.equal(((await (await fetch('/admin/queue')).json()) as { waiting: number }).waiting, 0);
});

let reloads = 0;
const reload = () => (++reloads % 2 === 1 ? Promise.resolve() : Promise.reject(new Error('server.prot: unknown key')));

bothWays('a reload returns its result', { reload }, async ({ fetch }) => {
  assert.equal((await fetch('/admin/reload', { method: 'POST' })).status, 200);
  const refused = await fetch('/admin/reload', { method: 'POST' });
  assert.equal(refused.status, 400);
  assert.match(await refused.text(), /server\.prot: unknown key/);
});

bothWays('without a config file a reload is refused', {}, async ({ fetch }) => {
  assert.equal((await fetch('/admin/reload', { method: 'POST' })).status, 404);
});

const listed = {
  config: {
    clients: [
      { name: 'web', key: 'web-key-1234' },
      { name: 'other', key: 'other-key-1234' },
    ],
    server: {
      passThrough: [
        { path: '/v1/files', provider: 'backup', clients: ['web'] },
        { path: '/v2/tools/*', provider: 'backup' },
      ],
    },
  },
};

bothWays('a listed path is forwarded unchanged to its provider, for the listed clients', listed, async ({ fetch, gateway }) => {
  const headers = { 'x-api-key': 'web-key-1234' };
  assert.equal((await fetch('/v1/files?purpose=batch', { headers })).status, 200);
  assert.equal((await fetch('/v2/tools/a%20b/c', { method: 'DELETE', headers })).status, 200);
  assert.deepEqual(
    gateway.requests.map(({ method, path, facts }) => [method, path, facts.model, facts.operation]),
    [
      ['GET', '/files?purpose=batch', 'backup/', 'bytes'],
      ['DELETE', '/v2/tools/a%20b/c', 'backup/', 'bytes'],
    ],
  );
  assert.equal((await fetch('/v1/files', { headers: { 'x-api-key': 'other-key-1234' } })).status, 403);
  assert.equal((await fetch('/v1/files')).status, 401);
  assert.equal((await fetch('/v2/tools/../secret', { headers })).status, 404);
});

bothWays('bytes are forwarded to the target of the model in their JSON', {}, async ({ fetch, gateway }) => {
  assert.equal((await fetch('/audio/speech?x=1', chat({ model: 'vendor/one' }))).status, 200);
  assert.equal((await fetch('/v1/moderations', chat())).status, 200);
  assert.deepEqual(
    gateway.requests.map(({ path, facts, body }) => [path, facts.model, facts.operation, body.contentType]),
    [
      ['/audio/speech?x=1', 'vendor/one', 'bytes', 'application/json'],
      ['/moderations', 'fast', 'bytes', 'application/json'],
    ],
  );
  const nameless = await fetch('/v1/images/generations', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' });
  assert.equal(nameless.status, 400);
  assert.equal(((await nameless.json()) as { error: { param: string } }).error.param, 'model');
});
bothWays('bytes are forwarded to the target of the model in their form', {}, async ({ fetch, gateway }) => {
  const form = new FormData();
  form.append('file', new Blob([new Uint8Array([0, 255, 13, 10, 45, 45])]), 'a.wav');
  form.append('model', 'fast');
  assert.equal((await fetch('/v1/audio/transcriptions', { method: 'POST', body: form })).status, 200);
  assert.equal(gateway.requests[0]?.facts.model, 'fast');
  assert.match(gateway.requests[0]?.body.contentType ?? '', /^multipart\/form-data; boundary=/);
});

bothWays('an unknown query parameter, or one that is given twice, is not ignored', { timelines }, async ({ fetch }) => {
  const messageOf = async (path: string, init?: RequestInit): Promise<string> => {
    const response = await fetch(path, init);
    const { error } = (await response.json()) as { error: { message: string; param: string } };
    assert.match(path, new RegExp(`[?&]${error.param}=`));
    return `${response.status} ${error.message}`;
  };
  assert.equal(
    await messageOf('/admin/usage?by=client&by=model'),
    '400 the query parameter by is given twice: separate its values with commas',
  );
  assert.equal(await messageOf('/admin/usage?group=client'), '400 unknown query parameter "group": this path has by, from, to, format');
  assert.match(await messageOf('/admin/requests?target=a/m'), /^400 unknown query parameter "target": this path has limit, .*format$/);
  assert.equal(await messageOf('/admin/requests?limit=1&limit=2'), '400 the query parameter limit is given twice: give it once');
  for (const path of ['/admin/targets', '/admin/queue', '/admin/config', '/admin/events', '/admin/requests/req_1'])
    assert.equal(await messageOf(`${path}?x=1`), '400 unknown query parameter "x": this path has none', path);
  for (const path of ['/admin/reload', '/admin/targets/backup/big/isolate', '/admin/targets/backup/big/reset'])
    assert.match(await messageOf(`${path}?for=10m`, { method: 'POST' }), /^400 unknown query parameter "for"/, path);
});
