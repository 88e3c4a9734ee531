/** The contenders. To add a gateway, add an entry: how to start it in front of `upstream`, and where it listens. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { clientKey } from './bodies.ts';
import { options } from './options.ts';
import { makeCertificate } from '../test/server/certificate.ts';
import { cores, pinned, start, type Start } from './processes.ts';

/** As long as real keys, because every response is searched for them, and without words that occur in responses. */
const keys = { first: `sk-proj-one-${'0123456789abcdef'.repeat(2)}`, second: `sk-proj-two-${'0123456789abcdef'.repeat(2)}` };

const adminKey = 'operator-fedcba9876543210';

const root = fileURLToPath(new URL('..', import.meta.url));

export interface Contender {
  readonly name: string;
  /** Why it cannot run here; undefined if it can. */
  missing(): string | undefined;
  /** How to start it. Its files go into `folder`. */
  prepare(upstream: string, folder: string): Promise<Start>;
  /** An additional connection during the measurement; closed with the process. Default: none. */
  watch?(url: string): void;
}

const probedNode = [process.execPath, '--import', join(root, 'bench/probe.ts')];

const relay = (name: string, file = 'relay.ts', ...args: string[]): Contender => ({
  name,
  missing: () => undefined,
  prepare: async (upstream) => ({
    command: [...probedNode, join(root, 'bench', file), upstream, ...args],
    core: cores.contender,
    isProbed: true,
  }),
});

const nginx: Contender = {
  name: 'nginx',
  missing: () => (spawnSync('nginx', ['-v']).error ? 'not installed (Debian: nginx-light)' : undefined),
  async prepare(upstream, folder) {
    const port = await freePort();
    const file = join(folder, 'nginx.conf');
    writeFileSync(file, nginxConfig(port, upstream, folder));
    return { command: ['nginx', '-e', 'stderr', '-p', folder, '-c', file], core: cores.contender, url: `http://127.0.0.1:${port}` };
  },
};

/** `more`: further blocks of its config; `server`: further keys of the block `server`. */
const gateway = (name: string, checkout: string | undefined, more: () => Promise<string> = async () => '', server = ''): Contender => ({
  name,
  missing: () => (checkout === undefined ? 'no --against' : undefined),
  async prepare(upstream, folder) {
    const own = mkdtempSync(join(folder, 'gateway-'));
    const file = join(own, 'breakwater.yaml');
    writeFileSync(file, breakwaterConfig(await freePort(), upstream, server) + (await more()));
    const command = [...probedNode, await mainOf(checkout!), '--config', file];
    // As npm start and the container set it.
    return { command, core: cores.contender, cwd: own, isProbed: true, env: { MALLOC_ARENA_MAX: '1' } };
  },
});

/** What `npm start` runs in a checkout. */
async function mainOf(checkout: string): Promise<string> {
  const script = join(checkout, 'scripts/build-once.mjs');
  if (!existsSync(script)) return join(checkout, 'src/cli/main.ts');
  const { bundleOnce } = (await import(pathToFileURL(script).href)) as { bundleOnce: (node: string) => string };
  return bundleOnce(process.execPath);
}

const breakwater = gateway('breakwater', root);

/** Beside the load: what the store's server costs is no cost of the gateway's core. */
const redis: Contender = {
  ...gateway('breakwater, Redis', root, async () => `store: "${await startRedis()}"\n`),
  missing: () => (spawnSync('redis-server', ['--version']).error ? 'not installed (Debian: redis-server)' : undefined),
};

async function startRedis(): Promise<string> {
  const port = await freePort();
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--loglevel', 'warning'];
  const [file = '', ...rest] = pinned(cores.load, ['redis-server', ...args]);
  const server = spawn(file, rest, { stdio: 'ignore' });
  // It does not keep the bench from ending.
  server.unref();
  process.once('exit', () => server.kill('SIGKILL'));
  return `redis://127.0.0.1:${port}`;
}

/** An open dashboard: a reader of its feed. */
const watched: Contender = {
  ...breakwater,
  name: 'breakwater, watched',
  watch: (url) => void readFeed(`${url}/admin/events`).catch(() => {}),
};

