/**
 * Parses an error of any shape that providers send: nested (OpenAI, Anthropic, Google), flat (Mistral, Cerebras, Cohere), a bare string
 * (xAI, vLLM, Ollama), wrapped in an array (Gemini) or in a JSON string, a FastAPI `detail`, or not JSON at all (the HTML page of a CDN).
 * Every field is optional; nothing throws.
 */
import { isRecord } from '../core/json.ts';
import { asBuffer, byteOrderMarkLength } from './bytes.ts';
import { JsonOutline, parseBounded } from './json-outline.ts';
import { resetFromError, resetFromText } from './reset-time.ts';
import { retryAfterFromError, retryAfterFromText } from './retry-hints.ts';

export interface ErrorShape {
  /** A number is returned as digits, unless the error also has a named code (Google's `status`, `reason`). */
  readonly code: string | null;
  readonly type: string | null;
  readonly param: string | null;
  /** Safe for logs and headers; null if the error has no message. */
  readonly message: string | null;
  /** The HTTP status in the error itself (OpenRouter, vLLM, Google), or null. */
  readonly status: number | null;
  /** The wait requested in the error's fields or message. */
  readonly retryAfterMs: number | null;
  /** When the exhausted quota resets, in milliseconds since the epoch. */
  readonly resetEpochMs: number | null;
}

const NO_SHAPE: ErrorShape = { code: null, type: null, param: null, message: null, status: null, retryAfterMs: null, resetEpochMs: null };
const MESSAGE_LENGTH_MAX = 1_000;
/** In characters; longer text is cut before it is searched. */
const TEXT_LENGTH_MAX = 65_536;
const NESTING_MAX = 5;
/** Items of a list that are read. */
const LIST_LENGTH_MAX = 50;

/** An error body of any kind. `charset`: from its content type; default UTF-8. */
export function readErrorBody(body: Uint8Array, charset: string | null = null): ErrorShape {
  const text = decodeText(body.length > BODY_LENGTH_MAX ? body.subarray(0, BODY_LENGTH_MAX) : body, charset).trim();
  const value = body.length > BODY_LENGTH_MAX && isUtf8Charset(charset) ? outlineOf(body) : parseJson(text);
  if (value === undefined) return fromText(text);
  return readErrorValue(value);
}

/** In bytes. A longer body is not decoded as a whole: it may be an event of a stream. */
const BODY_LENGTH_MAX = 256 * 1024;

function isUtf8Charset(charset: string | null): boolean {
  return charset === null || /^(utf-?8|us-ascii)$/i.test(charset);
}

function outlineOf(body: Uint8Array): unknown {
  const outline = new JsonOutline();
  outline.push(body);
  return outline.parse();
}

function decodeText(body: Uint8Array, charset: string | null): string {
  const mark = body.length >= 2 && ((body[0] === 0xff && body[1] === 0xfe) || (body[0] === 0xfe && body[1] === 0xff));
  const label = mark ? (body[0] === 0xff ? 'utf-16le' : 'utf-16be') : charset;
  if (label !== null && !isUtf8Charset(label)) {
    try {
      return new TextDecoder(label).decode(body);
    } catch {
      // An unknown charset: most of the text is probably ASCII.
    }
  }
  return asBuffer(body).toString('utf8', byteOrderMarkLength(body));
}

/** A parsed error: the whole body, or the value of its `error` member. */
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
  if (isRecord(error) || Array.isArray(error)) {
    const around = fromRecord({ ...value, error: undefined }, depth);
    const inner = read(error, depth - 1);
    // Fields beside a nested error may hold a status or a wait, but `type: "error"` has no information.
    return inner === null ? around : merge(inner, { ...around, type: around.type === 'error' ? null : around.type });
  }
  if (typeof error === 'number') return merge(fromRecord({ ...value, error: undefined }, depth), fromRecord({ code: error }, depth));
  if (typeof error === 'string' && error !== '') return merge(fromRecord({ ...value, error: undefined }, depth), read(error, depth - 1));
  return fromRecord(value, depth);
}

