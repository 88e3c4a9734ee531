/** Rejects request heads that HTTP/1.1 forbids but the parser of Node.js accepts, since two readers may interpret them differently. */
import type { HeaderPairs, HeadersByName } from '../core/headers.ts';

/** The parts of a head that are checked; compatible with node:http. */
export interface JudgedHead {
  readonly httpVersion: string;
  readonly url?: string | undefined;
  readonly headers: HeadersByName & {
    readonly host?: string | undefined;
    readonly connection?: string | undefined;
    readonly upgrade?: string | undefined;
    readonly 'transfer-encoding'?: string | undefined;
  };
  /** As sent. */
  readonly rawHeaders: Readonly<HeaderPairs>;
}

const absoluteForm = /^([a-z][a-z0-9+.-]*):\/\/([^/?#\\]*)/i;

/** Describes what is wrong with the head; null: valid. */
export function headFault(request: JudgedHead): string | null {
  const { httpVersion, headers, url } = request;
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return `HTTP/${httpVersion} is not supported`;
  const coding = headers['transfer-encoding'];
  if (coding !== undefined) {
    if (httpVersion === '1.0') return 'HTTP/1.0 does not allow transfer-encoding';
    // RFC 9112 6.1: with an unknown coding the end of the body is unknown.
    if (coding.toLowerCase() !== 'chunked') return 'transfer-encoding must be chunked, once';
  }
  const { host } = headers;
  if (host === undefined) return httpVersion === '1.1' ? 'the host header is missing' : null;
  if (hasTwoHosts(request.rawHeaders)) return 'the host header must not be repeated';
  return url === undefined || url.charCodeAt(0) === 0x2f ? null : targetFault(url, host);
}

/**
 * The protocol of a requested upgrade (RFC 9110 7.8); null: none. HTTP/2 without TLS is ignored: Java's client offers it with every first
 * request and continues with HTTP/1.1.
 */
export function wantedProtocol({ httpVersion, headers }: JudgedHead): string | null {
  const { upgrade, connection } = headers;
  if (upgrade === undefined || upgrade === '' || httpVersion === '1.0' || !/(^|,)\s*upgrade\s*(,|$)/i.test(connection ?? '')) return null;
  return /^h2c$/i.test(upgrade.trim()) ? null : upgrade;
}

/** Node.js silently keeps the first one (RFC 9112 3.2). */
function hasTwoHosts(rawHeaders: readonly string[]): boolean {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length === 4 && (name === 'host' || name === 'Host' || name.toLowerCase() === 'host')) count++;
  }
  return count > 1;
}

/** Checks a target without a leading slash: in absolute form its authority must match `Host` (RFC 9112 3.2.2). */
function targetFault(target: string, host: string): string | null {
  if (target === '*') return null;
  const match = absoluteForm.exec(target);
  if (match === null) return 'the request target is neither a path nor a URL';
  const scheme = match[1]!.toLowerCase();
  if (scheme !== 'http' && scheme !== 'https') return 'the request target is not an HTTP URL';
  const port = scheme === 'http' ? ':80' : ':443';
  return withoutPort(match[2]!, port) === withoutPort(host, port) ? null : 'the request target and the host header have different hosts';
}

function withoutPort(given: string, port: string): string {
  const name = given.toLowerCase();
  return name.endsWith(port) ? name.slice(0, -port.length) : name;
}
