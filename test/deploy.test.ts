/** The files of `deploy/`, as far as this machine can run them: the config, nginx in front of three instances, what compose refers to. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { parse } from 'yaml';
import { parseConfig } from '../src/gateway/config/index.ts';
import { chatBody } from './e2e/harness.ts';
import { startFleet } from './redis/fleet-world.ts';
import { freePort, skipWithoutRedis, startRedis } from './redis/server.ts';

const folder = join(import.meta.dirname, '../deploy');
const nginx = ['/usr/sbin/nginx', 'nginx'].find((command) => (command.startsWith('/') ? existsSync(command) : isCommand(command)));
const skip = nginx === undefined ? 'nginx is not installed: apt-get install nginx-light' : skipWithoutRedis;

function isCommand(name: string): boolean {
  return spawnSync(name, ['-v']).error === undefined;
}

test('the config of deploy/ is valid, and stores in the server that compose starts', () => {
  const env = { OPENAI_API_KEY: 'sk-test', BREAKWATER_ADMIN_KEY: 'admin-key-1', BREAKWATER_WEB_KEY: 'web-key-1' };
  const parsed = parseConfig(parse(readFileSync(join(folder, 'config/breakwater.yaml'), 'utf8')), {
    source: 'file',
    env,
    directory: folder,
  });
  assert.ok(parsed.ok, JSON.stringify(parsed));
  assert.deepEqual(parsed.config.store, { kind: 'redis', url: 'redis://valkey:6379' });
});

interface Service {
  readonly volumes?: readonly string[];
  readonly build?: { readonly dockerfile: string };
  readonly ports?: readonly string[];
  readonly environment?: object;
}

test('compose starts three instances, and names files that exist', () => {
  const { services } = parse(readFileSync(join(folder, 'compose.yaml'), 'utf8'), { merge: true }) as { services: Record<string, Service> };
  const gateways = Object.keys(services).filter((name) => name.startsWith('gateway-'));
  assert.equal(gateways.length, 3);
  const upstream = [...readFileSync(join(folder, 'nginx.conf'), 'utf8').matchAll(/server (gateway-\d):4747 resolve /g)].map(
    ([, name]) => name,
  );
  assert.deepEqual(upstream, [...gateways, ...gateways], 'in both groups');
  for (const { volumes = [], build, ports = [] } of Object.values(services)) {
    for (const volume of volumes) if (volume.startsWith('./')) assert.ok(existsSync(join(folder, volume.split(':')[0]!)), volume);
    if (build !== undefined) assert.ok(existsSync(join(folder, '..', build.dockerfile)));
    for (const port of ports) assert.match(port, /^127\.0\.0\.1:/);
  }
});

test('nginx spreads requests over the instances, passes streams as they come, and passes over one that is gone', { skip }, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const fleet = await startFleet(t, {
    url: redis.url,
    storm: { timing: { tokens: 40, tokensPerSecond: 40 } },
    config: { clients: [{ name: 'web', key: 'web-key-1' }], server: { adminKey: 'admin-key-1' } },
  });
  const members = [await fleet.join(), await fleet.join(), await fleet.join()];
  const origin = await startNginx(t, members.map(({ url }) => new URL(url).host)); // prettier-ignore
  const post = (body: object): Promise<Response> =>
    fetch(`${origin}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer web-key-1' },
      body: JSON.stringify(body),
    });
  const answers = await Promise.all(Array.from({ length: 12 }, () => post(chatBody())));
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  for (const answer of answers) await answer.text();
  for (const member of members) assert.ok(member.eventsOf('received').length >= 2, 'each has some');
  const startedAt = performance.now();
  const times: number[] = [];
  for await (const _ of (await post(chatBody({ stream: true, max_tokens: 40 }))).body!) times.push(performance.now() - startedAt);
  assert.ok(times.at(-1)! - times[0]! > 300, 'the stream arrives as it is written');
  for (const path of ['/admin/config', '/', '/metrics', '/dashboard/app.js']) assert.equal((await fetch(origin + path)).status, 404, path);
  assert.equal((await fetch(`${origin}/health/ready`)).status, 200);
  await members[1]!.close();
  const after = await Promise.all(Array.from({ length: 9 }, () => post(chatBody())));
  assert.deepEqual(new Set(after.map(({ status }) => status)), new Set([200]));
  for (const answer of after) await answer.text();
});

/** Three instances that answer a POST as `answer` does, and anything else with 200. */
async function startInstances(t: TestContext, answer: (index: number, body: Buffer, response: ServerResponse) => void) {
  const posts: number[] = [0, 0, 0];
  const hosts = await Promise.all(
    [0, 1, 2].map(async (index) => {
      const server = createServer((request, response) => {
        const pieces: Buffer[] = [];
        request.on('data', (piece: Buffer) => pieces.push(piece));
        request.on('end', () => {
          if (request.method !== 'POST') return response.end();
          posts[index]!++;
          return answer(index, Buffer.concat(pieces), response);
        });
      }).listen(0, '127.0.0.1');
      t.after(() => (server.closeAllConnections(), server.close()));
      await once(server, 'listening');
      return `127.0.0.1:${(server.address() as AddressInfo).port}`;
    }),
  );
  const origin = await startNginx(t, hosts);
  const body = 'x'.repeat(600_000);
  const post = async (): Promise<readonly [number, boolean]> => {
    const answered = await fetch(`${origin}/v1/chat/completions`, { method: 'POST', body });
    return [answered.status, (await answered.text()) === body];
  };
  const sent = (): number => posts.reduce((sum, count) => sum + count);
  return { posts, post, sent };
}