function fromRecord(error: Record<string, unknown>, depth: number): ErrorShape {
  const message = messageOf(error);
  const inner =
    typeof message === 'string' && /^\s*[[{"]/.test(message)
      ? read(parseJson(message), depth - 1)
      : read(isRecord(message) ? message : null, depth - 1);
  const text = typeof message === 'string' ? message.slice(0, TEXT_LENGTH_MAX) : null;
  const raw = metadataOf(error)['raw'];
  const number = STATUS_NAMES.map((name) => statusNumber(error[name])).find((found) => found !== null) ?? null;
  const own: ErrorShape = {
    code: codeOf(error),
    type: cleanText(error['type']) ?? cleanText(metadataOf(error)['error_type']) ?? statusName(error['status']),
    param: paramOf(error),
    message: text === null || inner?.message ? null : clean(text) || null,
    status: number,
    retryAfterMs:
      retryAfterFromError(error) ??
      (text === null ? null : retryAfterFromText(text)) ??
      (typeof raw === 'string' ? rawHint(raw, depth) : null),
    resetEpochMs: resetFromError(error) ?? (text === null ? null : resetFromText(text)),
  };
  return merge(own, inner);
}

/** Fields that may hold an HTTP status; the last one is the status of Bedrock's model. */
const STATUS_NAMES = ['code', 'status', 'status_code', 'statusCode', 'originalStatusCode'] as const;

/** OpenRouter includes the upstream provider's error as text, which may hold the wait. */
function rawHint(raw: string, depth: number): number | null {
  const text = raw.slice(0, TEXT_LENGTH_MAX);
  return read(parseJson(text), depth - 1)?.retryAfterMs ?? retryAfterFromText(text);
}

/** The fields of `first`, with those of `second` as fallbacks. */
function merge(first: ErrorShape, second: ErrorShape | null): ErrorShape {
  if (second === null) return first;
  return {
    code: first.code ?? second.code,
    type: first.type ?? second.type,
    param: first.param ?? second.param,
    message: first.message ?? second.message,
    status: first.status ?? second.status,
    retryAfterMs: first.retryAfterMs ?? second.retryAfterMs,
    resetEpochMs: first.resetEpochMs ?? second.resetEpochMs,
  };
}

const MESSAGE_NAMES = ['message', 'Message', 'detail', 'error_description', 'title', 'msg', 'status_msg', 'error_msg', 'reason'] as const;

function messageOf(error: Record<string, unknown>): unknown {
  const name = MESSAGE_NAMES.find((known) => error[known] !== undefined && error[known] !== null);
  const found = name === undefined ? null : error[name];
  if (found !== undefined && found !== null) return Array.isArray(found) ? found[0] : found;
  const errors = error['errors'];
  return Array.isArray(errors) ? errors[0] : null;
}

/**
 * The most specific code: Google's daily quota, the code itself, Anthropic's `details.error_code`, Google's reason or status, OpenRouter's
 * flag for moderated input, else a number.
 */
function codeOf(error: Record<string, unknown>): string | null {
  const { code, details } = error;
  const daily = Array.isArray(details) ? dailyQuota(details) : null;
  if (daily !== null) return daily;
  const named = typeof code === 'string' && !/^\d+$/.test(code) ? cleanText(code) : null;
  if (named !== null) return named;
  if (isRecord(details) && typeof details['error_code'] === 'string') return cleanText(details['error_code']);
  const info = Array.isArray(details) ? details.find((detail) => isRecord(detail) && typeof detail['reason'] === 'string') : undefined;
  if (isRecord(info)) return cleanText(info['reason']);
  if (metadataOf(error)['flagged_input'] !== undefined) return 'moderation';
  return statusName(error['status']) ?? (typeof code === 'number' ? String(code) : cleanText(code)) ?? null;
}

/** The id of an exceeded daily quota: `GenerateRequestsPerDayPerProjectPerModel-FreeTier`. */
function dailyQuota(details: readonly unknown[]): string | null {
  for (const detail of details.slice(0, LIST_LENGTH_MAX)) {
    const violations = isRecord(detail) ? detail['violations'] : null;
    if (!Array.isArray(violations)) continue;
    for (const violation of violations.slice(0, LIST_LENGTH_MAX)) {
      const id: unknown = isRecord(violation) ? violation['quotaId'] : null;
      if (typeof id === 'string' && id.includes('PerDay')) return cleanText(id);
    }
  }
  return null;
}

function paramOf(error: Record<string, unknown>): string | null {
  const place = error['param'] ?? error['loc'];
  return cleanText(Array.isArray(place) ? place.slice(0, LIST_LENGTH_MAX).filter(isStep).join('.') : place);
}

/** A segment of a path such as Pydantic's. Any other value may have no text form, or an unbounded one. */
function isStep(value: unknown): value is string | number {
  return typeof value === 'string' || typeof value === 'number';
}

function metadataOf(error: Record<string, unknown>): Record<string, unknown> {
  return isRecord(error['metadata']) ? error['metadata'] : {};
}

function cleanText(value: unknown): string | null {
  return typeof value === 'string' ? clean(value) || null : null;
}

/** Google's `status: "RESOURCE_EXHAUSTED"`. */
function statusName(value: unknown): string | null {
  return typeof value === 'string' && /^[A-Za-z]\w*$/.test(value) ? value : null;
}

function statusNumber(value: unknown): number | null {
  const number = typeof value === 'string' && /^\d{3}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isInteger(number) && number >= 400 && number <= 599 ? number : null;
}

function fromText(text: string): ErrorShape {
  if (text === '') return NO_SHAPE;
  const bounded = text.slice(0, TEXT_LENGTH_MAX);
  if (!bounded.startsWith('<'))
    return {
      ...NO_SHAPE,
      message: clean(bounded) || null,
      retryAfterMs: retryAfterFromText(bounded),
      resetEpochMs: resetFromText(bounded),
    };
  const title = /<title[^<>]{0,200}>([^<]{1,500})/i.exec(bounded)?.[1] ?? /<h1[^<>]{0,200}>([^<]{1,500})/i.exec(bounded)?.[1];
  const message = title === undefined ? '' : clean(unescapeHtml(title));
  return { ...NO_SHAPE, message: message === '' ? 'an HTML page' : `an HTML page: ${message}` };
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

/** One line of bounded length, without control characters, which would break logs and headers. */
export function clean(text: string): string {
  const line = text
    .slice(0, MESSAGE_LENGTH_MAX * 2)
    // oxlint-disable-next-line no-control-regex
    .replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')
    .trim();
  return line.slice(0, MESSAGE_LENGTH_MAX).toWellFormed();
}

/** Undefined: not JSON. */
function parseJson(text: string): unknown {
  return /^\s*[[{"]/.test(text) ? parseBounded(text) : undefined;
}
