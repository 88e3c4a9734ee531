/** What HTTP/1.1 forbids in a request head and Node's parser lets pass. Two readers may understand such a head differently. */
import type { HeaderPairs, HeadersByName } from '../core/headers.ts';

/** A head as far as it is judged here; node:http's own has this form. */
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

/** What is wrong with the head, in words for its sender; null: nothing. */
export function headFault(request: JudgedHead): string | null {
  const { httpVersion, headers, url } = request;
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return `HTTP/${httpVersion} is not spoken here`;
  const coding = headers['transfer-encoding'];
  if (coding !== undefined) {
    if (httpVersion === '1.0') return 'HTTP/1.0 has no transfer-encoding';
    // RFC 9112 6.1: a body whose codings are not all understood has no known end.
    if (coding.toLowerCase() !== 'chunked') return 'transfer-encoding must be chunked, once';
  }
  const { host } = headers;
  if (host === undefined) return httpVersion === '1.1' ? 'the host header is missing' : null;
  if (hasTwoHosts(request.rawHeaders)) return 'the host header must be sent once';
  return url === undefined || url.charCodeAt(0) === 0x2f ? null : targetFault(url, host);
}

/**
 * The protocol that the caller wants to change to (RFC 9110 7.8); null: none. HTTP/2 without TLS is not among them: Java's client offers it
 * with every first request, and is served over HTTP/1.1 where the offer is ignored.
 */
export function wantedProtocol({ httpVersion, headers }: JudgedHead): string | null {
  const { upgrade, connection } = headers;
  if (upgrade === undefined || upgrade === '' || httpVersion === '1.0' || !/(^|,)\s*upgrade\s*(,|$)/i.test(connection ?? '')) return null;
  return /^h2c$/i.test(upgrade.trim()) ? null : upgrade;
}

/** Node keeps the first one without a word (RFC 9112 3.2). */
function hasTwoHosts(rawHeaders: readonly string[]): boolean {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length === 4 && (name === 'host' || name === 'Host' || name.toLowerCase() === 'host')) count++;
  }
  return count > 1;
}

/** A target that begins with no slash: the absolute form must name the same authority as `Host` (RFC 9112 3.2.2). */
function targetFault(target: string, host: string): string | null {
  if (target === '*') return null;
  const match = absoluteForm.exec(target);
  if (match === null) return 'the request target is neither a path nor a URL';
  const scheme = match[1]!.toLowerCase();
  if (scheme !== 'http' && scheme !== 'https') return 'the request target is no http URL';
  const port = scheme === 'http' ? ':80' : ':443';
  return withoutPort(match[2]!, port) === withoutPort(host, port) ? null : 'the request target and the host header name two hosts';
}

function withoutPort(given: string, port: string): string {
  const name = given.toLowerCase();
  return name.endsWith(port) ? name.slice(0, -port.length) : name;
}
