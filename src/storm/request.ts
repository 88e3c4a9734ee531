/** Parsing of JSON requests, shared by all dialects. */
import { isRecord } from '../core/json.ts';
import type { ParsedRequest, Failure, Received } from './dialect.ts';

export type Fields = Readonly<Record<string, unknown>>;

/** The JSON object in the body, or the failure to parse it. */
export function readFields(received: Received): { fields: Fields } | Failure {
  let value: unknown;
  try {
    value = JSON.parse(received.body.toString('utf8'));
  } catch {
    return { reason: 'bad-json' };
  }
  if (!isRecord(value)) return { reason: 'bad-json' };
  if (received.model !== undefined) return { fields: { ...value, model: received.model } };
  if (typeof value['model'] !== 'string' || value['model'] === '') {
    return { reason: 'invalid', param: 'model', message: 'you must provide a model parameter' };
  }
  return { fields: value };
}

/** A value of a request in a message. An object may have a `toString` that is no function. */
export function asText(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** Tokens of an image or other inline file, independent of its size. */
const IMAGE_TOKENS = 1500;
const MEDIA_MARKS = [';base64,', '"data":"'];
/** Base64 data shorter than this is counted as text. */
const MEDIA_BYTES_MIN = 512;

/** Fields that the model reads; the others are settings. */
const READ = new Set([
  'messages',
  'prompt',
  'suffix',
  'input',
  'instructions',
  'system',
  'tools',
  'functions',
  'response_format',
  'query',
  'documents',
  'contents',
  'content',
  'systemInstruction',
  'system_instruction',
  'toolConfig',
]);

/**
 * Input tokens for limits and `usage`: a quarter of the bytes that the model reads, without settings and field names;
 * an inline image is 1,500.
 */
export function countInput({ body }: Received, fields: Fields): number {
  let bytes = body.length - settingBytes(fields);
  let images = 0;
  for (const mark of MEDIA_MARKS) {
    for (let at = body.indexOf(mark); at !== -1; at = body.indexOf(mark, at)) {
      const start = at + mark.length;
      const end = body.indexOf('"', start);
      if (end === -1) break;
      if (mark === ';base64,' || end - start >= MEDIA_BYTES_MIN) {
        bytes -= end - at;
        images++;
      }
      at = end;
    }
  }
  return Math.ceil(Math.max(0, bytes) / 4) + images * IMAGE_TOKENS;
}

/** Bytes of a compact body that are not input: braces, field names, settings. */
function settingBytes(fields: Fields): number {
  let bytes = 1;
  for (const [name, value] of Object.entries(fields)) {
    bytes += name.length + '"":,'.length;
    if (!READ.has(name)) bytes += Buffer.byteLength(JSON.stringify(value));
  }
  return bytes;
}

/** A response to a lookup, which is exempt from limits and faults. */
export function lookup(value: unknown, model = ''): ParsedRequest {
  const body = JSON.stringify(value);
  return { model, stream: false, inputTokens: 0, outputLimit: 0, fields: {}, body: () => ({ contentType: 'application/json', body }) };
}

/** Decodes a path segment, if it is well-formed. */
export function decodePart(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The value if it is an integer. */
export function wholeNumber(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : undefined;
}

/** Whether `stream_options.include_usage` is set. */
export function wantsUsage(fields: Fields): boolean {
  const options = fields['stream_options'];
  return isRecord(options) && options['include_usage'] === true;
}

/** OpenAI's maximum of `n`. */
const CHOICES_MAX = 128;

/** The number of choices requested. */
export function countChoices(fields: Fields): number {
  return Math.min(CHOICES_MAX, Math.max(1, wholeNumber(fields['n']) ?? 1));
}
