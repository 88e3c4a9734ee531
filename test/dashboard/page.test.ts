/** The dashboard's files and its feed over HTTP, without a browser. `npm test` builds the page first. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { test } from 'node:test';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { bothWays, overSocket } from '../server/both-ways.ts';
import { startWatched } from './world.ts';

const operator = { server: { adminKey: 'operator-key-1' } };

bothWays('the page is one file with no script or style in it, and nothing from elsewhere', {}, async ({ fetch }) => {
  const response = await fetch('/');
  const text = await response.text();
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'text/html; charset=utf-8');
  assert.match(text, /<div id="app">/);
  assert.doesNotMatch(text, /<script[^>]*>[^<]|<style|\sstyle=|\son\w+=|https?:\/\//);
});

bothWays('every file of the page carries the security headers and comes as its kind', {}, async ({ fetch }) => {
  const page = await (await fetch('/')).text();
  const paths = ['/', ...Array.from(page.matchAll(/(?:src|href)="([^"]+)"/g), (match) => match[1]!)];
  assert.ok(paths.length >= 4);
  for (const path of paths) {
    const { status, headers } = await fetch(path);
    assert.equal(status, 200, path);
    assert.match(
      headers.get('content-security-policy') ?? '',
      /default-src 'none'; script-src 'self'; style-src 'self'; .*frame-ancestors 'none'/,
    );
    assert.doesNotMatch(headers.get('content-security-policy')!, /unsafe/);
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.equal(headers.get('referrer-policy'), 'no-referrer');
    assert.equal(headers.get('cache-control'), path === '/' ? 'no-cache' : 'public, max-age=31536000, immutable');
  }
});

bothWays('only files of the page are served', {}, async ({ fetch }) => {
  for (const path of [
    '/dashboard/',
    '/dashboard/none.js',
    '/dashboard/..%2fcli%2fmain.js',
    '/dashboard/%2e%2e/package.json',
    '/dashboard/index.html',
  ])
    assert.ok([403, 404].includes((await fetch(path)).status), path);
  assert.equal((await fetch('/', { method: 'POST' })).status, 405);
});

test('the page is compressed as the browser asks', async (t) => {
  const gateway = await startWatched({
    providers: { a: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'key-12345678' } },
    models: { m: ['a/m'] },
  });
  t.after(() => gateway.close());
  const plain = await rawGet(gateway.port, 'identity');
  assert.equal(plain.encoding, undefined);
  const br = await rawGet(gateway.port, 'gzip, br');
  assert.equal(br.encoding, 'br');
  assert.deepEqual(brotliDecompressSync(br.body), plain.body);
  const zipped = await rawGet(gateway.port, 'br;q=0, gzip');
  assert.equal(zipped.encoding, 'gzip');
  assert.deepEqual(gunzipSync(zipped.body), plain.body);
});

function rawGet(port: number, accepted: string): Promise<{ encoding: string | undefined; body: Buffer }> {
  return new Promise((resolve, reject) => {
    request({ port, host: '127.0.0.1', path: '/', headers: { 'accept-encoding': accepted } }, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('end', () => resolve({ encoding: response.headers['content-encoding'], body: Buffer.concat(pieces) }));
    })
      .on('error', reject)
      .end();
  });
}

overSocket(
  'with an admin key the page is for every browser, its data are not',
  { config: operator, boundHost: '0.0.0.0' },
  async ({ fetch }) => {
    const page = await fetch('/', { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } });
    assert.equal(page.status, 200);
    const html = await page.text();
    assert.match(html, /<div id="app" data-key="required">/, 'it asks for the key before its first request');
    for (const [, path] of html.matchAll(/(?:src|href)="([^"]+)"/g)) assert.equal((await fetch(path!)).status, 200);
    assert.equal((await fetch('/')).status, 401);
    assert.equal((await fetch('/', { headers: { authorization: 'Bearer operator-key-1' } })).status, 200);
    for (const path of ['/admin/events', '/admin/targets']) assert.equal((await fetch(path)).status, 401, path);
    assert.equal((await fetch('/admin/events', { headers: { authorization: 'Bearer wrong-key-1' } })).status, 401);
  },
);

overSocket('without an admin key a page that could show nothing is not served', { boundHost: '0.0.0.0' }, async ({ fetch }) => {
  const response = await fetch('/');
  assert.equal(response.status, 403);
  assert.match(await response.text(), /Set server\.adminKey/);
});

test('the feed is a stream of events that ends when the gateway does', async () => {
  const gateway = await startWatched({
    providers: { a: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'key-12345678' } },
    models: { m: ['a/m'] },
  });
  const response = await fetch(`${gateway.url}/admin/events`);
  assert.equal(response.headers.get('content-type'), 'text/event-stream');
  assert.equal(response.headers.get('cache-control'), 'no-store');
  const reader = response.body!.getReader();
  const { value } = await reader.read();
  assert.match(Buffer.from(value).toString(), /^id: \S+-\d+\nevent: hello\ndata: \{"resumed":false,/);
  assert.equal(gateway.telemetry.feed.readers, 1);
  const closed = gateway.close();
  let text = '';
  for (;;) {
    const { done, value: more } = await reader.read();
    if (done) break;
    text += Buffer.from(more).toString();
  }
  await closed;
  assert.equal(gateway.telemetry.feed.readers, 0);
  assert.match(`${text}\n\n`, /^(?:id: .+\nevent: tick\ndata: .+\n\n)*\n\n$/);
});

test('a reader that leaves frees its place', async (t) => {
  const gateway = await startWatched({
    providers: { a: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'key-12345678' } },
    models: { m: ['a/m'] },
  });
  t.after(() => gateway.close());
  const leaving = new AbortController();
  const response = await fetch(`${gateway.url}/admin/events`, { signal: leaving.signal });
  await response.body!.getReader().read();
  assert.equal(gateway.telemetry.feed.readers, 1);
  leaving.abort();
  while (gateway.telemetry.feed.readers > 0) await new Promise((resolve) => setImmediate(resolve));
});

test('the feed ends for a reader who may not read it any more: the admin key was changed', async (t) => {
  const withKey = (adminKey: string): ConfigInput => ({
    providers: { a: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'key-12345678' } },
    models: { m: ['a/m'] },
    server: { adminKey },
  });
  const gateway = await startWatched(withKey('operator-key-1'));
  t.after(() => gateway.close());
  const response = await fetch(`${gateway.url}/admin/events`, { headers: { authorization: 'Bearer operator-key-1' } });
  const reader = response.body!.getReader();
  await reader.read();
  await gateway.reload({ ...withKey('operator-key-1'), models: { m: ['a/m'], n: ['a/m'] } });
  assert.match(Buffer.from((await reader.read()).value ?? []).toString(), /event: tick/);
  await gateway.reload(withKey('operator-key-2'));
  assert.deepEqual(await reader.read(), { done: true, value: undefined });
  assert.equal(gateway.telemetry.feed.readers, 0);
});
