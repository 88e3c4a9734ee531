/** A real nginx in front of the gateway, with nothing configured but `proxy_pass`. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { startGateway } from './harness.ts';

const nginx = ['/usr/sbin/nginx', 'nginx'].find((command) => (command.startsWith('/') ? existsSync(command) : isCommand(command)));
const skip = nginx === undefined && 'nginx is not installed: apt-get install nginx-light';

function isCommand(name: string): boolean {
  return spawnSync(name, ['-v']).error === undefined;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts nginx with these directives in its only location; gives its origin. */
async function startNginx(t: TestContext, location: string): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'breakwater-nginx-'));
  const port = await freePort();
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${directory}/${name};`).join(' ');
  const config = `daemon off; master_process off; worker_processes 1; pid ${directory}/pid; error_log stderr;
    events {} http { access_log off; ${temp} server { listen 127.0.0.1:${port}; location / { ${location} } } }`;
  writeFileSync(join(directory, 'nginx.conf'), config);
  const child = spawn(nginx!, ['-p', directory, '-c', join(directory, 'nginx.conf')], { stdio: 'ignore' });
  t.after(async () => {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    rmSync(directory, { recursive: true, force: true });
  });
  const origin = `http://127.0.0.1:${port}`;
  for (;;) {
    assert.equal(child.exitCode, null, 'nginx ended');
    if (
      await fetch(`${origin}/health/live`).then(
        (response) => response.ok,
        () => false,
      )
    )
      return origin;
    await setTimeout(20);
  }
}

const providers = { alpha: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'sk-secret-alpha-1' } };
const models = { fast: ['alpha/m'] };

for (const [what, clients] of [
  ['without clients', []],
  ['with clients', [{ name: 'web', key: 'web-key-1234' }]],
] as const) {
  test(`through a bare nginx proxy_pass, ${what}, visitors reach no operator's path`, { skip }, async (t) => {
    const gateway = await startGateway({ providers, models, clients: [...clients] });
    t.after(() => gateway.close());
    const outside = await startNginx(t, `proxy_pass ${gateway.url};`);
    for (const path of ['/', '/admin/config', '/admin/requests', '/admin/targets', '/admin/queue', '/metrics']) {
      assert.equal((await fetch(outside + path)).status, 403, path);
    }
    const isolate = await fetch(`${outside}/admin/targets/alpha%2Fm/isolate`, { method: 'POST' });
    assert.equal(isolate.status, 403);
    assert.equal(gateway.gateway.targets()[0]?.breaker.state, 'closed');
    // Whoever looks local afterwards may be a visitor too.
    assert.equal((await fetch(`${gateway.url}/admin/config`)).status, 403);
    const asked = await fetch(`${outside}/v1/models`);
    assert.equal(asked.status, clients.length === 0 ? 403 : 401);
  });
}

test('through nginx the admin key opens the admin API', { skip }, async (t) => {
  const gateway = await startGateway({ providers, models, server: { adminKey: 'operator-key-1' } });
  t.after(() => gateway.close());
  const outside = await startNginx(t, `proxy_pass ${gateway.url};`);
  assert.equal((await fetch(`${outside}/admin/config`)).status, 401);
  assert.equal((await fetch(`${outside}/admin/config`, { headers: { authorization: 'Bearer operator-key-1' } })).status, 200);
});
