import { BreakwaterError } from '../core/errors.ts';
import type { Protocol } from '../core/request.ts';

/** A request's target, taken apart: `path` is decoded and free of dots and doubled slashes; `query` keeps its `?`. */
export interface ParsedTarget {
  readonly path: string;
  readonly query: string;
}

/**
 * Takes a request target apart (RFC 9112 3.2: origin form, or absolute form, whose authority means nothing to us).
 * Throws `invalid_request` where it can't be decoded.
 */
export function parseTarget(target: string): ParsedTarget {
  const withoutFragment = before(target, '#');
  const origin = withoutFragment.startsWith('/') ? withoutFragment : withoutFragment.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?]*/i, '');
  const encodedPath = before(origin, '?');
  return { path: normalise(decode(encodedPath)), query: origin.slice(encodedPath.length) };
}

/**
 * Whether a decoded path may be read as another one by a server behind us: one that decodes twice, or that cuts off what follows a
 * semicolon. Such a path is not passed on.
 */
export function isAmbiguous(path: string): boolean {
  return /%(?:2e|2f|5c|25)/i.test(path) || /\/\.{1,2};/.test(path);
}

/** The path as it may stand in a request line again. */
export function encodePath(path: string): string {
  return encodeURI(path).replaceAll('?', '%3F').replaceAll('#', '%23');
}

/** Anthropic's paths below a prefix, as other gateways have them. */
const ANTHROPIC_ALIAS = /^\/anthropic\/v1\/(?:messages|models)(?:\/|$)/;

/** The spelling under which the table knows an API path: one `/v1` in front. */
export function withVersion(path: string): string {
  if (ANTHROPIC_ALIAS.test(path)) return path.slice('/anthropic'.length);
  if (path.startsWith('/v1/v1/')) return path.slice('/v1'.length);
  return path.startsWith('/v1/') ? path : `/v1${path}`;
}

/** Google's SDK also calls its API by the version `v1`. */
const GEMINI_CALL = /^\/v1\/models\/.+:[A-Za-z]+$/;

/** The dialect that a path's callers speak, for the shape of an error. */
export function protocolOfPath(path: string): Protocol {
  if (path.startsWith('/anthropic/')) return 'anthropic';
  if (path.startsWith('/v1beta/') || GEMINI_CALL.test(path)) return 'gemini';
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
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(decoded)) throw new BreakwaterError('invalid_request', 'the path holds control characters');
  return decoded;
}

/** Resolves `.` and `..` (RFC 3986 5.2.4) and drops empty segments, a last slash included. A backslash is read as a slash, as many servers do. */
function normalise(path: string): string {
  const segments: string[] = [];
  for (const segment of path.replaceAll('\\', '/').split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  return `/${segments.join('/')}`;
}
