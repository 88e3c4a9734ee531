/**
 * Responses of the endpoints that are passed through as bytes. A JSON response with a success status is checked for the content of its
 * endpoint: images, scores, classifications, a transcript. Shapes differ between providers, so a response fails only if the content is
 * certainly missing.
 */
import { isRecord, parseOrUndefined } from '../core/json.ts';
import { createFailure, failureFromErrorValue } from './failure.ts';
import { asBuffer } from './bytes.ts';
import { scanObject } from './json-scan.ts';
import { parseMember } from './json-values.ts';
import { findError } from './response-error.ts';
import type { ReadResponse } from './dialect.ts';
import { readUsage } from './usage.ts';
import type { Failure, TokenUsage } from '../core/facts.ts';
import { isBlankText } from '../core/blank-text.ts';

export type MediaKind = 'images' | 'rerank' | 'moderations' | 'vectors' | 'tokenCount' | 'transcript' | 'speech';

/** In bytes. Larger members are not parsed, and count as content. */
const PARSED_BYTES_MAX = 256 * 1024;
/** How deep a response is searched. */
const NESTING_MAX = 8;

interface Expectation {
  /** Members that hold the content, depending on the provider. */
  readonly members: readonly string[];
  /** True if an item counts as content. */
  readonly isItem: (item: unknown) => boolean;
  /** True if every item of a list must. */
  readonly needsAll: boolean;
  readonly missing: string;
}

const EXPECTED: Readonly<Record<Exclude<MediaKind, 'transcript' | 'speech'>, Expectation>> = {
  images: {
    members: ['data', 'images', 'image', 'output', 'outputs', 'artifacts', 'predictions', 'result', 'url', 'b64_json'],
    isItem: holdsImage,
    needsAll: false,
    missing: 'the response contains no image',
  },
  rerank: {
    members: ['results', 'data', 'rankings', 'output', 'scores'],
    isItem: holdsScore,
    needsAll: true,
    missing: 'the response contains no scores',
  },
  moderations: {
    members: ['results', 'data', 'output'],
    isItem: holdsClassification,
    needsAll: true,
    missing: 'the response contains no classification',
  },
  vectors: {
    members: ['embedding', 'embeddings'],
    isItem: holdsVector,
    needsAll: true,
    missing: 'the response contains no embeddings',
  },
  tokenCount: {
    members: ['totalTokens'],
    isItem: (item) => typeof item === 'number' && item >= 0,
    needsAll: true,
    missing: 'the response contains no token count',
  },
};

/** A response that only acknowledges a job is not checked: it has one of these members. */
const JOB_MEMBERS: ReadonlySet<string> = new Set(['id', 'task_id', 'job_id', 'request_id', 'polling_url', 'status_url', 'status']);

/** What a response to this path must contain; null: it is not checked. */
export function mediaKindOf(path: string): MediaKind | null {
  const place = path.split('?', 1)[0]!.replace(/^\/v\d+(?=\/)/, '');
  if (/^\/images\/(generations|edits|variations)$/.test(place)) return 'images';
  if (/^\/rerank(ing)?$/.test(place)) return 'rerank';
  if (place === '/moderations') return 'moderations';
  if (/:(?:e|batchE)mbedContents?$/.test(place)) return 'vectors';
  if (place.endsWith(':countTokens')) return 'tokenCount';
  if (/^\/audio\/(transcriptions|translations)$/.test(place)) return 'transcript';
  return place === '/audio/speech' ? 'speech' : null;
}

/** Checks a complete JSON response; its bytes are passed on unchanged. */
export function readMediaResponse(kind: MediaKind, bytes: Uint8Array): ReadResponse {
  const list = bareList(bytes);
  if (list !== null) return isFilledBy(kind, list) ? passed(null) : refused(kind, null);
  const scan = scanObject(bytes);
  if (!scan.ok) return fail(createFailure('malformed', 'answer', `the response is ${scan.message}`), null);
  const small = new Map<string, unknown>();
  const large = new Set<string>();
  for (const member of scan.members) {
    if (member.end - member.start > PARSED_BYTES_MAX) large.add(member.name);
    else small.set(member.name, parseMember(bytes, member));
  }
  const value = Object.fromEntries(small);
  const usage = readUsage(value['usage']);
  if (value['error']) return fail(failureFromErrorValue(value, 'answer', bytes), usage);
  if (holdsOutput(kind, value, large)) return passed(usage);
  const error = large.size === 0 ? findError(value) : null;
  return error === null ? refused(kind, usage) : fail(failureFromErrorValue(error, 'answer', bytes), usage);
}

