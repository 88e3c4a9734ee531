/**
 * Parses a multipart body (RFC 7578) more strictly than any parser downstream. Parsers differ about folded lines, escapes, line breaks,
 * preambles and repeated parameters; if two of them could see different fields, the body is rejected: the value that is checked here (the
 * model) has to be the one that the provider acts on. What browsers and the usual HTTP libraries write is unambiguous.
 *
 * Delimiters are found by a native search in windows, so that a large body can be read in slices.
 */
import { Buffer, isUtf8 } from 'node:buffer';
import { asBuffer } from './bytes.ts';

export interface MultipartPart {
  /** The position of its header lines. */
  readonly headersStart: number;
  readonly start: number;
  readonly end: number;
  readonly name: string;
  readonly isFile: boolean;
  /** As written; empty: none. */
  readonly filename: string;
  /** Lower case, without parameters other than the charset; empty: none. */
  readonly contentType: string;
}

export type MultipartResult =
  | { readonly ok: true; readonly parts: readonly MultipartPart[] }
  | { readonly ok: false; readonly message: string };

/** More parts than any endpoint accepts. */
const PARTS_MAX = 1_000;
export const PART_HEADERS_LENGTH_MAX = 16_384;
/** Bytes searched natively in one step. */
const WINDOW_BYTES = 64 * 1024;

const CR = 0x0d;
const LF = 0x0a;
const DASH = 0x2d;

/** Reads further with every `step`. The content type must be multipart. */
export class MultipartScan {
  readonly #bytes: Buffer;
  readonly #delimiter: Buffer | null;
  readonly #afterLineFeed: Buffer;
  readonly #afterReturn: Buffer;
  readonly #parts: MultipartPart[] = [];
  /** The current part, whose end is not known yet. */
  #open: MultipartPart | null = null;
  #pos = 0;
  #result: MultipartResult | null = null;

  constructor(contentType: string, bytes: Uint8Array) {
    this.#bytes = asBuffer(bytes);
    const boundary = boundaryOf(contentType);
    this.#delimiter = boundary === null ? null : Buffer.from(`--${boundary}`, 'latin1');
    this.#afterLineFeed = Buffer.from(`\n--${boundary}`, 'latin1');
    this.#afterReturn = Buffer.from(`\r--${boundary}`, 'latin1');
  }

  /** Null: not finished. */
  get result(): MultipartResult | null {
    return this.#result;
  }