/** Exports the trace of every request to a collector in this process, which reads and drops it. */
const traced = gateway('breakwater, traced', root, async () => {
  const collector = createHttpServer((request, response) => {
    request.resume();
    request.on('end', () => response.setHeader('content-type', 'application/json').end('{}'));
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  collector.unref();
  return `  traces: { endpoint: "http://127.0.0.1:${(collector.address() as AddressInfo).port}" }\n`;
});

/** With an upstream over TLS, of whose certificate this is the authority. */
const overTls = (contender: Contender): Contender => ({
  ...contender,
  missing: () => (spawnSync('openssl', ['version']).error ? 'openssl, which makes the certificate, is not installed' : undefined),
  async prepare(_, folder) {
    const { url, cert } = await tlsUpstream(folder);
    const prepared = await contender.prepare(url, folder);
    return { ...prepared, env: { ...prepared.env, NODE_EXTRA_CA_CERTS: cert } };
  },
});

interface TlsUpstream {
  readonly url: string;
  readonly cert: string;
}

let startedTls: Promise<TlsUpstream> | undefined;

function tlsUpstream(folder: string): Promise<TlsUpstream> {
  startedTls ??= (async () => {
    const { cert, key } = makeCertificate(folder, 'bench');
    const running = await start({ command: [process.execPath, join(root, 'bench/upstream.ts'), '0', cert, key], core: cores.load });
    process.once('exit', () => void running.stop());
    return { url: running.url, cert };
  })();
  return startedTls;
}

const tlsRelay: Contender = {
  name: 'relay, TLS',
  missing: () => undefined,
  async prepare(upstream, folder) {
    const { command, ...rest } = await relay('').prepare(upstream, folder);
    return { ...rest, command: [...command, '--tls', join(folder, 'bench.pem'), join(folder, 'bench.key')] };
  },
};

async function readFeed(url: string): Promise<void> {
  const response = await fetch(url, { headers: { authorization: `Bearer ${adminKey}` } });
  if (!response.ok) throw new Error(`the feed responded with ${response.status}`);
  for await (const piece of response.body!) void piece;
}

export const contenders = {
  relay: relay('relay'),
  parsingRelay: relay('relay --parse', 'relay.ts', '--parse'),
  /** The bound of what Breakwater can reach. */
  sockets: relay('own sockets, no engine', 'sockets.ts'),
  nginx,
  breakwater,
  watched,
  memory: gateway('breakwater, memory', root, async () => 'store: "memory:"\n'),
  redis,
  traced,
  tlsRelay: overTls(tlsRelay),
  tls: overTls({
    ...breakwater,
    name: 'breakwater, TLS',
    async prepare(upstream, folder) {
      const files = `cert: ${join(folder, 'bench.pem')}, key: ${join(folder, 'bench.key')}`;
      return gateway('', root, async () => '', `tls: { ${files} }`).prepare(upstream, folder);
    },
  }),
  against: gateway(`breakwater in ${options.against}`, options.against),
};

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** All default policies, logs and metrics enabled, a second tier, a client with limits; none of them is reached. */
function breakwaterConfig(port: number, upstream: string, server: string): string {
  const limits = '{ requestsPerMinute: 100000000, tokensPerMinute: 100000000000, concurrency: 10000 }';
  return `server: { host: 127.0.0.1, port: ${port}, adminKey: ${adminKey}${server === '' ? '' : `, ${server}`} }
providers:
  first: { protocol: openai, baseUrl: "${upstream}/v1", apiKey: ${keys.first}, limits: ${limits} }
  second: { protocol: openai, baseUrl: "${upstream}/v1", apiKey: ${keys.second}, limits: ${limits} }
models:
  bench: [first/bench, second/bench]
clients:
  - { name: bench, key: ${clientKey}, limits: { requestsPerMinute: 100000000 } }
telemetry:
  logs: { level: info }
  metrics: true
`;
}

function nginxConfig(port: number, upstream: string, folder: string): string {
  return `daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr crit;
worker_rlimit_nofile 20000;
events { worker_connections 20000; }
http {
  access_log off;
  client_max_body_size 64m;
  client_body_buffer_size 2m;
  keepalive_requests 100000000;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  upstream provider { server ${new URL(upstream).host}; keepalive 512; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }
  }
}
`;
}