const marked = (parse(readFileSync(join(folder, 'config/breakwater.yaml'), 'utf8')) as { server: { drainHeaders: Record<string, string> } })
  .server.drainHeaders;

test(
  'nginx sends a request that an instance refuses while it shuts down to the others, and returns the refusal of all',
  { skip },
  async (t) => {
    let refusing = 1;
    const { posts, post, sent } = await startInstances(t, (index, body, response) => {
      if (index < refusing) response.writeHead(503, marked).end(body);
      else response.writeHead(200).end(body);
    });
    for (let i = 0; i < 9; i++) assert.deepEqual(await post(), [200, true]);
    assert.equal(posts[1]! + posts[2]!, 9);
    refusing = 3;
    posts.fill(0);
    assert.deepEqual(await post(), [503, true]);
    assert.ok(sent() <= 6, String(posts));
    refusing = 2;
    for (let i = 0; i < 9; i++) assert.deepEqual(await post(), [200, true]);
    refusing = 0;
    assert.deepEqual(await post(), [200, true], 'an instance that refused is used again at once');
  },
);

test('nginx sends a request to one instance only if it responds with 503 for another reason, or breaks off', { skip }, async (t) => {
  let broken = false;
  const { posts, post, sent } = await startInstances(t, (_, body, response) => {
    if (broken) response.destroy();
    else response.writeHead(503).end(body);
  });
  assert.deepEqual(await post(), [503, true]);
  assert.equal(sent(), 1, 'a provider is down');
  broken = true;
  posts.fill(0);
  assert.deepEqual(await post(), [502, false]);
  assert.equal(sent(), 1, 'the request may have been run');
});

/** nginx with the file of `deploy/`, with these addresses for its names. */
async function startNginx(t: TestContext, hosts: readonly string[]): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'breakwater-deploy-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const port = await freePort();
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${directory}/${name};`).join(' ');
  const written = readFileSync(join(folder, 'nginx.conf'), 'utf8');
  // nginx has `resolve` since 1.27.3 only: what the file says for older ones. Names need no resolver here.
  const expressions = [.../^#   sed (.*) nginx\.conf$/m.exec(written)![1]!.matchAll(/-e '([^']+)'/g)].flatMap(([, each]) => ['-e', each!]);
  let text = spawnSync('sed', expressions, { input: written, encoding: 'utf8' }).stdout;
  assert.doesNotMatch(text, /^[^#]*\bresolver? /m);
  hosts.forEach((host, i) => (text = text.replaceAll(`gateway-${i + 1}:4747`, host)));
  text = text.replace('http {', `http { ${temp}`).replace('listen 8080', `listen 127.0.0.1:${port}`).replace('auto', '1');
  const file = join(directory, 'nginx.conf');
  writeFileSync(file, text);
  const common = ['-p', directory, '-c', file, '-g', `daemon off; master_process off; pid ${directory}/pid; error_log stderr crit;`];
  const checked = spawnSync(nginx!, ['-t', ...common], { encoding: 'utf8' });
  assert.equal(checked.status, 0, checked.stderr);
  const child = spawn(nginx!, common, { stdio: ['ignore', 'ignore', 'inherit'] });
  t.after(async () => {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  });
  const origin = `http://127.0.0.1:${port}`;
  for (;;) {
    assert.equal(child.exitCode, null, 'nginx ended');
    const answer = await fetch(`${origin}/health/live`).catch(() => null);
    if (answer?.ok === true) return origin;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
