/**
 * Reads an error in whatever shape a provider sent it: nested (OpenAI, Anthropic, Google), flat (Mistral, Cerebras,
 * Cohere), a bare string (xAI, vLLM, Ollama), wrapped in an array (Gemini) or in a JSON string, a FastAPI `detail`, or
 * no JSON at all (the HTML page of a CDN). Everything is optional, nothing throws.
 */
import { asBuffer, byteOrderMarkLength } from './bytes.ts';
import { isRecord } from './json-values.ts';
import { retryAfterFromError, retryAfterFromText } from './retry-hints.ts';

export interface ErrorShape {
  /** A number is kept as its digits, unless the error has a word for it (google `status`, `reason`). */
  readonly code: string | null;
  readonly type: string | null;
  readonly param: string | null;
  /** Clean for logs and headers; null if the error has no words. */
  readonly message: string | null;
  /** An HTTP status that stands in the error itself (OpenRouter, vLLM, Google), or null. */
  readonly status: number | null;
  /** The wait that the error's fields or words ask for. */
  readonly retryAfterMs: number | null;
}

const NO_SHAPE: ErrorShape = { code: null, type: null, param: null, message: null, status: null, retryAfterMs: null };
const MESSAGE_LENGTH_MAX = 1_000;
/** No error says more than this before its point; longer bodies are cut before they are looked at as text. */
const TEXT_LENGTH_MAX = 65_536;
const NESTING_MAX = 4;

/** An error body of any kind. */
export function readErrorBody(body: Uint8Array): ErrorShape {
  const text = asBuffer(body).toString('utf8', byteOrderMarkLength(body)).trim();
  const value = parseJson(text);
  if (value === undefined) return fromText(text);
  return readErrorValue(value);
}

/** An error that is already parsed: the whole body, or the value of its `error` member. */
export function readErrorValue(value: unknown): ErrorShape {
  return read(value, NESTING_MAX) ?? NO_SHAPE;
}

function read(value: unknown, depth: number): ErrorShape | null {
  if (depth === 0) return null;
  if (typeof value === 'string') {
    const inner = parseJson(value);
    return inner === undefined ? fromText(value) : read(inner, depth - 1);
  }
  if (Array.isArray(value)) return value.length === 0 ? null : read(value[0], depth - 1);
  if (!isRecord(value)) return null;
  const { error } = value;
  if (isRecord(error) || Array.isArray(error)) return read(error, depth - 1) ?? fromRecord(value, depth);
  if (typeof error === 'string' && error !== '') return merge(fromRecord({ ...value, error: undefined }, depth), read(error, depth - 1));
  return fromRecord(value, depth);
}

function fromRecord(error: Record<string, unknown>, depth: number): ErrorShape {
  const words = messageOf(error);
  const inner =
    typeof words === 'string' && /^\s*[[{"]/.test(words)
      ? read(parseJson(words), depth - 1)
      : read(isRecord(words) ? words : null, depth - 1);
  const text = typeof words === 'string' ? words.slice(0, TEXT_LENGTH_MAX) : null;
  const raw = isRecord(error['metadata']) && typeof error['metadata']['raw'] === 'string' ? error['metadata']['raw'] : null;
  const number = statusNumber(error['code']) ?? statusNumber(error['status']) ?? statusNumber(error['status_code']);
  const own: ErrorShape = {
    code: codeOf(error),
    type: word(error['type']) ?? word(metadataOf(error)['error_type']) ?? statusWord(error['status']),
    param: paramOf(error),
    message: text === null || inner?.message ? null : clean(text) || null,
    status: number,
    retryAfterMs:
      retryAfterFromError(error) ??
      (text === null ? null : retryAfterFromText(text)) ??
      (raw === null ? null : retryAfterFromText(raw.slice(0, TEXT_LENGTH_MAX))),
  };
  return merge(own, inner);
}

/** Where `first` says nothing, `second` does. */
function merge(first: ErrorShape, second: ErrorShape | null): ErrorShape {
  if (second === null) return first;
  return {
    code: first.code ?? second.code,
    type: first.type ?? second.type,
    param: first.param ?? second.param,
    message: first.message ?? second.message,
    status: first.status ?? second.status,
    retryAfterMs: first.retryAfterMs ?? second.retryAfterMs,
  };
}

function messageOf(error: Record<string, unknown>): unknown {
  const found = error['message'] ?? error['Message'] ?? error['detail'] ?? error['error_description'] ?? error['title'] ?? error['msg'];
  if (found !== undefined && found !== null) return Array.isArray(found) ? found[0] : found;
  const errors = error['errors'];
  return Array.isArray(errors) ? errors[0] : null;
}

/** The most telling word: the code itself, Anthropic's `details.error_code`, google's reason or status, else a number. */
function codeOf(error: Record<string, unknown>): string | null {
  const { code, details } = error;
  const named = typeof code === 'string' && !/^\d+$/.test(code) ? word(code) : null;
  if (named !== null) return named;
  if (isRecord(details) && typeof details['error_code'] === 'string') return word(details['error_code']);
  const info = Array.isArray(details) ? details.find((detail) => isRecord(detail) && typeof detail['reason'] === 'string') : undefined;
  if (isRecord(info)) return word(info['reason']);
  return statusWord(error['status']) ?? (typeof code === 'number' ? String(code) : word(code));
}

function paramOf(error: Record<string, unknown>): string | null {
  const place = error['param'] ?? error['loc'];
  return Array.isArray(place) ? word(place.join('.')) : word(place);
}

function metadataOf(error: Record<string, unknown>): Record<string, unknown> {
  return isRecord(error['metadata']) ? error['metadata'] : {};
}

function word(value: unknown): string | null {
  return typeof value === 'string' ? clean(value) || null : null;
}

/** Google's `status: "RESOURCE_EXHAUSTED"`. */
function statusWord(value: unknown): string | null {
  return typeof value === 'string' && /^[A-Za-z]\w*$/.test(value) ? value : null;
}

function statusNumber(value: unknown): number | null {
  const number = typeof value === 'string' && /^\d{3}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isInteger(number) && number >= 400 && number <= 599 ? number : null;
}

function fromText(text: string): ErrorShape {
  if (text === '') return NO_SHAPE;
  const bounded = text.slice(0, TEXT_LENGTH_MAX);
  if (!bounded.startsWith('<')) return { ...NO_SHAPE, message: clean(bounded) || null, retryAfterMs: retryAfterFromText(bounded) };
  const title = /<title[^>]*>([^<]{1,500})/i.exec(bounded)?.[1] ?? /<h1[^>]*>([^<]{1,500})/i.exec(bounded)?.[1];
  const words = title === undefined ? '' : clean(unescapeHtml(title));
  return { ...NO_SHAPE, message: words === '' ? 'an HTML page' : `an HTML page: ${words}` };
}

function unescapeHtml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    lt: '<',
    gt: '>',
    quot: '"',
    '#39': "'",
    nbsp: ' ',
    mdash: '-',
    ndash: '-',
    amp: '&',
  };
  return text.replaceAll(/&(lt|gt|quot|#39|nbsp|mdash|ndash|amp);/g, (_, name: string) => entities[name] ?? ' ');
}

/** Without control characters (they would break logs and headers), in one line, and bounded. */
export function clean(text: string): string {
  const line = text
    .slice(0, MESSAGE_LENGTH_MAX * 2)
    // oxlint-disable-next-line no-control-regex
    .replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')
    .trim();
  return line.slice(0, MESSAGE_LENGTH_MAX).toWellFormed();
}

function parseJson(text: string): unknown {
  if (!/^\s*[[{"]/.test(text)) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
