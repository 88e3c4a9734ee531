/**
 * AWS Signature Version 4, for requests whose body is known (docs.aws.amazon.com, "Create a signed AWS API request"). A signature covers
 * method, path, query, some headers and the body, and is valid for a few minutes: every attempt is signed again.
 */
import { createHash, createHmac } from 'node:crypto';

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Null: the credentials are not temporary. */
  readonly sessionToken: string | null;
}

export interface SigningScope {
  readonly region: string;
  /** The name used in signatures: `bedrock`, `bedrock-mantle`. */
  readonly service: string;
}

export interface CallToSign {
  readonly method: string;
  /** As sent: encoded, with its query. */
  readonly path: string;
  /** The headers to sign: alternating names and values, including `host`. */
  readonly headers: readonly string[];
  /** SHA-256 of the body, in lower-case hex digits. */
  readonly bodyHash: string;
}

const ALGORITHM = 'AWS4-HMAC-SHA256';

/** The headers that sign the call, to be added to its own: alternating names and values. */
export function signV4(call: CallToSign, scope: SigningScope, credentials: AwsCredentials, epochMs: number): string[] {
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  const time = new Date(epochMs).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const added = ['x-amz-date', time];
  if (sessionToken !== null) added.push('x-amz-security-token', sessionToken);
  const { text, signed } = canonicalRequest(call, [...call.headers, ...added]);
  const place = [time.slice(0, 8), scope.region, scope.service, 'aws4_request'];
  const toSign = [ALGORITHM, time, place.join('/'), sha256(text)].join('\n');
  const key = place.reduce<string | Buffer>((secret, part) => hmac(secret, part), `AWS4${secretAccessKey}`);
  const signature = hmac(key, toSign).toString('hex');
  const credential = `${accessKeyId}/${place.join('/')}`;
  return [...added, 'authorization', `${ALGORITHM} Credential=${credential}, SignedHeaders=${signed}, Signature=${signature}`];
}

/** The canonical form of the request, and the names of the signed headers. */
export function canonicalRequest({ method, path, bodyHash }: CallToSign, headers: readonly string[]): { text: string; signed: string } {
  const at = path.indexOf('?');
  const values = new Map<string, string[]>();
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase();
    const value = headers[i + 1]!.trim().replaceAll(/ +/g, ' ');
    values.set(name, [...(values.get(name) ?? []), value]);
  }
  const names = [...values.keys()].sort();
  const lines = names.map((name) => `${name}:${values.get(name)!.join(',')}\n`).join('');
  const signed = names.join(';');
  const place = canonicalPath(at === -1 ? path : path.slice(0, at));
  const query = canonicalQuery(at === -1 ? '' : path.slice(at + 1));
  return { text: [method, place, query, lines, signed, bodyHash].join('\n'), signed };
}

/** Without `.`, `..` and repeated slashes, and encoded once more than it is sent, as for all services but S3. */
function canonicalPath(path: string): string {
  const resolved: string[] = [];
  const segments = path.split('/');
  for (const segment of segments) {
    if (segment === '..') resolved.pop();
    else if (segment !== '' && segment !== '.') resolved.push(encode(segment));
  }
  const last = segments.at(-1)!;
  const isFolder = resolved.length > 0 && (last === '' || last === '.' || last === '..');
  return `/${resolved.join('/')}${isFolder ? '/' : ''}`;
}

function canonicalQuery(query: string): string {
  const pairs = query.split('&').flatMap((part): [string, string][] => {
    if (part === '') return [];
    const [name, value = ''] = part.split(/=(.*)/s) as [string, string?];
    return [[encode(decode(name)), encode(decode(value))]];
  });
  return pairs
    .sort((one, other) => compare(one[0], other[0]) || compare(one[1], other[1]))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Percent-encodes everything but letters, digits and `-._~`. */
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
