/** Reading of JSON requests that all dialects share. */
import type { Ask, Failure, Received } from './dialect.ts';

export type Fields = Readonly<Record<string, unknown>>;

/** The JSON object of a request, or why there is none. */
export function readFields(received: Received): { fields: Fields } | Failure {
  let value: unknown;
  try {
    value = JSON.parse(received.body.toString('utf8'));
  } catch {
    return { reason: 'bad-json' };
  }
  if (!isObject(value)) return { reason: 'bad-json' };
  if (received.model !== undefined) return { fields: { ...value, model: received.model } };
  if (typeof value['model'] !== 'string' || value['model'] === '') {
    return { reason: 'invalid', param: 'model', message: 'you must provide a model parameter' };
  }
  return { fields: value };
}

/** What an image or another inline file counts, whatever its bytes. */
const IMAGE_TOKENS = 1500;
const MEDIA_MARKS = [';base64,', '"data":"'];
/** Data shorter than this is counted by its bytes. */
const MEDIA_BYTES_MIN = 512;

/** What a model reads; the rest of a request says how it shall answer. */
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
 * Input tokens as Storm counts them for limits and for `usage`: a quarter of the bytes that the model reads, settings and their
 * names left out; an inline image is 1,500.
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

/** Of a body without needless spaces: its braces, the name of each field, and what is no input. */
function settingBytes(fields: Fields): number {
  let bytes = 1;
  for (const [name, value] of Object.entries(fields)) {
    bytes += name.length + '"":,'.length;
    if (!READ.has(name)) bytes += Buffer.byteLength(JSON.stringify(value));
  }
  return bytes;
}

/** What answers a look-up that no limit or fault applies to. */
export function listAsk(value: unknown, model = ''): Ask {
  const body = JSON.stringify(value);
  return { model, stream: false, inputTokens: 0, outputBound: 0, fields: {}, plain: () => ({ contentType: 'application/json', body }) };
}

/** A part of a path, decoded where it is well-formed. */
export function decodePart(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A whole number field, if it is one. */
export function wholeNumber(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : undefined;
}

/** Whether a JSON value is an object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether `stream_options.include_usage` is set. */
export function wantsUsage(fields: Fields): boolean {
  const options = fields['stream_options'];
  return isObject(options) && options['include_usage'] === true;
}

/** OpenAI's own limit of `n`. */
const CHOICES_MAX = 128;

/** The number of choices asked for. */
export function countChoices(fields: Fields): number {
  return Math.min(CHOICES_MAX, Math.max(1, wholeNumber(fields['n']) ?? 1));
}
