/** Ways to reach a server: as an ACL user, over TLS, as a cluster, through sentinels. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { systemClock } from '../../src/gateway/system-clock.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { JobStore } from '../../src/store/jobs/job-store.ts';
import type { ExchangeReply } from '../../src/store/shared-store.ts';
import { freePort, redisServer, sendCommands, skipWithoutRedis, startRedis } from './server.ts';

const options = { skip: skipWithoutRedis };

/** Writes and reads state, a cached response and an exchange through a store at the URL. */
async function assertWorks(t: TestContext, url: string): Promise<void> {
  const store = await openStore(url, { clock: systemClock, onWarning: () => {} });
  t.after(() => store.close());
  assert.deepEqual(store.health, { state: 'ok' });
  store.put('breaker', 'a', { state: 'open' });
  store.put('usage', 'b', { calls: 2 });
  assert.equal(await store.flush(), true);
  assert.deepEqual(await store.get('breaker', 'a'), { state: 'open' });
  assert.deepEqual([...(await store.getAll('usage')).values()], [{ calls: 2 }]);
  const shared = store.shared!;
  const linked = new Promise<void>((resolve) => shared.open({ message: () => {}, linked: (isLinked) => isLinked && resolve() }));
  await linked;
  const reply: ExchangeReply = await shared.exchange([]);
  assert.deepEqual(reply, { members: [shared.member], grants: [] });
  await shared.leave([]);
  await assertJobs(store.jobs!);
}

async function assertJobs(jobs: JobStore): Promise<void> {
  const limits = { bytesMax: 1e9, openJobsMax: 10 };
  const nowMs = Date.now();
  const runner = await jobs.register({ machine: 'm', pid: 1, startedAtMs: 1 }, nowMs);
  const job = {
    id: 'j',
    kind: 'k',
    client: 'web',
    dialect: 'd',
    path: '/p',
    priority: 'job',
    createdAtMs: nowMs,
    endsAtMs: nowMs + 1e6,
    data: {},
  };
  assert.equal(await jobs.createJob(job, limits, [{ n: 0, customId: 'c', model: 'm', body: Buffer.from('{}') }]), 'created');
  const { items } = await jobs.lease({ runner, job: 'j', model: 'm', countMax: 5, bytesMax: 1_000, nowMs });
  assert.equal(await jobs.markSent(items[0]!), true);
  assert.equal(
    await jobs.completeItem(items[0]!, { succeeded: true, status: 200, facts: {}, body: Buffer.from('{}'), error: null }),
    'last',
  );
  await jobs.changeJob('j', ['in_progress'], { state: 'completed', keepUntilMs: nowMs });
  assert.deepEqual(await jobs.beat({ runner, nowMs, silenceMaxMs: 15_000, machine: 'm', pid: 1, startedAtMs: 1 }), []);
  while (await jobs.sweep());
}

void test('a user with a password', options, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  // As in docs/many-instances.md.
  const rights = 'resetchannels ~{breakwater}* ~{breakwater:* &{breakwater}* +@all -@admin -@dangerous +info';
  await sendCommands(redis.port, `ACL SETUSER team on >p@ss ${rights}`, 'ACL SETUSER default off');
  await assertWorks(t, `redis://team:p%40ss@127.0.0.1:${redis.port}`);
  const refused = await openStore(`redis://team:wrong@127.0.0.1:${redis.port}`, { clock: systemClock, onWarning: () => {} });
  t.after(() => refused.close());
  assert.equal(refused.health.state, 'degraded');
});

void test('a database by its number; one that the server does not have is not replaced by database 0', options, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  await assertWorks(t, `redis://127.0.0.1:${redis.port}/3`);
  const warnings: string[] = [];
  const missing = await openStore(`redis://127.0.0.1:${redis.port}/99`, {
    clock: systemClock,
    onWarning: (text) => void warnings.push(text),
  });
  t.after(() => missing.close());
  assert.equal(missing.health.state, 'degraded');
  assert.match(JSON.stringify(missing.health), /DB index is out of range/);
});

void test('a cluster, by the address of one node', options, async (t) => {
  const redis = await startRedis('--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1');
  t.after(() => redis.stop());
  await sendCommands(redis.port, 'CLUSTER ADDSLOTSRANGE 0 16383');
  await eventuallyOk(redis.port);
  await assertWorks(t, `redis://127.0.0.1:${redis.port}?cluster=true`);
});

async function eventuallyOk(port: number): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const socket = connect(port, '127.0.0.1');
    socket.write('CLUSTER INFO\r\n');
    const [reply] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    if (reply.toString().includes('cluster_state:ok')) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('the cluster does not start');
}

