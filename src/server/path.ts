import { BreakwaterError } from '../core/errors.ts';
import type { Protocol } from '../core/request.ts';

/** A parsed request target: `path` is decoded, without dot segments and repeated slashes; `query` includes `?`. */
export interface ParsedTarget {
  readonly path: string;
  readonly query: string;
}

/**
 * Parses a request target (RFC 9112 3.2: origin form, or absolute form, whose authority is ignored). Throws `invalid_request` if it can't be
 * decoded.
 */
export function parseTarget(target: string): ParsedTarget {
  const withoutFragment = before(target, '#');
  const origin = withoutFragment.startsWith('/') ? withoutFragment : withoutFragment.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?]*/i, '');
  const encodedPath = before(origin, '?');
  const path = normalise(decode(encodedPath));
  // A proxy in front that protects the admin API by its prefix has to see the prefix.
  if (path.startsWith('/admin') && !encodedPath.startsWith('/admin'))
    throw new BreakwaterError('invalid_request', 'the path of the admin API must begin with /admin, unencoded');
  return { path, query: origin.slice(encodedPath.length) };
}

/**
 * Whether an upstream server may interpret a decoded path differently: by decoding twice, or by removing what follows a semicolon. Such a
 * path is not forwarded.
 */
export function isAmbiguous(path: string): boolean {
  return /%(?:2e|2f|5c|25)/i.test(path) || /\/\.{1,2};/.test(path);
}

/** Encodes a path for a request line. */
export function encodePath(path: string): string {
  return encodeURI(path).replaceAll('?', '%3F').replaceAll('#', '%23');
}

/** Azure's paths: `/openai/v1/…`, and `/openai/deployments/MODEL/…` without a version. A model may contain slashes. */
const AZURE_PATH =
  /^\/openai\/(?:v1\/|deployments\/(?<deployment>.+?)\/(?=(?:chat\/completions|completions|embeddings|responses|audio\/\w+|images\/\w+)$))/;

/** An Azure-style target as the same target of OpenAI, with its model where the path has one. Others are returned as they are. */
export function fromAzure({ path, query }: ParsedTarget): ParsedTarget & { readonly deployment?: string } {
  const found = AZURE_PATH.exec(path);
  if (found === null) return { path, query };
  const parameters = new URLSearchParams(query);
  parameters.delete('api-version');
  const deployment = found.groups?.['deployment'];
  return {
    path: `/v1/${path.slice(found[0].length)}`,
    query: parameters.size === 0 ? '' : `?${parameters}`,
    ...(deployment !== undefined && { deployment }),
  };
}

/** Paths of Anthropic and Gemini with a prefix, as in other gateways. */
const ALIAS = /^\/(?:anthropic\/v1\/(?:messages|models)|gemini\/v1(?:beta)?\/models)(?:\/|$)/;

/** The API path as in the route table: with one leading `/v1`. */
export function withVersion(path: string): string {
  if (ALIAS.test(path)) return path.slice(path.indexOf('/', 1));
  if (path.startsWith('/v1/v1/')) return path.slice('/v1'.length);
  return path.startsWith('/v1/') ? path : `/v1${path}`;
}

/** Google's SDK also uses the version `v1`. */
const GEMINI_CALL = /^\/v1\/models\/.+:[A-Za-z]+$/;

/** The protocol of callers of a path, for the format of errors. */
export function protocolOfPath(path: string): Protocol {
  if (path.startsWith('/anthropic/')) return 'anthropic';
  if (path.startsWith('/v1beta/') || path.startsWith('/gemini/') || GEMINI_CALL.test(path)) return 'gemini';
  const api = withVersion(path);
  return api === '/v1/messages' || api.startsWith('/v1/messages/') ? 'anthropic' : 'openai';
}

function before(text: string, mark: string): string {
  const at = text.indexOf(mark);
  return at < 0 ? text : text.slice(0, at);
}

function decode(path: string): string {
  let decoded: string;
  try {
    decoded = path.includes('%') ? decodeURIComponent(path) : path;
  } catch {
    throw new BreakwaterError('invalid_request', 'the path is not properly percent-encoded');
  }
  // eslint-disable-next-line no-control-regex -- control characters are matched on purpose
  if (/[\u0000-\u001f\u007f]/.test(decoded)) throw new BreakwaterError('invalid_request', 'the path contains control characters');
  return decoded;
}

/** Resolves `.` and `..` (RFC 3986 5.2.4) and removes empty segments and a trailing slash. A backslash counts as a slash, as in many servers. */
function normalise(path: string): string {
  const segments: string[] = [];
  for (const segment of path.replaceAll('\\', '/').split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  return `/${segments.join('/')}`;
}