  /** True: finished. */
  step(): boolean {
    if (this.#result !== null) return true;
    if (this.#open !== null) this.#findEnd(this.#open);
    else if (this.#delimiter === null) this.#refuse('its content type has no boundary that all parsers understand');
    else if (!this.#bytes.subarray(0, this.#delimiter.length).equals(this.#delimiter)) this.#refuse('it does not begin with its boundary');
    else this.#readHeaders(this.#delimiter.length);
    return this.#result !== null;
  }

  #refuse(reason: string): void {
    this.#result = { ok: false, message: `The multipart body can't be parsed, or not by all parsers alike: ${reason}.` };
  }

  /** `pos`: after a delimiter. */
  #readHeaders(pos: number): void {
    const bytes = this.#bytes;
    if (bytes[pos] === DASH && bytes[pos + 1] === DASH) return this.#finish(pos + 2);
    if (bytes[pos] !== CR || bytes[pos + 1] !== LF) return this.#refuse('there is data after a boundary');
    if (this.#parts.length >= PARTS_MAX) return this.#refuse(`it has more than ${PARTS_MAX} parts`);
    const head = bytes.subarray(pos, pos + PART_HEADERS_LENGTH_MAX);
    const length = head.indexOf('\r\n\r\n');
    if (length < 0) return this.#refuse(`the headers of a part are longer than ${PART_HEADERS_LENGTH_MAX} bytes`);
    const start = pos + length + 4;
    if (!isUtf8(head.subarray(0, length))) return this.#refuse('the headers of a part are not UTF-8');
    const read = readPartHeaders(head.toString('utf8', 2, Math.max(2, length)));
    if (typeof read === 'string') return this.#refuse(read);
    this.#open = { ...read, headersStart: pos + 2, start, end: start };
    // The line break before a delimiter belongs to the delimiter, not to the headers.
    this.#pos = start - 1;
  }

  #findEnd(open: MultipartPart): void {
    const window = this.#bytes.subarray(this.#pos, this.#pos + WINDOW_BYTES + this.#afterLineFeed.length);
    const found = window.indexOf(this.#afterLineFeed);
    const bare = window.indexOf(this.#afterReturn);
    if (bare >= 0 && (found < 0 || bare < found)) return this.#refuse('a boundary follows a bare carriage return');
    if (found < 0) {
      if (this.#pos + window.length >= this.#bytes.length) this.#refuse('its closing boundary is missing');
      this.#pos += WINDOW_BYTES;
      return;
    }
    const lineFeed = this.#pos + found;
    if (lineFeed <= open.start || this.#bytes[lineFeed - 1] !== CR)
      return this.#refuse('a boundary is not preceded by a line break of its own');
    this.#parts.push({ ...open, end: lineFeed - 1 });
    this.#open = null;
    this.#readHeaders(lineFeed + this.#afterLineFeed.length);
  }

  #finish(pos: number): void {
    const rest = this.#bytes.subarray(pos);
    if (rest.length > 0 && !(rest.length === 2 && rest[0] === CR && rest[1] === LF))
      return this.#refuse('there is data after its closing boundary');
    this.#result = { ok: true, parts: this.#parts };
  }
}

export function isMultipart(contentType: string | null): contentType is string {
  return contentType !== null && /^\s*multipart\//i.test(contentType);
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const QUOTED = String.raw`"[^"\\\x00-\x1f\x7f]*"`;
const PARAMETERS = new RegExp(`^(?:[ \\t]*;[ \\t]*${TOKEN}=(?:${TOKEN}|${QUOTED}))*[ \\t]*$`);
const PARAMETER = new RegExp(`;[ \\t]*(${TOKEN})=(${TOKEN}|${QUOTED})`, 'g');
/** The characters of RFC 2046 except the space; unquoted, also except those that end a token. */
const QUOTED_BOUNDARY = /^"[0-9A-Za-z'()+_,\-./:=?]{1,70}"$/;
const BARE_BOUNDARY = /^[0-9A-Za-z'+_\-.]{1,70}$/;

/** The parameters after a type or disposition, each once, names in lower case; null: not all parsers read them alike. */
function readParameters(text: string): ReadonlyMap<string, string> | null {
  if (!PARAMETERS.test(text)) return null;
  const found = new Map<string, string>();
  for (const [, name, value] of text.matchAll(PARAMETER)) {
    const key = name!.toLowerCase();
    if (found.has(key)) return null;
    found.set(key, value!);
  }
  return found;
}

/** In characters; no client sends a longer content type. */
const CONTENT_TYPE_LENGTH_MAX = 500;

/** Null: there is none, or parsers may differ about it. */
export function boundaryOf(contentType: string): string | null {
  if (contentType.length > CONTENT_TYPE_LENGTH_MAX) return null;
  const rest = /^\s*multipart\/form-data(?=[\s;]|$)/i.exec(contentType);
  const parameters = rest === null ? null : readParameters(contentType.slice(rest[0].length));
  if (parameters === null) return null;
  for (const name of parameters.keys()) if (name !== 'boundary' && name.startsWith('boundary')) return null;
  const value = parameters.get('boundary') ?? '';
  if (QUOTED_BOUNDARY.test(value)) return value.slice(1, -1);
  return BARE_BOUNDARY.test(value) ? value : null;
}

const HEADER_LINE = new RegExp(`^(${TOKEN}):[ \\t]*([^\\x00-\\x08\\x0a-\\x1f\\x7f]*)$`);
const ENCODINGS: ReadonlySet<string> = new Set(['', '7bit', '8bit', 'binary']);

/** Parses the header lines of a part; a string says why they are invalid. */
export function readPartHeaders(text: string): Pick<MultipartPart, 'name' | 'isFile' | 'filename' | 'contentType'> | string {
  const headers = new Map<string, string>();
  for (const line of text.split('\r\n')) {
    const match = HEADER_LINE.exec(line);
    if (match === null) return 'a header line of a part is folded or malformed';
    const name = match[1]!.toLowerCase();
    if (headers.has(name)) return 'a part repeats a header';
    headers.set(name, match[2]!.trim());
  }
  if (!ENCODINGS.has((headers.get('content-transfer-encoding') ?? '').toLowerCase())) return 'a part has a transfer encoding';
  const disposition = /^form-data(?=[ \t;]|$)(.*)$/i.exec(headers.get('content-disposition') ?? '');
  const parameters = disposition === null ? null : readParameters(disposition[1]!);
  if (parameters === null) return 'a part has no form-data disposition that all parsers understand';
  for (const name of parameters.keys())
    if (!DISPOSITION.has(name)) return `a disposition has the unsupported parameter ${name.slice(0, 40)}`;
  const name = unquoted(parameters.get('name') ?? '');
  if (name === '') return 'a part has no name';
  const isFile = parameters.has('filename') || parameters.has('filename*');
  const filename = unquoted(parameters.get('filename') ?? '');
  return { name, isFile, filename, contentType: (headers.get('content-type') ?? '').toLowerCase() };
}

const DISPOSITION: ReadonlySet<string> = new Set(['name', 'filename', 'filename*']);

function unquoted(value: string): string {
  return value.startsWith('"') ? value.slice(1, -1) : value;
}
