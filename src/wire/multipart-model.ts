/**
 * Finds, and replaces, the model in bodies that are passed on as bytes: the top-level member of a JSON object, or the
 * multipart field of that name (RFC 7578). Files in a multipart body are stepped over by a native search for the boundary.
 */
import { Buffer } from 'node:buffer';
import { asBuffer } from './bytes.ts';
import { scanObject } from './json-scan.ts';
import { readString } from './json-values.ts';

/** Where the model's name stands in the body. */
interface Place {
  readonly start: number;
  readonly end: number;
  readonly name: string;
  readonly isJson: boolean;
}

/** More parts than any endpoint takes. */
const PARTS_MAX = 1_000;
const PART_HEADER_LENGTH_MAX = 16_384;

/**
 * The model that the body names, or null. A body that names two is refused with null as well: which of them the provider
 * would take can't be known, and a client may be allowed only one of them.
 */
export function findModel(contentType: string | null, bytes: Uint8Array): string | null {
  return findPlace(contentType, bytes)?.name ?? null;
}

/** The body with that model instead; the same bytes if it names none, or names it already. */
export function replaceModel(contentType: string | null, bytes: Uint8Array, model: string): Uint8Array {
  const place = findPlace(contentType, bytes);
  if (place === null || place.name === model) return bytes;
  // A line end in the name would end the field; no model has one.
  const text = place.isJson ? JSON.stringify(model) : model.replaceAll(/[\r\n]/g, '');
  return Buffer.concat([bytes.subarray(0, place.start), Buffer.from(text), bytes.subarray(place.end)]);
}

function findPlace(contentType: string | null, bytes: Uint8Array): Place | null {
  if (contentType === null || !/^\s*multipart\/form-data\b/i.test(contentType)) return findInJson(bytes);
  const boundary = /;\s*boundary=(?:"([^"]{1,200})"|([^\s;]{1,200}))/i.exec(contentType);
  const text = boundary?.[1] ?? boundary?.[2];
  return text === undefined ? null : findInMultipart(asBuffer(bytes), Buffer.from(`--${text}`, 'latin1'));
}

function findInJson(bytes: Uint8Array): Place | null {
  const scan = scanObject(bytes);
  if (!scan.ok) return null;
  const [member, second] = scan.members.filter((candidate) => candidate.name === 'model');
  if (member === undefined || second !== undefined) return null;
  const name = readString(bytes, member);
  return name === null || name === '' ? null : { start: member.start, end: member.end, name, isJson: true };
}

function findInMultipart(bytes: Buffer, delimiter: Buffer): Place | null {
  const lineDelimiter = Buffer.concat([Buffer.from('\n'), delimiter]);
  let found: Place | null = null;
  let at = bytes.subarray(0, delimiter.length).equals(delimiter) ? delimiter.length : after(bytes, lineDelimiter, 0);
  for (let parts = 0; at >= 0 && parts < PARTS_MAX; parts++) {
    if (bytes[at] === 0x2d && bytes[at + 1] === 0x2d) return found;
    const headers = endOfLine(bytes, at);
    const content = headers < 0 ? -1 : bytes.indexOf('\r\n\r\n', headers);
    const next = content < 0 ? -1 : after(bytes, lineDelimiter, content + 2);
    if (next < 0) return null;
    const start = content + 4;
    const end = next - lineDelimiter.length - 1;
    // Some readers take a bare LF for a line end, and would see other parts than we do.
    if (bytes[end] !== 0x0d) return null;
    if (content - headers <= PART_HEADER_LENGTH_MAX && namesModel(bytes.toString('latin1', headers, content))) {
      if (found !== null || end <= start) return null;
      found = { start, end, name: bytes.toString('utf8', start, end), isJson: false };
    }
    at = next;
  }
  return null;
}

/** The CRLF that ends a delimiter line; only spaces may stand before it (RFC 2046 5.1.1). -1 if there is none. */
function endOfLine(bytes: Buffer, start: number): number {
  let at = start;
  while (bytes[at] === 0x20 || bytes[at] === 0x09) at++;
  return bytes[at] === 0x0d && bytes[at + 1] === 0x0a ? at : -1;
}

function after(bytes: Buffer, text: Buffer, from: number): number {
  const at = bytes.indexOf(text, from);
  return at < 0 ? -1 : at + text.length;
}

/** True for the headers of a field (no file) called `model`. */
function namesModel(headers: string): boolean {
  const disposition = /\r\ncontent-disposition:\s*form-data\b([^\r\n]*)/i.exec(headers)?.[1];
  if (disposition === undefined || /;\s*filename\*?=/i.test(disposition)) return false;
  return /;\s*name=(?:"model"|model(?=\s*(?:;|$)))/i.test(disposition);
}
