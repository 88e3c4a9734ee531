/**
 * Which of a caller's request headers are forwarded to a provider. Credentials, hop-by-hop headers and headers that frame the body never
 * are; everything else only by name: from a list here, a provider's preset, or its `forwardHeaders`.
 */
import { SESSION_HEADERS } from './session-headers.ts';

/** Help a provider to find the prompt cache of a conversation, without changing the response. */
const CACHE_HEADERS: readonly string[] = [...SESSION_HEADERS, 'x-prompt-cache-key', 'x-prompt-cache-isolation-key'];

/** Tied to an account, so forwarded only with the caller's own credential. */
export const ACCOUNT_HEADERS: ReadonlySet<string> = new Set(['openai-organization', 'openai-project']);

/** Name the calling application; only some providers use them. */
export const ATTRIBUTION_HEADERS: readonly string[] = ['http-referer', 'x-title', 'x-openrouter-title', 'x-openrouter-categories'];

/** Forwarded to every provider. */
export const FORWARDED_HEADERS: readonly string[] = [
  ...ACCOUNT_HEADERS,
  'openai-beta',
  'anthropic-version',
  'anthropic-beta',
  'traceparent',
  'tracestate',
  'accept',
  ...CACHE_HEADERS,
];

/** Meaningful in one dialect only. */
export const DIALECT_HEADERS: ReadonlySet<string> = new Set(['openai-beta', 'anthropic-version', 'anthropic-beta']);

/** W3C Trace Context. Replaced by those of the attempt's span if traces are exported. */
export const TRACE_HEADERS: ReadonlySet<string> = new Set(['traceparent', 'tracestate']);

/** Requests that differ in these headers only are equal. */
export const NEUTRAL_HEADERS: ReadonlySet<string> = new Set([
  'traceparent',
  'tracestate',
  'accept',
  ...CACHE_HEADERS,
  ...ATTRIBUTION_HEADERS,
]);

const HOP_HEADERS: ReadonlySet<string> = new Set(
  'connection keep-alive proxy-connection te trailer trailers transfer-encoding upgrade via http2-settings alt-used'.split(' '),
);
const FRAMING_HEADERS: ReadonlySet<string> = new Set(
  'host expect content-length content-type content-encoding content-transfer-encoding accept-encoding range user-agent'.split(' '),
);
const CREDENTIAL =
  /(^|[-_])(authori[sz]ation|auth|cookies?|token|secrets?|passwords?|passwd|credentials?|signature|jwt|bearer|apikey|cert)([-_]|$)|(api|access|private|subscription|functions|client|admin|master|goog|account|security|secret|auth)[-_]?key([-_]|$)/;

/** Why a header must not be in `forwardHeaders`; null: it may. `name` in lower case. */
export function forwardingFault(name: string, hasCallerKey: boolean): string | null {
  if (!/^[\w!#$%&'*+.^`|~-]{1,100}$/.test(name)) return 'is not a valid header name';
  if (HOP_HEADERS.has(name) || name.startsWith('proxy-')) return 'is a hop-by-hop header, and is never forwarded';
  if (FRAMING_HEADERS.has(name)) return 'is a header that Breakwater sets itself';
  if (name === 'x-key' || CREDENTIAL.test(name))
    return "may hold a credential, and is never forwarded; set the provider's own under apiKey or headers";
  if (name === 'forwarded' || /^x-(forwarded|real)-/.test(name)) return 'reveals the origin of a request, and is never forwarded';
  if (name.startsWith('x-breakwater-') || name === 'idempotency-key') return 'is meant for Breakwater itself, and is never forwarded';
  if (ACCOUNT_HEADERS.has(name) && !hasCallerKey)
    return "belongs to an account, and is forwarded only with the caller's own credential (apiKey: caller)";
  return null;
}
