/** `breakwater serve` over TLS and on a unix socket, and the commands that reach it there. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { connect } from 'node:tls';
import { runCli, startCli, type CliProcess } from '../cli/run-cli.ts';
import { makeCertificate, noOpenssl } from '../server/certificate.ts';

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-listening-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

function writeConfig(folder: string, server: object): string {
  const file = join(folder, 'breakwater.yaml');
  writeFileSync(file, JSON.stringify({ server, providers: { a: { baseUrl: 'http://127.0.0.1:9/v1' } }, store: 'memory:' }));
  return file;
}

async function serve(t: TestContext, config: string): Promise<{ cli: CliProcess; url: string }> {
  const cli = startCli(['serve', '--config', config]);
  t.after(() => cli.child.kill('SIGKILL'));
  const [, url = ''] = await cli.until('stdout', /^listening on (\S+)\n/);
  return { cli, url };
}

async function certificateName(url: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(url).port), rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { CN } = socket.getPeerCertificate().subject;
  socket.destroy();
  return String(CN);
}

describe('TLS', { skip: noOpenssl }, () => {
  test('a changed certificate is used at once; one that cannot be used is a warning', async (t) => {
    const folder = folderOf(t);
    const [first, second] = [makeCertificate(folder, 'first'), makeCertificate(folder, 'second')];
    const use = (from: string, to: string): void => copyFileSync(from, join(folder, to));
    use(first.cert, 'tls.pem');
    use(first.key, 'tls.key');
    const config = writeConfig(folder, { port: 0, tls: { cert: 'tls.pem', key: './tls.key' } });
    const { cli, url } = await serve(t, config);
    assert.match(url, /^https:\/\/127\.0\.0\.1:\d+$/);
    assert.equal(await certificateName(url), 'first');

    use(second.cert, 'tls.pem');
    await cli.until('stderr', /the key \S+tls\.key does not belong to the certificate \S+tls\.pem; the old certificate stays in use/);
    assert.equal(await certificateName(url), 'first');
    use(second.key, 'tls.key');
    await cli.until('stderr', /"msg":"reloaded"|certificate of server\.tls/);
    assert.equal(await certificateName(url), 'second');
    cli.child.kill('SIGTERM');
    assert.equal(await cli.ended, 0);
  });

  test('why and usage trust the configured certificate and no other; health, which sends no key, accepts any', async (t) => {
    const folder = folderOf(t);
    const [own, other] = [makeCertificate(folder, 'own'), makeCertificate(folder, 'other')];
    const { url } = await serve(t, writeConfig(folder, { port: 0, tls: own }));
    const port = Number(new URL(url).port);
    const client = writeConfig(folder, { port, tls: own });
    assert.deepEqual(await runCli(['health', '-c', client, '--ready']), { code: 0, stdout: '{"status":"ready"}\n', stderr: '' });
    assert.match((await runCli(['usage', '-c', client])).stdout, /^client +model/m);
    const why = await runCli(['why', 'req_none', '-c', client]);
    assert.match(why.stderr, /the gateway at https:\/\/127\.0\.0\.1:\d+ has no request "req_none"/);
    // The certificate on disk may be renewed and not in use yet, or have expired.
    const foreign = writeConfig(folder, { port, tls: other });
    assert.deepEqual(await runCli(['health', '-c', foreign, '--ready']), { code: 0, stdout: '{"status":"ready"}\n', stderr: '' });
    const asked = await runCli(['usage', '-c', foreign]);
    assert.equal(asked.code, 1);
    assert.match(asked.stderr, /^breakwater: the gateway at https:\S+ cannot be reached: .*certificate/);
  });

  test('files that cannot be used stop the start and are faults of check', async (t) => {
    const folder = folderOf(t);
    const { cert } = makeCertificate(folder, 'one');
    const config = writeConfig(folder, { port: 0, tls: { cert, key: 'missing.key' } });
    for (const command of ['serve', 'check']) {
      const { code, stderr } = await runCli([command, '--config', config]);
      assert.equal(code, 1);
      assert.equal(stderr, `breakwater: server.tls.key: ${join(folder, 'missing.key')} does not exist (ENOENT)\n`);
    }
    const half = await runCli(['check', '--config', writeConfig(folder, { tls: { cert } })]);
    assert.match(half.stderr, /server\.tls\.key: is missing; cert and key belong together/);
  });
});

test('a gateway that is open to the network makes a key once, if asked to, and none of its own is configured', async (t) => {
  const folder = folderOf(t);
  const file = join(folder, 'client.key');
  const env = { BREAKWATER_HOST: '0.0.0.0', BREAKWATER_GENERATE_KEY: file };
  const start = async (more: Record<string, string> = {}): Promise<{ cli: CliProcess; port: string }> => {
    const cli = startCli(['--demo', '--port', '0'], { cwd: folder, env: { ...env, ...more } });
    t.after(() => cli.child.kill('SIGKILL'));
    const [, port = ''] = await cli.until('stdout', /^listening on http:\/\/\S+:(\d+)\n/);
    return { cli, port };
  };
  const models = async (port: string, key: string): Promise<number> => {
    const response = await fetch(`http://127.0.0.1:${port}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
    await response.text();
    return response.status;
  };
  const first = await start();
  const [, key = ''] = await first.cli.until(
    'stderr',
    /no client key is configured, so one was made: (bw-\S{32})\n[^\n]+not printed again/,
  );
  assert.deepEqual([await models(first.port, key), await models(first.port, 'bw-wrong')], [200, 401]);
  assert.equal(statSync(file).mode & 0o777, 0o600);

  const second = await start();
  assert.equal(await models(second.port, key), 200);
  await second.cli.until('stderr', /"msg":"started"/);
  assert.equal(second.cli.stderr().includes(key), false, 'printed once');
  const health = { cwd: folder, env: { ...env, BREAKWATER_PORT: second.port } };
  assert.equal((await runCli(['health'], health)).stdout, '{"status":"live"}\n');

  const own = await start({ BREAKWATER_KEY: 'sk-own-key-of-mine' });
  assert.deepEqual([await models(own.port, key), await models(own.port, 'sk-own-key-of-mine')], [401, 200]);

  rmSync(file);
  const unsaved = await start({ BREAKWATER_GENERATE_KEY: join(folder, 'missing', 'client.key') });
  await unsaved.cli.until('stderr', /could not be stored in \S+ \(ENOENT\): every start makes a new one/);
  writeConfig(folder, { host: '127.0.0.1' });
  assert.equal((await runCli(['check'], { cwd: folder, env })).stdout.includes('clients: []'), true, 'a loopback address needs none');
});

describe('a unix socket', { skip: process.platform === 'win32' ? 'Windows has no unix sockets' : false }, () => {
  test('serves without keys and is removed at the end', async (t) => {
    const folder = folderOf(t);
    const path = join(folder, 'gateway.sock');
    const config = writeConfig(folder, { socket: 'gateway.sock', socketMode: '0600' });
    const { cli, url } = await serve(t, config);
    assert.equal(url, `unix:${path}`);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal((await runCli(['health', '-c', config])).stdout, '{"status":"live"}\n');
    assert.match((await runCli(['usage', '-c', config])).stdout, /^client +model/m);
    const again = await runCli(['serve', '--config', config]);
    assert.equal(
      again.stderr,
      `breakwater: server.socket: can't listen on ${path}: the address is in use by another process (EADDRINUSE)\n`,
    );
    cli.child.kill('SIGTERM');
    assert.equal(await cli.ended, 0);
    assert.equal(existsSync(path), false);
    const away = await runCli(['health', '-c', config]);
    assert.equal(away.code, 1);
    assert.match(away.stderr, /cannot be reached/);
  });

  test('its mode is octal text, and it excludes TLS', async (t) => {
    const folder = folderOf(t);
    const config = writeConfig(folder, { socket: 'a.sock', socketMode: 660, tls: { cert: 'a', key: 'b' } });
    const first = await runCli(['check', '--config', config]);
    assert.match(first.stderr, /server\.socketMode: must be three octal digits in quotes, such as "0660"/);
    writeConfig(folder, { socket: 'a.sock', tls: { cert: 'a', key: 'b' } });
    assert.match((await runCli(['check', '--config', config])).stderr, /server\.tls: has no use with server\.socket/);
  });
});