function holdsOutput(kind: MediaKind, value: Record<string, unknown>, large: ReadonlySet<string>): boolean {
  if (kind === 'speech') return true;
  // Silence has an empty transcript.
  if (kind === 'transcript') return typeof value['text'] === 'string' || large.size > 0;
  const { members } = EXPECTED[kind];
  if (members.some((name) => large.has(name) || isFilledBy(kind, value[name]))) return true;
  const isHollow = members.some((name) => name in value);
  return !isHollow && Object.keys(value).some((name) => JOB_MEMBERS.has(name) && Boolean(value[name]));
}

/** A list of items, a single item, or either one nested (`output.results`). */
function isFilledBy(kind: MediaKind, value: unknown, depth = NESTING_MAX): boolean {
  if (kind === 'speech' || kind === 'transcript') return true;
  const { isItem, needsAll, members } = EXPECTED[kind];
  if (Array.isArray(value)) {
    if (value.length === 0) return false;
    return needsAll ? value.every((item) => isItem(item)) : value.some((item) => isItem(item));
  }
  if (isItem(value)) return true;
  return depth > 0 && isRecord(value) && members.some((name) => isFilledBy(kind, value[name], depth - 1));
}

/** An image in an item of any shape: some text in it is a URL, or base64. */
function holdsImage(item: unknown): boolean {
  if (typeof item === 'string') return !isBlankText(item);
  if (!isRecord(item)) return false;
  return Object.entries(item).some(
    ([name, value]) =>
      /url|b64|base64|bytes|image|data|uri/i.test(name) && (holdsImage(value) || (Array.isArray(value) && value.some(holdsImage))),
  );
}

function holdsScore(item: unknown): boolean {
  if (typeof item === 'number') return true;
  return isRecord(item) && Object.entries(item).some(([name, value]) => /score|logit|relevance/i.test(name) && typeof value === 'number');
}

function holdsVector(item: unknown): boolean {
  const values = isRecord(item) ? item['values'] : null;
  return Array.isArray(values) && values.length > 0 && values.every((value) => typeof value === 'number' && Number.isFinite(value));
}

function holdsClassification(item: unknown): boolean {
  if (!isRecord(item)) return false;
  if (typeof item['flagged'] === 'boolean') return true;
  const isClass = (value: unknown): boolean => typeof value === 'boolean' || typeof value === 'number';
  return [item['categories'], item['category_scores'], item['scores']].some(
    (classes) => isRecord(classes) && Object.values(classes).some(isClass),
  );
}

/** Some rerank servers return a bare list; null: not a list, or too large to be empty. */
function bareList(bytes: Uint8Array): unknown {
  let start = 0;
  while (start < bytes.length && bytes[start]! <= 0x20) start++;
  if (bytes[start] !== 0x5b || bytes.length > PARSED_BYTES_MAX) return null;
  return parseOrUndefined(asBuffer(bytes).toString()) ?? null;
}

function passed(usage: TokenUsage | null): ReadResponse {
  return { ok: true, facts: { model: null, usage, finishReason: null, hasContent: true } };
}

function refused(kind: MediaKind, usage: TokenUsage | null): ReadResponse {
  const message =
    kind === 'transcript' ? 'the response contains no transcript' : kind === 'speech' ? 'the response is empty' : EXPECTED[kind].missing;
  return fail(createFailure('empty', 'answer', message), usage);
}

function fail(failure: Failure, usage: TokenUsage | null): ReadResponse {
  return { ok: false, failure, usage };
}
