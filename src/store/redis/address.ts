/** Parses a store URL for Redis or Valkey. */

export interface RedisNode {
  readonly host: string;
  readonly port: number;
}

export interface RedisAddress {
  /** One server, the first nodes of a cluster, or the sentinels of a primary. */
  readonly mode: 'single' | 'cluster' | 'sentinel';
  readonly nodes: readonly RedisNode[];
  /** The name of the primary in the sentinels; empty in the other modes. */
  readonly primary: string;
  readonly tls: boolean;
  /** The files of the client certificate and its key, in PEM; null: none. */
  readonly certificate: { readonly cert: string; readonly key: string } | null;
  /** The configured scheme without its `s`. The protocol is the same. */
  readonly kind: 'redis' | 'valkey';
  readonly username: string | null;
  readonly password: string | null;
  readonly database: number;
  /** Prefix of every key. Fleets that share a server need different ones. Default `breakwater`. */
  readonly namespace: string;
}

export const REDIS_SCHEMES: ReadonlySet<string> = new Set(['redis', 'rediss', 'valkey', 'valkeys']);

const PARAMETERS: ReadonlySet<string> = new Set(['namespace', 'cluster', 'sentinel', 'cert', 'key']);
const EXPECTED =
  'expected redis://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…][/DATABASE][?namespace=NAME][&cluster=true][&sentinel=NAME][&cert=FILE&key=FILE]';
const DEFAULT_PORT = 6379;
const SENTINEL_PORT = 26379;
const NAMESPACE = /^[A-Za-z0-9_.:-]{1,64}$/;

/** Throws an Error for an operator. It never quotes the part that may contain a password. */
export function parseRedisUrl(url: string): RedisAddress {
  const match = /^([a-z]+):\/\/(?:([^@/?]*)@)?([^/?@]*)(?:\/([^?]*))?(?:\?(.*))?$/is.exec(url);
  if (match === null) throw new Error(`store: ${EXPECTED}`);
  const [, scheme = '', login = '', hosts = '', path = '', query = ''] = match;
  const parameters = new URLSearchParams(query);
  for (const name of parameters.keys()) if (!PARAMETERS.has(name)) throw new Error(`store: unknown parameter in the URL; ${EXPECTED}`);
  const primary = parameters.get('sentinel') ?? '';
  if (primary === '' && parameters.has('sentinel')) throw new Error('store: the parameter "sentinel" needs the name of the primary');
  const names = hosts.split(',').filter((host) => host !== '');
  if (names.length === 0) throw new Error(`store: a host is missing; ${EXPECTED}`);
  const isCluster = primary === '' && (names.length > 1 || isOn(parameters.get('cluster')));
  const mode = primary === '' ? (isCluster ? 'cluster' : 'single') : 'sentinel';
  const database = path === '' ? 0 : Number(path);
  if (!Number.isInteger(database) || database < 0) throw new Error('store: the database in the URL must be a number, as in redis://HOST/0');
  if (isCluster && database !== 0) throw new Error('store: a cluster has database 0 only');
  const namespace = parameters.get('namespace') ?? 'breakwater';
  if (!NAMESPACE.test(namespace)) throw new Error('store: the namespace in the URL must be 1 to 64 letters, digits, and any of _ . : -');
  const tls = /^(?:rediss|valkeys)$/i.test(scheme);
  return {
    mode,
    nodes: names.map((name) => toNode(name, mode === 'sentinel' ? SENTINEL_PORT : DEFAULT_PORT)),
    primary,
    tls,
    certificate: toCertificate(tls, parameters.get('cert') ?? '', parameters.get('key') ?? ''),
    kind: /^valkey/i.test(scheme) ? 'valkey' : 'redis',
    ...toLogin(login),
    database,
    namespace,
  };
}

/** The channel of a fleet. Unlike keys, channels of a server are those of all its databases. */
export function channelOf({ namespace, database }: RedisAddress): string {
  return `{${namespace}}:messages${database === 0 ? '' : `:${database}`}`;
}

/** The address without credentials, for warnings. */
export function describeAddress({ mode, nodes, primary, tls, kind }: RedisAddress): string {
  const hosts = nodes.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`).join(',');
  return `${kind}${tls ? 's' : ''}://${hosts}${mode === 'sentinel' ? ` (sentinels of ${primary})` : ''}`;
}

function toCertificate(tls: boolean, cert: string, key: string): RedisAddress['certificate'] {
  if (cert === '' && key === '') return null;
  if (cert === '' || key === '') throw new Error('store: a client certificate needs both parameters, cert and key');
  if (!tls) throw new Error('store: a client certificate needs TLS, as in rediss://HOST');
  return { cert, key };
}

function isOn(value: string | null): boolean {
  if (value === null || value === 'false') return false;
  if (value === '' || value === 'true') return true;
  throw new Error('store: the parameter "cluster" must be true or false');
}

function toNode(text: string, defaultPort: number): RedisNode {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/i.exec(text);
  const port = Number(match?.[3] ?? defaultPort);
  if (match === null || port < 1 || port > 65_535) throw new Error(`store: a host in the URL is invalid; ${EXPECTED}`);
  return { host: match[1] ?? match[2] ?? '', port };
}

/** `user:password`, `:password`, or a user only. */
function toLogin(text: string): Pick<RedisAddress, 'username' | 'password'> {
  if (text === '') return { username: null, password: null };
  const colon = text.indexOf(':');
  const [user, password] = colon < 0 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)];
  try {
    return { username: user === '' ? null : decodeURIComponent(user), password: password === '' ? null : decodeURIComponent(password) };
  } catch {
    throw new Error('store: the user or password in the URL is not percent-encoded correctly');
  }
}
