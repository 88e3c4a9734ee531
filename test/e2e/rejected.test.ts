/** Requests that are turned away leave a trace: an event, a line in `/admin/requests`, a count. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rawExchange } from '../server/raw-socket.ts';
import { startGateway } from './harness.ts';

const providers = { a: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'sk-secret-of-a-1' } };
const models = { fast: ['a/m'] };
const key = { authorization: 'Bearer web-key-1234' };
const operator = { authorization: 'Bearer admin-key-1234' };

test('whoever is turned away is found by the id of the request', async (t) => {
  const gateway = await startGateway(
    {
      providers,
      models,
      clients: [{ name: 'web', key: 'web-key-1234', models: ['fast', 'other'] }],
      server: { adminKey: 'admin-key-1234', maxBodySize: '1kb' },
    },
    { timelines: true },
  );
  t.after(() => gateway.close());
  const chat = (body: unknown, headers: Record<string, string> = key) => gateway.post('/v1/chat/completions', body, { headers });
  const cases: [status: number, code: string, asked: () => Promise<Response>][] = [
    [401, 'invalid_api_key', () => chat({}, {})],
    [401, 'invalid_api_key', () => fetch(`${gateway.url}/admin/config`)],
    [403, 'model_not_allowed', () => chat({ model: 'secret', messages: [] })],
    [404, 'model_not_found', () => chat({ model: 'other', messages: [] })],
    [404, 'not_found', () => fetch(`${gateway.url}/nothing?key=sk-secret-of-a-1`, { headers: key })],
    [400, 'invalid_request', () => chat('{')],
    [413, 'request_too_large', () => chat({ model: 'fast', messages: [{ role: 'user', content: 'x'.repeat(5000) }] })],
    [405, 'invalid_request', () => fetch(`${gateway.url}/v1/chat/completions`, { headers: key })],
  ];
  for (const [status, code, asked] of cases) {
    const response = await asked();
    assert.equal(response.status, status);
    const id = response.headers.get('x-request-id')!;
    const shown = await fetch(`${gateway.url}/admin/requests/${id}`, { headers: operator });
    assert.equal(shown.status, 200, `${status} ${code}`);
    const timeline = (await shown.json()) as { status: number; code: string; outcome: string; entries: { text: string }[] };
    assert.deepEqual([timeline.status, timeline.code, timeline.outcome], [status, code, 'refused']);
    assert.equal(timeline.entries.length, 1);
    assert.doesNotMatch(JSON.stringify(timeline), /sk-secret/);
  }
  const listed = await fetch(`${gateway.url}/admin/requests?outcome=refused`, { headers: operator });
  assert.equal(((await listed.json()) as { requests: unknown[] }).requests.length, cases.length);
});

test('what is not local, and what is no HTTP, is found too', async (t) => {
  const gateway = await startGateway({ providers, models }, { timelines: true });
  t.after(() => gateway.close());
  const evil = await rawExchange(gateway.url, 'GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n');
  const broken = await rawExchange(gateway.url, 'NO HTTP\r\n\r\n');
  for (const [text, code] of [
    [evil, 'not_local'],
    [broken, 'invalid_request'],
  ] as const) {
    const id = /x-request-id: (\S+)/i.exec(text)?.[1];
    const shown = await fetch(`${gateway.url}/admin/requests/${id}`);
    assert.equal(((await shown.json()) as { code: string }).code, code);
  }
});
