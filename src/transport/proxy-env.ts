/** The outbound proxy by HTTP_PROXY, HTTPS_PROXY and NO_PROXY; lower-case spellings take precedence, as in curl. */
import { BlockList, isIP } from 'node:net';

export type ProxyEnvironment = Readonly<Record<string, string | undefined>>;

const proxyNames = ['HTTP_PROXY', 'HTTPS_PROXY'] as const;

export function proxyVariable(env: ProxyEnvironment, name: (typeof proxyNames)[number] | 'NO_PROXY'): string {
  return (env[name.toLowerCase()] ?? env[name] ?? '').trim();
}

/** A message for each invalid variable. The value is not shown, since it may contain a password. */
export function proxyFaults(env: ProxyEnvironment): string[] {
  return proxyNames
    .filter((name) => {
      const value = proxyVariable(env, name);
      return value !== '' && !(/^https?:\/\//i.test(value) && URL.canParse(value));
    })
    .map((name) => `${name}: must be a URL that starts with http:// or https://, such as http://proxy.example:3128`);
}

export interface ProxyChoice {
  readonly httpProxy: string;
  readonly httpsProxy: string;
  /** A proxy is configured. */
  readonly isSet: boolean;
  /** True: this origin is reached through a proxy. */
  readonly uses: (origin: string) => boolean;
}

/** Throws for an invalid variable. As in Go's net/http, a server on this machine is never reached through a proxy. */
export function createProxyChoice(env: ProxyEnvironment): ProxyChoice {
  const faults = proxyFaults(env);
  if (faults.length > 0) throw new Error(faults.join('\n'));
  const bypasses = createBypass(proxyVariable(env, 'NO_PROXY'));
  const httpProxy = proxyVariable(env, 'HTTP_PROXY');
  const httpsProxy = proxyVariable(env, 'HTTPS_PROXY');
  const isSet = httpProxy !== '' || httpsProxy !== '';
  return { httpProxy, httpsProxy, isSet, uses: (origin) => isSet && !isLoopback(origin) && !bypasses(origin) };
}

function isLoopback(origin: string): boolean {
  const { hostname } = new URL(origin);
  return hostname === 'localhost' || hostname.endsWith('.localhost') || hostname.startsWith('127.') || hostname === '[::1]';
}

interface Rule {
  /** Null: every port. */
  readonly port: number | null;
  readonly fits: (host: string) => boolean;
}

const defaultPorts: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 };

/**
 * Parses NO_PROXY, the origins that are reached without a proxy: `*`, a host (with its subdomains), `.suffix` or `*.suffix`, an address, or
 * a network such as `10.0.0.0/8`; each optionally with `:port`.
 */
export function createBypass(noProxy: string): (origin: string) => boolean {
  const rules = noProxy
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .map(readRule);
  return (origin) => {
    const url = new URL(origin);
    const host = url.hostname
      .replace(/^\[(.*)\]$/, '$1')
      .replace(/\.$/, '')
      .toLowerCase();
    const port = url.port === '' ? (defaultPorts[url.protocol] ?? 0) : Number(url.port);
    return rules.some((rule) => (rule.port === null || rule.port === port) && rule.fits(host));
  };
}

function readRule(entry: string): Rule {
  const { name, port } = splitPort(entry.toLowerCase());
  if (name === '*') return { port, fits: () => true };
  const network = readNetwork(name);
  if (network !== null) return { port, fits: (host) => isIP(host) > 0 && network.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4') };
  const onlyBelow = name.startsWith('*.');
  const suffix = name.replace(/^\*?\./, '').replace(/\.$/, '');
  return { port, fits: (host) => host.endsWith(`.${suffix}`) || (!onlyBelow && host === suffix) };
}

/** IPv6 addresses with a port are in brackets. */
function splitPort(entry: string): { name: string; port: number | null } {
  const [, bracketed, bracketPort] = /^\[([^\]]+)\](?::(\d+))?$/.exec(entry) ?? [];
  if (bracketed !== undefined) return { name: bracketed, port: bracketPort === undefined ? null : Number(bracketPort) };
  const [, name, port] = /^([^:]+):(\d+)$/.exec(entry) ?? [];
  return name === undefined ? { name: entry, port: null } : { name, port: Number(port) };
}

/** An address or a network; null: it is a name. */
function readNetwork(name: string): BlockList | null {
  const [address = '', length] = name.split('/');
  const version = isIP(address);
  if (version === 0) return null;
  const bits = version === 6 ? 128 : 32;
  const prefix = length === undefined ? bits : Number(length);
  const list = new BlockList();
  if (Number.isInteger(prefix) && prefix >= 0 && prefix <= bits) list.addSubnet(address, prefix, version === 6 ? 'ipv6' : 'ipv4');
  return list;
}