void test('a primary found through sentinels', options, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-sentinel-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const port = await freePort();
  writeFileSync(
    join(folder, 'sentinel.conf'),
    `port ${port}\nbind 127.0.0.1\ndir ${folder}\nsentinel monitor main 127.0.0.1 ${redis.port} 1\n`,
  );
  const sentinel = spawn(redisServer!, [join(folder, 'sentinel.conf'), '--sentinel', '--loglevel', 'warning'], { stdio: 'ignore' });
  t.after(async () => {
    sentinel.kill('SIGKILL');
    await once(sentinel, 'exit');
  });
  for (let tries = 0; tries < 100 && !(await isListening(port)); tries++) await new Promise((resolve) => setTimeout(resolve, 50));
  await assertWorks(t, `redis://127.0.0.1:${port}?sentinel=main`);
});

void test(
  'after a planned failover the new primary is used at once, while the old one still serves its connections',
  options,
  async (t) => {
    const [primary, folder, port] = [await startRedis(), mkdtempSync(join(tmpdir(), 'breakwater-sentinel-')), await freePort()];
    const replica = await startRedis('--replicaof', '127.0.0.1', String(primary.port));
    t.after(() => Promise.all([primary.stop(), replica.stop()]));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const monitor = `sentinel monitor main 127.0.0.1 ${primary.port} 1`;
    writeFileSync(join(folder, 'sentinel.conf'), `port ${port}\nbind 127.0.0.1\ndir ${folder}\n${monitor}\n`);
    const sentinel = spawn(redisServer!, [join(folder, 'sentinel.conf'), '--sentinel', '--loglevel', 'warning'], { stdio: 'ignore' });
    t.after(async () => {
      sentinel.kill('SIGKILL');
      await once(sentinel, 'exit');
    });
    const store = await openStore(`redis://127.0.0.1:${port}?sentinel=main`, { clock: systemClock, onWarning: () => {} });
    t.after(() => store.close());
    const shared = store.shared!;
    let links = 0;
    shared.open({ message: () => {}, linked: (isLinked) => void (links += isLinked ? 1 : 0) });
    await until(() => links === 1, 'the link', 5_000);
    // The sentinel asks for replicas every ten seconds.
    let answer = '';
    for (const startedAt = performance.now(); !answer.startsWith('+OK') && performance.now() - startedAt < 20_000; await wait(200))
      answer = await ask(port, 'SENTINEL failover main');
    const failedOverAt = performance.now();
    await until(() => links === 2, 'the second link', 8_000);
    t.diagnostic(`linked again after ${Math.round(performance.now() - failedOverAt)} ms`);
    await shared.exchange([]);
    assert.equal(await ask(replica.port, 'ZCARD {breakwater}:members'), ':1\r\n');
    await shared.leave([]);
  },
);

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function until(isSo: () => boolean, what: string, ms: number): Promise<void> {
  for (const startedAt = performance.now(); !isSo(); await wait(20))
    if (performance.now() - startedAt > ms) throw new Error(`did not happen: ${what}`);
}

async function ask(port: number, command: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(`${command}\r\n`);
  const [reply] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  return reply.toString();
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(socket.destroy() !== null));
    socket.once('error', () => resolve(false));
  });
}

void test(
  'over TLS: an untrusted certificate is refused; a server may ask for that of the client',
  { skip: skipWithoutRedis || !hasTls() },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'breakwater-tls-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
    spawnSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', cert, ...subject]);
    const tlsPort = await freePort();
    const files = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', cert];
    const redis = await startRedis('--tls-port', String(tlsPort), ...files, '--tls-auth-clients', 'no');
    t.after(() => redis.stop());
    const script = `
    import { systemClock } from './src/gateway/system-clock.ts';
    import { openStore } from './src/store/open-store.ts';
    const store = await openStore('rediss://127.0.0.1:${tlsPort}' + process.env.QUERY, { clock: systemClock, onWarning: () => {} });
    console.log(store.health.state, store.health.message ?? '');
    await store.close();`;
    const run = async (env: Record<string, string>): Promise<string> => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        env: { ...process.env, QUERY: '', ...env },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let text = '';
      child.stdout.on('data', (bytes: Buffer) => (text += bytes.toString()));
      await once(child, 'close');
      return text.trim();
    };
    assert.match(await run({}), /^degraded its certificate is not trusted/);
    const trust = { NODE_EXTRA_CA_CERTS: cert };
    assert.equal(await run(trust), 'ok');
    await redis.start('--tls-port', String(tlsPort), ...files);
    assert.match(await run(trust), /^degraded (?:the server asks for a client certificate|write ECONNRESET)/);
    assert.match(await run({ ...trust, QUERY: '?cert=/none&key=/none' }), /^degraded ENOENT.*\/none/);
    assert.equal(await run({ ...trust, QUERY: `?cert=${cert}&key=${key}` }), 'ok');
  },
);

function hasTls(): boolean {
  return redisServer !== null && spawnSync('openssl', ['version']).status === 0;
}
